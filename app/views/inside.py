"""The choices of Look inside: which run, which phase, which picture, which layers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import state
from app.live import role_name
from app.live.series import part_of
from app.views import chosen
from app.views.knobs import plain
from app.views.run_head import SAID, name_of, recipe_of
from kdcore.answer import Answer
from kdcore.answers.map_grid import MapGrid
from kdcore.history import History, PhaseTrace
from kdcore.run import Run

SHOWN = 40
"""Runs in the list."""
ALL = -1
"""No one class in particular."""


def run_choice(*, page: str = "look") -> Run | None:
    """Draws the head of the page with the list of runs; the chosen run, or None where there is none.

    `page` is where the link leads.
    """
    wrong = state.wrong_run()
    if wrong:
        st.warning(wrong, icon=":material/search_off:")
    runs = state.shelf().runs()
    if not runs:
        return None
    shown = None if wrong else state.chosen_run()
    if shown is None:
        finished = [run for run in runs if not run.recorded and run.state() == "finished"]
        shown = (finished or [run for run in runs if run.recorded] or runs)[0]
    listed = runs[:SHOWN]
    if all(run.id != shown.id for run in listed):
        listed = [shown, *listed]
    names = {run.id: _name(run) for run in listed}
    head, ways = st.columns([0.72, 0.28], vertical_alignment="bottom")
    picked = head.selectbox(
        "Run", list(names), index=list(names).index(shown.id), format_func=names.__getitem__,
        key=f"look.run.{shown.id}", label_visibility="collapsed",
    )  # fmt: skip
    if picked != shown.id:
        state.choose_run(picked)
        st.rerun()
    with ways.container(horizontal=True, horizontal_alignment="right", gap="small"):
        if st.button("Watch", icon=":material/monitoring:", key="look.watch", help="The curves of this run."):
            state.go("watch", run=shown.id)
        # Opening it draws the page again: the address is then as it is by now.
        with st.popover(
            "Link", icon=":material/link:", key="look.link", on_change="rerun",
            help="Whoever opens it on this server sees what you see.",
        ):  # fmt: skip
            st.code(state.address(page, **{**state.here(), "run": shown.id}), language=None, wrap_lines=True)
    return shown


def nothing_here() -> None:
    """No run at all: what will stand here, and how to get it."""
    st.markdown("#### Look inside two networks at once")
    st.markdown(
        "Here you will see what the teacher's layers see in a picture and what the student's make of it, where their "
        "neurons switch on and off, and which layers teach which, epoch by epoch. It needs a run."
    )
    if st.button("Begin a distillation", type="primary", icon=":material/play_arrow:", key="look.begin"):
        state.go("begin")


def training(run: Run, history: History, *, going: bool) -> None:
    """The student has not been taught yet, or nothing was recorded: says which, and looks again while the run goes."""
    if going:
        st.info(
            "The student has not begun to learn from a teacher yet: its pictures come with its first snapshot. This "
            "page looks again by itself.",
            icon=":material/hourglass_empty:",
        )
        st.fragment(_look_again, run_every=1.0)(run)
    elif not history.snapshots:
        st.info("This run ended without a snapshot, so there is nothing to look into.", icon=":material/info:")
    else:
        st.info("This run ended before its student was taught, so there is nothing to compare.", icon=":material/info:")


def _look_again(run: Run) -> None:
    if taught(state.history_of(run)) or run.state() not in ("waiting", "running"):
        st.rerun()


def points(history: History) -> bool:
    """Whether the run's inputs are points in a plane and not pictures."""
    return history.started is not None and len(history.started.data.get("shape", ())) == 1


def pictures(history: History) -> bool:
    """Whether the run's inputs are pictures."""
    return not points(history)


def said_of_picture(answer: Answer) -> str:
    """A second sentence under feature maps: which picture this is and what the networks say."""
    assert isinstance(answer, MapGrid)
    return f"The picture is {answer.picture_says}."


def taught(history: History) -> list[PhaseTrace]:
    """The phases in which somebody learned from a teacher and of which there are snapshots."""
    return [
        phase for phase in history.phases
        if phase.snapshots and any(lesson.get("kind") == "knowledge" for lesson in phase.lessons)
    ]  # fmt: skip


def phase_choice(history: History) -> int | None:
    """Which phase to look at, counted from 0: a choice where there are several; None where there is none."""
    phases = taught(history)
    state.keep("epoch.shown", False)
    if not phases:
        return None
    number = phases[0].number if len(phases) == 1 else _one_of(phases)
    if told := who_is_who(history, history.phases[number]):
        st.caption(f":material/groups: {told}")
    return number


def _one_of(phases: list[PhaseTrace]) -> int:
    """The one of several phases that is chosen, counted from 0; draws the choice."""
    titles = {phase.number: phase.title for phase in phases}
    wanted = state.selected("phase")
    number = int(wanted) - 1 if re.fullmatch(r"[0-9]{1,3}", wanted) else phases[-1].number
    if (wanted and str(number + 1) != wanted) or number not in titles:
        said = " or ".join(f"{place + 1} ({title})" for place, title in titles.items())
        state.refuse("phase", f"phase={wanted}: to be looked at is phase {said}; the last of them is shown.")
        number = phases[-1].number
    key = state.choice_key("phase", str(len(titles)))
    st.selectbox(
        "Phase", list(titles), index=list(titles).index(number), format_func=titles.__getitem__, key=key,
        on_change=state.take, args=("phase", key, _phase_in_address),
    )  # fmt: skip
    chosen.complaint("phase")
    return number


def picture_choice(history: History, *, into: Any, without: str = "") -> int:
    """Which validation picture, counted from 0: the same for all panels, "picture" in the address.

    Where no picture is shown, `without` says why: the control stands there, out of use, with that reason.
    """
    count = int(history.started.data.get("validation", 1)) if history.started else 1
    number = chosen.number("picture", "validation pictures", count)
    key = state.choice_key("picture", str(count))
    into.number_input(
        "Picture", 0, max(0, count - 1), number or 0, key=key, on_change=state.take, args=("picture", key),
        help=without or f"One of the {count:,} validation pictures, which no network has learned from.",
        disabled=bool(without),
    )  # fmt: skip
    if without:
        into.caption(without)
    chosen.complaint("picture")
    return number or 0


def test_choice(history: History, *, into: Any, help: str) -> int:
    """Which test input, counted from 0: the same for all panels, "test" in the address."""
    count = int(history.started.data.get("test") or 1) if history.started else 1
    number = chosen.number("test", "test inputs", count)
    key = state.choice_key("test", str(count))
    into.number_input(
        "Test picture" if pictures(history) else "Test point", 0, max(0, count - 1), number or 0, key=key, help=help,
        on_change=state.take, args=("test", key),
    )  # fmt: skip
    chosen.complaint("test")
    return number or 0


def class_choice(history: History, *, into: Any) -> int | None:
    """Which class, counted from 0, or None for all of them: the same for all panels, "class" in the address."""
    names = [str(name) for name in (history.started.data.get("class_names") or [])] if history.started else []
    number = chosen.number("class", "classes", len(names))
    key = state.choice_key("class", str(len(names)))
    into.selectbox(
        "Class", [ALL, *range(len(names))], index=0 if number is None else number + 1, key=key,
        format_func=lambda place: "all classes" if place == ALL else names[place]
        if names[place].startswith("class") else f"class {names[place]}",
        on_change=state.take, args=("class", key, lambda place: "" if place == ALL else str(place)),
    )  # fmt: skip
    chosen.complaint("class")
    return number


def layer_choice(history: History, phase: PhaseTrace, *, into: Sequence[Any], key: str) -> tuple[int, int]:
    """(student layer, teacher layer) counted from 0, -1 for what the run matched: the same for all panels, "layers" in
    the address. `key` tells the controls of two such choices on one page apart.
    """
    sides = layers_of(history, phase)
    pair = chosen.layers(*(len(layers) for _, layers in sides.values()))
    for number, (place, (side, (view, layers))) in enumerate(zip(into, sides.items(), strict=False)):
        names = {chosen.AUTOMATIC: "automatic", **{place: layer_name(layer) for place, layer in enumerate(layers)}}
        mine = state.choice_key("layers", f"{key}.{side}.{view}.{len(layers)}")

        def said(layer: int, number: int = number) -> str:
            return chosen.said_of_layers(*(layer, pair[1]) if number == 0 else (pair[0], layer))

        place.selectbox(
            f"Layer of the {side}", list(names), index=list(names).index(pair[number]), format_func=names.__getitem__,
            key=mine, on_change=state.take, args=("layers", mine, said),
        )  # fmt: skip
    chosen.complaint("layers")
    return pair


def _phase_in_address(number: int) -> str:
    return str(number + 1)


def layers_of(history: History, phase: PhaseTrace) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    """student and teacher of the phase's last lesson -> (their view, their layers, shallow to deep).

    The student's own lesson where others (peers, a generator of pictures) are taught in the phase too, as
    `kdcore.beside.sides` has it.
    """
    taught = [lesson for lesson in phase.lessons if lesson.get("kind") == "knowledge"]
    own = [lesson for lesson in taught if part_of(str(lesson["student"]), history) == "student"]
    lesson = (own or taught)[-1]
    roles = history.started.roles if history.started else {}
    return {
        side: (str(lesson[side]), roles.get(str(lesson[side]).split(":")[0], {}).get("layers", []))
        for side in ("student", "teacher")
    }


def who_is_who(history: History, phase: PhaseTrace) -> str:
    """Whom the phase's pictures call student and teacher, where it is not the roles of that name; else ""."""
    (student, _), (teacher, _) = layers_of(history, phase).values()
    told = [] if student == "student" else [f"the student is **{plain(role_name(student, history))}**"]
    if teacher == student.partition(":")[0]:
        told.append("the teacher is the **last exit of the same network**")
    elif part_of(teacher, history) != "teacher":
        told.append(f"the teacher is **{plain(role_name(teacher, history))}**")
    return f"On this page {' and '.join(told)}." if told else ""


def flat(layer: dict[str, Any]) -> bool:
    """Whether a layer has neurons without a place in the picture, and so no maps."""
    return list(layer["shape"][1:]) in ([], [1, 1])


def layer_name(layer: dict[str, Any]) -> str:
    """ "stage 2 · 16 channels of 4×4"."""
    channels, *plane = layer["shape"]
    if flat(layer):
        return f"{layer['name']} · {channels} neurons"
    return f"{layer['name']} · {channels} channels of {plane[0]}×{plane[1]}"


def _name(run: Run) -> str:
    word = "recorded" if run.recorded else SAID[run.state()][2]
    return f"{run.id[:4]}{run.id[16:]} · {name_of(recipe_of(run))} · {word}"  # a list cuts what is long at its end
