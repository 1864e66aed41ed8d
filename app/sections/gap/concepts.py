"""What each network has kept of a picture: visual concepts on the object and beside it, over the epochs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from app import state
from app.charts import concept_counts, concepts
from app.charts.panels import NAMES
from app.section import Place, Section
from app.starting import hand_over
from app.theme import percent
from app.views import chosen as choices
from app.views.moment import csv_button, epoch_choice
from app.views.nearness import draw_strip
from app.views.run_head import recipe_of
from app.views.scrubber import LATER, PATIENCE, SOON, Question, answer_of, ask, missing_of, question, thinned
from app.views.still import still
from app.views.waiting import at_work, draw_once_more, let_go_first
from kdcore.answers.concepts import Concepts
from kdcore.concept_learning import Learning, learning, shared
from kdcore.events import Snapshot
from kdcore.recipe import Recipe

MOST = 7
"""Moments of each network's training: each costs a fit."""
WITH_SHAPES = Path(__file__).resolve().parents[3] / "assets" / "recipes" / "concepts.json"
Moments = dict[str, list[Snapshot]]
"""part -> snapshots at which it is asked."""


def draw(place: Place) -> None:
    recipe = recipe_of(place.run)
    if recipe is not None and recipe.data.key != "shapes":
        st.info(
            "Concepts on the object can only be told from others where it is known which pixels belong to it: on the "
            f"data set shapes, whose pictures are drawn here; this run has {recipe.data.key}.",
            icon=":material/info:",
        )
        if st.button(
            "A recipe with shapes", key="gap.concepts.shapes", icon=":material/rocket_launch:",
            help="Opens Begin with a recipe whose concepts can be counted. Nothing starts by itself.",
        ):  # fmt: skip
            hand_over(Recipe.from_text(WITH_SHAPES.read_text(encoding="utf-8")))
        return
    wanted = _moments(place)
    chosen = epoch_choice(
        place.run, place.phase(), into=place.columns[0], most=MOST,
        about="Of student and student alone. The teacher is as it was at the end of its training.",
    )  # fmt: skip
    count = choices.option(
        place.columns[1].selectbox, "Counted on so many pictures", (8, 4, 16, 32), key="counted",
        what="number of pictures",
        help="Validation pictures. Time goes up with them: a moment of the student costs about a second for eight.",
    )  # fmt: skip
    picture = _picture(place, count)
    asked = {part: question(place.run, "concepts", of=part, pictures=count) for part in wanted}
    missing = _missing(asked, wanted)
    if missing:
        at_work()
    stuck = state.kept("gap.concepts.refused") == asked["student"]
    stopped = state.kept("gap.concepts.stopped") == asked["student"]
    busy = bool(missing) and not stuck and not stopped
    every = SOON if busy else LATER if place.going else None
    if missing and not stuck:
        _stop(asked["student"], len(missing), stopped=stopped)
    st.fragment(_counting, run_every=every)(
        place, asked, chosen=chosen, picture=picture, watched=busy, stopped=stopped
    )  # fmt: skip
    st.caption(
        "Each cell gets as much noise as it bears without the network's last features changing more than allowed. "
        "Orange: it bears less than the background does on average, so the network still holds on to it; 0.2 nats less "
        "make it a concept. Thin line: the object. Approximations: few pictures, 16 × 16 cells that share their noise "
        "over the colours, 100 steps with 4 draws each, at most 7 moments of training (Cheng et al. 2020)."
    )


def _picture(place: Place, count: int) -> int:
    """Which validation picture is shown: the one that is chosen for all panels, where it is among those counted on."""
    there = int(place.history.started.data.get("validation", count)) if place.history.started else count
    number = choices.number("picture", "validation pictures", there)
    key = state.choice_key("picture", f"concepts.{count}")
    shown = place.columns[2].number_input(
        "Picture", 0, min(count, there) - 1, number if number is not None and number < count else 0, key=key,
        on_change=state.take, args=("picture", key), help="One of those, shown below; the same for all panels.",
    )  # fmt: skip
    choices.complaint("picture")
    if number is not None and number >= count:
        st.caption(f"Validation picture {number} is chosen; concepts are counted on the first {count} only.")
    return int(shown)


def _moments(place: Place) -> Moments:
    """The teacher at the end; student and student alone over their own training."""
    phase = place.phase()
    found: Moments = {"teacher": [phase.snapshots[-1]], "student": thinned(phase.snapshots, MOST)}
    roles = place.history.started.roles if place.history.started else {}
    alone = next((role for role, about in roles.items() if about.get("part") == "baseline"), None)
    learned = [one for one in place.history.snapshots if alone in one.roles]
    if learned:
        found["baseline"] = thinned(learned, MOST)
    return found


def _counting(
    place: Place, asked: dict[str, Question], *, chosen: str, picture: int, watched: bool, stopped: bool
) -> None:  # fmt: skip
    wanted = _moments(place)
    refused = ""
    until = time.monotonic() + PATIENCE
    for part, snapshot in _order([] if stopped else _missing(asked, wanted), wanted):
        refused = ask(asked[part], [snapshot], lambda share: let_go_first())
        if refused or time.monotonic() >= until:
            break
    if refused:
        state.keep("gap.concepts.refused", asked["student"])
        st.info(refused, icon=":material/info:")
    missing = _missing(asked, wanted)
    there = {
        part: [_answer(asked[part], one.name) for one in snapshots if (part, one) not in missing]
        for part, snapshots in wanted.items()
    }
    if any(there.values()):
        if missing and not refused:
            total = sum(map(len, wanted.values()))
            done = total - len(missing)
            st.progress(done / total, f"{'Stopped' if stopped else 'Counting'}: {done} of {total} moments.")
        _draw(place, wanted, there, chosen=chosen, picture=picture, left=len(missing))
    if watched and (refused or not missing):
        draw_once_more()  # the next script run sees nothing missing and sets no quick timer


def _stop(asked: Question, left: int, *, stopped: bool) -> None:
    """A button that ends the counting or takes it up again. Not in the part that counts, for which it would wait."""
    st.button(
        f"Count the other {left}" if stopped else "Stop counting", key="gap.concepts.stop",
        icon=":material/play_arrow:" if stopped else ":material/stop:", on_click=state.keep,
        args=("gap.concepts.stopped", None if stopped else asked),
    )  # fmt: skip


def _draw(
    place: Place, wanted: Moments, there: Mapping[str, Sequence[Concepts]], *, chosen: str, picture: int, left: int
) -> None:
    epoch = next((one.epoch for one in wanted["student"] if one.name == chosen), wanted["student"][-1].epoch)
    shown = {
        part: min(answers, key=lambda answer: abs(answer.epoch - epoch)) if part != "teacher" else answers[-1]
        for part, answers in there.items() if answers
    }  # fmt: skip
    st.markdown("**What each network has kept of a picture, and how many concepts that makes**")
    draw_strip(
        {part: shared(shown["teacher"], one) for part, one in shown.items() if part != "teacher"}
        if "teacher" in shown else {},
        "cells that are a concept for both, of those that are one for either",
    )  # fmt: skip
    maps, curves = st.columns([0.58, 0.42])
    figure = concepts.beside(
        shown, picture=min(picture, *(len(one.numbers) - 1 for one in shown.values())), dark=state.dark()
    )
    with maps:
        still(figure, about=f"{place.run.id} {epoch:g} concepts", key="gap.concepts.maps")
    learned = {part: learning(answers) for part, answers in there.items() if answers}
    with curves:
        figure = concept_counts.draw(learned, dark=state.dark())
        still(figure, about=f"{place.run.id} counts", key="gap.concepts.curves")
    if left:
        return
    st.markdown(_sentence(learned))
    st.dataframe(_table(learned), hide_index=True, width="stretch", column_config=_COLUMNS)
    csv_button(
        lambda: _lines([answer for answers in there.values() for answer in answers]),
        name=f"concepts-{place.run.id}", key="gap.concepts.csv",
    )  # fmt: skip


def _sentence(learned: Mapping[str, Learning]) -> str:
    student = learned["student"]
    said = f"At the end the student holds {student.on[-1]:.1f} concepts on the object of a picture"
    if "baseline" in learned:
        alone = learned["baseline"]
        said += f", the student alone {alone.on[-1]:.1f}"
    said += f" and the teacher {learned['teacher'].on[-1]:.1f}; "
    said += f"{100 * student.share[-1]:.0f} % of the student's are on the object"
    return said + (f", {100 * learned['baseline'].share[-1]:.0f} % of the other's." if "baseline" in learned else ".")


def _table(learned: Mapping[str, Learning]) -> list[dict[str, str]]:
    return [
        {
            "network": NAMES[part],
            "on": f"{one.on[-1]:.1f}",
            "beside": f"{one.beside[-1]:.1f}",
            "share": percent(float(one.share[-1]), of=99),
            "early": "–" if part == "teacher" else f"{one.early:.2f}",
            "spread": "–" if part == "teacher" else f"{one.spread:.2f}",
            "stability": "–" if part == "teacher" else percent(one.stability, of=99),
        }
        for part, one in learned.items()
    ]


_HEADS = {
    "on": ("On the object", "Concepts a picture, mean."),
    "beside": ("Beside it", "Concepts a picture, mean."),
    "share": ("Share on the object λ", "Mean over the pictures."),
    "early": (
        "Learned at D mean",
        "How far the weights had gone, in lengths of the first weights, when a picture had most concepts on the "
        "object. Less is faster.",
    ),
    "spread": ("D std", "The same, its standard deviation over pictures. Less: all at the same time."),
    "stability": ("Stability ρ", "Of the concepts on the object at any of the moments: how many stayed."),
}
_COLUMNS = {
    "network": st.column_config.TextColumn("At the end"),
    **{
        name: st.column_config.TextColumn(head, help=words, alignment="right") for name, (head, words) in _HEADS.items()
    },
}


def _lines(answers: Sequence[Concepts]) -> Any:
    for number, answer in enumerate(answers):
        lines = concepts.rows(answer)
        names = next(lines)
        if number == 0:
            yield names
        yield from lines


def _missing(asked: Mapping[str, Question], wanted: Moments) -> list[tuple[str, Snapshot]]:
    return [(part, one) for part, snapshots in wanted.items() for one in missing_of(asked[part], snapshots)]


def _order(missing: list[tuple[str, Snapshot]], wanted: Moments) -> list[tuple[str, Snapshot]]:
    """The ends first, the student's before all, then the earlier moments."""
    return sorted(missing, key=lambda one: (wanted[one[0]][-1] != one[1], one[0] != "student", -one[1].epoch))


def _answer(asked: Question, snapshot: str) -> Concepts:
    """Raises AskError."""
    found = answer_of(asked, snapshot)
    assert isinstance(found, Concepts)
    return found


SECTION = Section("Visual concepts", order=80, draw=draw)
