"""The choices of Look inside: which run, which phase, which picture, which layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import state
from app.views.run_head import SAID, name_of, recipe_of
from kdcore.history import History, PhaseTrace
from kdcore.run import Run

SHOWN = 40
"""Runs in the list."""


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
    chosen = None if wrong else state.chosen_run()
    if chosen is None:
        finished = [run for run in runs if not run.recorded and run.state() == "finished"]
        chosen = (finished or [run for run in runs if run.recorded] or runs)[0]
    listed = runs[:SHOWN]
    if all(run.id != chosen.id for run in listed):
        listed = [chosen, *listed]
    names = {run.id: _name(run) for run in listed}
    head, ways = st.columns([0.72, 0.28], vertical_alignment="bottom")
    picked = head.selectbox(
        "Run", list(names), index=list(names).index(chosen.id), format_func=names.__getitem__,
        key=f"look.run.{chosen.id}", label_visibility="collapsed",
    )  # fmt: skip
    if picked != chosen.id:
        state.choose_run(picked)
        st.rerun()
    with ways.container(horizontal=True, horizontal_alignment="right", gap="small"):
        if st.button("Watch", icon=":material/monitoring:", key="look.watch", help="The curves of this run."):
            state.go("watch", run=chosen.id)
        with st.popover("Link", icon=":material/link:", help="Whoever opens it on this server sees this run."):
            st.code(state.address(page, run=chosen.id), language=None, wrap_lines=True)
    return chosen


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


def taught(history: History) -> list[PhaseTrace]:
    """The phases in which somebody learned from a teacher and of which there are snapshots."""
    return [
        phase for phase in history.phases
        if phase.snapshots and any(lesson.get("kind") == "knowledge" for lesson in phase.lessons)
    ]  # fmt: skip


def phase_choice(history: History) -> int | None:
    """Which phase to look at, counted from 0: a choice where there are several; None where there is none."""
    phases = taught(history)
    if not phases:
        return None
    if len(phases) == 1:
        return phases[0].number
    titles = {phase.number: phase.title for phase in phases}
    return st.selectbox(
        "Phase", list(titles), index=len(titles) - 1, format_func=titles.__getitem__, key=f"look.phase.{len(titles)}"
    )


def picture_choice(history: History, *, into: Any) -> int:
    """Which validation picture, counted from 0."""
    count = int(history.started.data.get("validation", 1)) if history.started else 1
    return int(
        into.number_input(
            "Picture", 0, max(0, count - 1), 0, key=f"look.picture.{count}",
            help=f"One of the {count:,} validation pictures, which no network has learned from.",
        )
    )  # fmt: skip


def layer_choice(history: History, phase: PhaseTrace, *, into: Sequence[Any], key: str) -> tuple[int, int]:
    """(student layer, teacher layer) counted from 0, -1 for what the run matched."""
    found = []
    for place, (side, (view, layers)) in zip(into, layers_of(history, phase).items(), strict=True):
        names = {-1: "automatic", **{number: layer_name(layer) for number, layer in enumerate(layers)}}
        found.append(
            place.selectbox(
                f"Layer of the {side}",
                list(names),
                format_func=names.__getitem__,
                key=f"look.{key}.{side}.{view}.{len(layers)}",
            )
        )
    return int(found[0]), int(found[1])


def layers_of(history: History, phase: PhaseTrace) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    """student and teacher of the phase's last lesson -> (their view, their layers, shallow to deep)."""
    lesson = next(lesson for lesson in reversed(phase.lessons) if lesson.get("kind") == "knowledge")
    roles = history.started.roles if history.started else {}
    return {
        side: (str(lesson[side]), roles.get(str(lesson[side]).split(":")[0], {}).get("layers", []))
        for side in ("student", "teacher")
    }


def layer_name(layer: dict[str, Any]) -> str:
    """ "stage 2 · 16 channels of 4×4"."""
    channels, *plane = layer["shape"]
    if list(plane) in ([], [1, 1]):
        return f"{layer['name']} · {channels} neurons"
    return f"{layer['name']} · {channels} channels of {plane[0]}×{plane[1]}"


def _name(run: Run) -> str:
    word = "recorded" if run.recorded else SAID[run.state()][2]
    return f"{name_of(recipe_of(run))} · {word} · {run.id[:4]}{run.id[16:]}"
