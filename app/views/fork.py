"""Going on from a moment of another run: choosing it on Watch, and saying it on Begin."""

from __future__ import annotations

import streamlit as st

from app import state
from app.starting import hand_over, take_up
from app.views.knobs import plain
from app.views.run_head import recipe_of, short_name_of
from kdcore.check import Fault, fork_faults
from kdcore.events import Snapshot
from kdcore.history import History, PhaseTrace
from kdcore.recipe import Parent, Recipe
from kdcore.run import Run
from kdcore.runs import UnknownRun

MOST = 5
"""Runs that a line of forks is followed back."""


def forkable(history: History) -> list[PhaseTrace]:
    """The phases that a fork can begin in: those that this run trained and kept moments of."""
    return [phase for phase in history.phases if phase.steps and phase.snapshots]


def fork(run: Run, history: History) -> None:
    """The choice of a moment, and the way to Begin with it."""
    recipe, phases = recipe_of(run), forkable(history)
    with st.popover("Fork", icon=":material/fork_right:", key="watch.fork", disabled=recipe is None or not phases,
                    help="Go on from any moment of this run with other settings, as a run of its own."):  # fmt: skip
        if recipe is None or not phases:
            return
        st.markdown("**Go on from a moment of this run, with anything changed**")
        chosen = st.selectbox(
            "Phase", range(len(phases)), len(phases) - 1, key=f"watch.fork.phase.{run.id}",
            format_func=lambda place: f"{phases[place].number + 1} {phases[place].title}",
        )  # fmt: skip
        phase = phases[chosen if chosen is not None else -1]
        moments: dict[float, Snapshot] = {snapshot.epoch: snapshot for snapshot in phase.snapshots}
        epochs = sorted(moments)
        epoch = epochs[0]
        if len(epochs) > 1:
            epoch = st.select_slider(
                "Epoch", epochs, epochs[len(epochs) // 2], key=f"watch.fork.epoch.{run.id}.{phase.number}",
                format_func=lambda value: f"{value:g}",
            )  # fmt: skip
        if epoch >= phase.epochs:
            st.caption("That is the end of the phase: a fork from there needs more epochs than this run had.")
        if st.button("Open it in Begin", type="primary", key="watch.fork.go", icon=":material/arrow_forward:"):
            hand_over(recipe.replace(parent=Parent(run.id, moments[epoch].name)))


def ancestors(run: Run) -> list[History]:
    """What the runs that this one goes on from came to, its parent first; none for a run that is no fork."""
    found: list[History] = []
    seen = {run.id}
    while len(found) < MOST - 1:
        recipe = recipe_of(run)
        if recipe is None or recipe.parent is None or recipe.parent.run in seen:
            break
        try:
            run = state.shelf().run(recipe.parent.run)
        except UnknownRun:
            break
        seen.add(run.id)
        found.append(state.history_of(run))
    return found


def parent_line(run: Run) -> None:
    """On Watch: from where a fork goes on."""
    recipe = recipe_of(run)
    if recipe is None or recipe.parent is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f":material/fork_right: {moment_said(recipe.parent)} Its curves stand behind, faint.")
        if _run_of(recipe.parent) is not None and st.button("Open the parent", key="watch.parent", type="tertiary"):
            state.choose_run(recipe.parent.run)
            st.rerun()


def parent_banner(recipe: Recipe) -> None:
    """On Begin: from where this recipe goes on, and the way to drop that."""
    if recipe.parent is None:
        return
    with st.container(border=True, key="parent"):
        st.markdown(
            f":material/fork_right: **A fork.** {moment_said(recipe.parent)} Everything below can be changed except "
            "networks that have been trained by then, the seed, and which pictures there are."
        )
        for fault in (one for one in parent_faults(recipe) if one.where == "parent"):
            st.error(plain(fault.text), icon=":material/link_off:")
        with st.container(horizontal=True):
            st.button(
                "Begin at the beginning instead", key="parent.drop", icon=":material/close:", on_click=take_up,
                args=(recipe.replace(parent=None),), help="The same settings, as a run of its own from its first step.",
            )  # fmt: skip
            if _run_of(recipe.parent) is not None and st.button(
                "Open the run it goes on from", key="parent.open", type="tertiary", icon=":material/monitoring:"
            ):
                state.go("watch", run=recipe.parent.run)


def parent_faults(recipe: Recipe) -> list[Fault]:
    """What is wrong with the moment that a recipe goes on from."""
    if recipe.parent is None:
        return []
    run = _run_of(recipe.parent)
    if run is None:
        return [Fault("parent", f"run {recipe.parent.run}, from which it would go on, is not on this shelf")]
    if _moment(run, recipe.parent.snapshot) is None:
        return [Fault("parent", f"run {run.id} kept no moment {recipe.parent.snapshot}")]
    before = recipe_of(run)
    if before is None or recipe.data.key not in state.catalog().folders["datasets"]:
        return []
    return fork_faults(recipe, before, state.catalog().card("datasets", recipe.data.key).knobs)


def moment_said(parent: Parent) -> str:
    """The moment in a sentence: "Goes on from “…” at epoch 20 of 60 of its phase 3, “…”."."""
    run = _run_of(parent)
    found = None if run is None else _moment(run, parent.snapshot)
    if run is None or found is None:
        return f"Goes on from run {parent.run} at its moment {parent.snapshot}, which is not here."
    phase, snapshot = found
    return (
        f"Goes on from run “{plain(short_name_of(recipe_of(run)))}” at epoch {snapshot.epoch:g} of {phase.epochs} of "
        f"its phase {phase.number + 1}, “{plain(phase.title)}”."
    )


def _run_of(parent: Parent) -> Run | None:
    try:
        return state.shelf().run(parent.run)
    except UnknownRun:
        return None


def _moment(run: Run, name: str) -> tuple[PhaseTrace, Snapshot] | None:
    for phase in state.history_of(run).phases:
        for snapshot in phase.snapshots:
            if snapshot.name == name:
                return phase, snapshot
    return None
