"""A probe's answers over the snapshots of a phase, as a film: one at once, the others while it is looked at."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import streamlit as st

from app import state
from app.chart import chart_of
from app.charts import film
from app.film import play
from app.views import chosen as choices
from app.views.nearness import shares, strip
from app.views.waiting import Waiting, at_work, draw_once_more, in_part, let_go_first
from kdcore.answer import Answer
from kdcore.clerk import patiently
from kdcore.events import Snapshot
from kdcore.history import PhaseTrace
from kdcore.launch import AskError
from kdcore.patience import Waits
from kdcore.run import Run

MOST = 60
"""Frames of a film."""
PATIENCE = 1.0
"""Seconds of asking for more epochs between two drawings."""
BRIEFLY = 0.2
"""The same, where whatever is chosen meanwhile has to wait."""
SOON, LATER = 0.2, 2.0
"""Seconds until the next look: while answers are missing, and while a run may write more snapshots."""


@dataclass(frozen=True)
class Question:
    """What is asked at each snapshot of a run."""

    run: str
    created: float
    probe: str
    settings: str
    """JSON with sorted keys."""


def question(run: Run, probe: str, **settings: Any) -> Question:
    """A question about this run."""
    return Question(run.id, run.created, probe, json.dumps(settings, sort_keys=True))


def scrubber(
    asked: Question,
    history_phase: Callable[[], PhaseTrace],
    *,
    key: str,
    going: bool,
    also: Callable[[Answer], str] | None = None,
    chosen: Callable[[tuple[int, int]], None] | None = None,
    brushed: Callable[[Answer, tuple[int, ...]], None] | None = None,
    marked: tuple[int, int] | None = None,
    standing: Callable[[Answer], Sequence[int]] | None = None,
) -> None:
    """Draws the film of a question over a phase. `going`: whether the run may write more; `also`: a second sentence.

    `chosen` is told (row, column) of a heat map's field that was clicked; the page is drawn again after it. `brushed`
    draws below the film what belongs to the chosen points, given the answer at the chosen epoch and their rows.
    `standing` gives the rows that stand out while none is chosen. `marked` is the (row, column) that the `marks` of the
    chart frame in every epoch.
    """
    refused = state.kept(f"{key}.refused") == asked
    phase = history_phase()
    choices.epoch(phase)
    choices.complaint("epoch")
    stopped = state.kept(f"{key}.stopped") == asked
    left = [] if refused else missing_of(asked, thinned(phase.snapshots))
    missing = left and not stopped
    every = SOON if missing else LATER if going else None
    film, below = st.container(), st.container()
    with below:
        _stop(asked, left, stopped=stopped, key=key)
    with film:
        st.fragment(_film, run_every=every)(
            asked,
            history_phase,
            key=key,
            also=also,
            chosen=chosen,
            brushed=brushed,
            marked=marked,
            standing=standing,
            watched=bool(missing),
        )


def _film(
    asked: Question, history_phase: Callable[[], PhaseTrace], *, key: str, watched: bool,
    also: Callable[[Answer], str] | None, chosen: Callable[[tuple[int, int]], None] | None,
    brushed: Callable[[Answer, tuple[int, ...]], None] | None, marked: tuple[int, int] | None,
    standing: Callable[[Answer], Sequence[int]] | None,
) -> None:  # fmt: skip
    phase = history_phase()
    wanted = thinned(phase.snapshots)
    stopped = state.kept(f"{key}.stopped") == asked
    first = choices.nearest(wanted, choices.epoch(phase)) if wanted else None
    missing = [] if stopped else _order(missing_of(asked, wanted), first=first)
    at_once = [snapshot for snapshot in missing if snapshot is first]
    waiting = Waiting(st.empty())
    refused = ask(asked, at_once, waiting)
    waiting.over()
    there = [snapshot for snapshot in wanted if (asked, snapshot.name) in _KNOWN]
    if there:
        _draw(
            asked, phase, there, len(wanted), key=key, also=also, chosen=chosen, brushed=brushed, marked=marked,
            standing=standing,
        )  # fmt: skip
    elif stopped:
        st.info("Stopped before it was done.", icon=":material/stop_circle:")
    elif not refused:
        st.info("The first snapshot is being written.", icon=":material/info:")
    if missing and not at_once:
        refused = ask(asked, missing, lambda share: let_go_first(), seconds=BRIEFLY if in_part() else PATIENCE)
        if not refused and missing_of(asked, wanted):
            at_work()
    if refused:
        state.keep(f"{key}.refused", asked)
        st.info(refused, icon=":material/info:")
    if watched and (refused or stopped or not missing_of(asked, wanted)):
        draw_once_more()  # the next script run sees nothing missing and sets no quick timer


def ask(asked: Question, snapshots: Sequence[Snapshot], waits: Waits, *, seconds: float = math.inf) -> str:
    """Asks for the answers at these, one after the other, for so long. Why one is refused, or "".

    What is chosen on the page meanwhile goes first.
    """
    until = time.monotonic() + seconds
    for snapshot in snapshots:
        let_go_first()
        try:
            answer_of(asked, snapshot.name, waits)
        except AskError as error:
            return str(error)
        _KNOWN.add((asked, snapshot.name))
        if time.monotonic() >= until:
            break
    return ""


def _stop(asked: Question, left: Sequence[Snapshot], *, stopped: bool, key: str) -> None:
    """A button that ends the asking for epochs that are not there yet, or takes it up again.

    It stands outside of the fragment, for whose end a button in it would wait: so it ends the answer under way, too.
    """
    if stopped and left:
        st.button(
            f"Compute the other {len(left)} epochs", key=f"{key}.on", icon=":material/play_arrow:",
            on_click=state.keep, args=(f"{key}.stopped", None),
        )  # fmt: skip
    elif len(left) > 1:
        st.button(
            "Stop computing", key=f"{key}.stop", icon=":material/stop:", on_click=state.keep,
            args=(f"{key}.stopped", asked),
        )  # fmt: skip


def _draw(
    asked: Question,
    phase: PhaseTrace,
    there: list[Snapshot],
    total: int,
    *,
    key: str,
    also: Callable[[Answer], str] | None,
    chosen: Callable[[tuple[int, int]], None] | None,
    brushed: Callable[[Answer, tuple[int, ...]], None] | None,
    marked: tuple[int, int] | None,
    standing: Callable[[Answer], Sequence[int]] | None,
) -> None:
    answers = [answer_of(asked, snapshot.name) for snapshot in there]
    st.markdown(f"**{answers[-1].title}**")
    moments = tuple(
        (snapshot.name, snapshot.epoch, f"epoch {snapshot.epoch:g} of {phase.epochs}") for snapshot in there
    )
    packed, stamp = _packed(asked, moments, json.dumps(_scales(answers), sort_keys=True), state.dark())
    if marked is not None:
        marks = chart_of(answers[-1]).marks(answers[-1], marked)
        packed, stamp = {**packed, "layout": {**packed["layout"], **marks}}, f"{stamp} {marked}"
    says = [answer.says + (f" {also(answer)}" if also else "") for answer in answers]
    frames = [
        {**_with_nearness(frame, answer), "says": said, "near": shares(answer.nearness)}
        for frame, said, answer in zip(packed["frames"], says, answers, strict=True)
    ]
    told = play(
        {**packed, "frames": frames, "near": strip(answers[-1].nearness, answers[-1].nearness_of)},
        about=f"{asked.run} {phase.number} {asked.probe}", stamp=stamp, done=len(there), total=total,
        at=_turned(phase), key=key, cells=chosen is not None, brush=brushed is not None,
        standing=() if standing is None else standing(answers[-1]),
    )  # fmt: skip
    if told.moved:
        choices.choose_epoch(told.epoch)
        state.keep("film.said", state.selected("epoch"))
        if state.kept("epoch.shown"):
            st.rerun()
    if told.cell is not None and chosen is not None:
        chosen(told.cell)
        st.rerun()
    if brushed is not None:
        moment = choices.nearest(there, choices.epoch(phase))
        brushed(answer_of(asked, moment.name), told.rows)
    st.download_button(
        "CSV of all epochs", data=lambda: table(there, answers), file_name=f"kdlab-{asked.probe}-{asked.run}.csv",
        mime="text/csv", on_click="ignore", key=f"{key}.csv", icon=":material/download:", type="tertiary",
    )  # fmt: skip


def _with_nearness(frame: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """The frame, each step of its slider with how near the networks are there, where the chart can tell."""
    chart = chart_of(answer)
    if not hasattr(chart, "nearness") or "lenses" not in frame:
        return frame
    steps = zip(frame["lenses"], chart.nearness(answer), strict=True)
    return {**frame, "lenses": [{**lens, "near": shares(near), "of": of} for lens, (near, of) in steps]}


def _turned(phase: PhaseTrace) -> tuple[int, float | None]:
    """(turn, epoch) for the films: a new turn whenever the epoch was chosen elsewhere than on a film.

    A film that told of its epoch stands there already and hears nothing back.
    """
    wanted = choices.epoch(phase)
    turn, before = state.kept("film.at", (-1, None))
    if turn < 0 or state.selected("epoch") != state.kept("film.said", ""):
        turn, before = turn + 1, wanted
        state.keep("film.at", (turn, before))
        state.keep("film.said", state.selected("epoch"))
    return turn, before


def forget() -> None:
    """Drops every answer that this server remembers; those beside the runs stay."""
    _KNOWN.clear()
    _answered.cache_clear()
    _figure.cache_clear()
    _packed.cache_clear()


def thinned(snapshots: Sequence[Snapshot], most: int = MOST) -> list[Snapshot]:
    """At most so many of them, evenly spread, the first and the last among them."""
    if len(snapshots) <= most:
        return list(snapshots)
    places = {round(number * (len(snapshots) - 1) / (most - 1)) for number in range(most)}
    return [snapshots[place] for place in sorted(places)]


def table(snapshots: Sequence[Snapshot], answers: Sequence[Answer]) -> str:
    """All answers as one CSV, an epoch in the first column."""
    text = io.StringIO()
    writer = csv.writer(text)
    for number, (snapshot, answer) in enumerate(zip(snapshots, answers, strict=True)):
        lines: Iterator[tuple[object, ...]] = chart_of(answer).rows(answer)
        names = next(lines)
        if number == 0:
            writer.writerow(["epoch", *names])
        writer.writerows([f"{snapshot.epoch:g}", *line] for line in lines)
    return text.getvalue()


_KNOWN: set[tuple[Question, str]] = set()


def missing_of(asked: Question, wanted: Sequence[Snapshot]) -> list[Snapshot]:
    """Of these, those without an answer."""
    return [snapshot for snapshot in wanted if (asked, snapshot.name) not in _KNOWN]


def _order(snapshots: list[Snapshot], *, first: Snapshot | None = None) -> list[Snapshot]:
    """The one wanted at once, then last, first, and always the middle of the widest gap: a film that grows finer."""
    places, order = list(range(len(snapshots))), []
    for stride in (len(places), 16, 8, 4, 2, 1):
        order += [place for place in reversed(places) if place not in order and (len(places) - 1 - place) % stride == 0]
    return sorted((snapshots[place] for place in order), key=lambda one: one is not first)


def answer_of(asked: Question, snapshot: str, waits: Waits = patiently) -> Answer:
    """The answer at that snapshot. Raises AskError, which is not kept."""
    before = _WAITS.set(waits)
    try:
        return _answered(asked, snapshot)
    finally:
        _WAITS.reset(before)


_WAITS: ContextVar[Waits] = ContextVar("waits", default=patiently)
"""Who waits for the answer: not what it depends on."""


@lru_cache(maxsize=512)
def _answered(asked: Question, snapshot: str) -> Answer:
    return state.desk().ask(asked.run, asked.probe, json.loads(asked.settings), snapshot, waits=_WAITS.get())


@lru_cache(maxsize=256)
def _figure(asked: Question, snapshot: str, scales: str, dark: bool) -> dict[str, Any]:
    answer = answer_of(asked, snapshot)
    fixed = json.loads(scales)
    chart = chart_of(answer)
    return film.packed(chart.draw(answer, dark=dark, **({"fixed": fixed} if fixed else {})))


@lru_cache(maxsize=16)
def _packed(
    asked: Question, moments: tuple[tuple[str, float, str], ...], scales: str, dark: bool
) -> tuple[dict[str, Any], str]:
    """(the film without its sentences, a stamp that changes whenever it does); moments are (name, epoch, label)."""
    made = film.film([
        (_figure(asked, name, scales, dark), {"name": name, "epoch": epoch, "label": label})
        for name, epoch, label in moments
    ])  # fmt: skip
    said = json.dumps([made["layout"], made.get("lens"), [[one["stamp"], one["label"]] for one in made["frames"]]])
    return made, hashlib.blake2b(f"{asked} {said}".encode(), digest_size=8).hexdigest()


def _scales(answers: Sequence[Answer]) -> dict[str, list[float]]:
    chart = chart_of(answers[-1])
    return chart.scales(answers) if hasattr(chart, "scales") else {}
