"""The head of a run's page: which run this is, how it stands, and what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from app import state, theme
from app.draft import particulars, said
from app.starting import hand_over
from app.views.knobs import plain
from app.words import gloss
from kdcore.experiments import EXPERIMENTS
from kdcore.history import History
from kdcore.launch import LaunchError
from kdcore.recipe import Recipe, RecipeError
from kdcore.run import Run, RunError

SAID = {
    "waiting": ("orange", ":material/hourglass_empty:", "waiting"),
    "running": ("blue", ":material/directions_run:", "running"),
    "finished": ("green", ":material/check_circle:", "finished"),
    "failed": ("red", ":material/error:", "failed"),
    "stopped": ("gray", ":material/stop_circle:", "stopped"),
    "lost": ("red", ":material/link_off:", "lost"),
}
"""State -> colour, symbol, word."""

AGAIN = "A new attempt at the same recipe."
LOOK = "Feature maps, boundaries and matched layers of this run."
SETTINGS = "Opens Begin with this run's recipe."
GO_ON = "Goes on from its last checkpoint, as if it had not been interrupted."
STOP = "Ends the run; what it recorded stays."


def recipe_of(run: Run) -> Recipe | None:
    """Its recipe, or None where the file was damaged."""
    try:
        return run.recipe
    except RecipeError:
        return None


def name_of(recipe: Recipe | None) -> str:
    """A recipe in a few words, told apart from others: "kd on digits, plain → mlp, kd: temperature 8", an experiment's
    by its title.
    """
    rest = "" if recipe is None else particulars(recipe.replace(parent=None))
    name = short_name_of(recipe)
    return name if recipe is None or not rest or _experiment(recipe) else f"{name}, {rest}"


def _experiment(recipe: Recipe) -> str:
    """The title of the ready-made experiment that the recipe is, of whichever seed; "" for another."""
    for experiment in EXPERIMENTS:
        if experiment.recipe == recipe.replace(seed=experiment.recipe.seed):
            return experiment.title + (f", seed {recipe.seed}" if recipe.seed else "")
    return ""


def short_name_of(recipe: Recipe | None) -> str:
    """The same without what sets it apart: "kd on digits (label noise 0.6), plain → mlp"."""
    if recipe is None:
        return "a run whose recipe is damaged"
    if title := _experiment(recipe):
        return title
    methods = " + ".join(dict.fromkeys(part.method.key for part in recipe.methods if part.weight != 0)) or "no method"
    knobs = ", ".join(f"{name.replace('_', ' ')} {said(value)}" for name, value in recipe.data.settings.items())
    data = f"{recipe.data.key} ({knobs})" if knobs else recipe.data.key
    scheme = "" if recipe.scheme.key == "offline" else f", {recipe.scheme.key}"
    fork = "" if recipe.parent is None else ", fork"
    return f"{methods} on {data}{scheme}, {recipe.teacher.key} → {recipe.student.key}{fork}"


def run_head(run: Run, now: str, *, more: Callable[[], None]) -> None:
    """Name, state and the ways on from here; `more` draws one more of them."""
    colour, symbol, word = SAID[now]
    recipe = recipe_of(run)
    ended_badly = now in ("failed", "stopped", "lost")
    name, ways = st.columns([0.46, 0.54] if ended_badly else [0.55, 0.45], vertical_alignment="center")
    recorded = " :gray-badge[:material/inventory_2: recorded, comes with the lab]" if run.recorded else ""
    name.markdown(
        f"##### {plain(short_name_of(recipe))} &nbsp; :{colour}-badge[{symbol} {word}]{recorded}",
        help=gloss("student", "teacher", "student alone", "dark knowledge", "hint layer", "temperature", "logit"),
    )
    if recipe is not None and not _experiment(recipe) and (rest := particulars(recipe.replace(parent=None))):
        name.caption(plain(rest))
    with ways.container(horizontal=True, horizontal_alignment="right", gap="small"):
        if ended_badly and can_go_on(run):
            st.button(
                "Go on", icon=":material/resume:", key="watch.go_on", help=GO_ON, type="primary", on_click=_go_on,
                args=(run,),
            )  # fmt: skip
        if ended_badly and st.button("Start again", icon=":material/replay:", key="watch.again", help=AGAIN):
            start_again(run)
        if st.button("Look inside", icon=":material/biotech:", key="watch.look", help=LOOK):
            state.go("look", run=run.id)
        if st.button("Settings", icon=":material/tune:", key="watch.settings", help=SETTINGS):
            if recipe is None:
                st.error("This run's recipe is damaged; there are no settings to open.")
            else:
                hand_over(recipe)
        more()
        with st.popover("Link", icon=":material/link:", help="Whoever opens it on this server sees this run."):
            st.code(state.address("watch", run=run.id), language=None, wrap_lines=True)
    whose, problem = state.kept("watch.go_on.problem", ("", ""))
    if problem and whose == run.id and ended_badly:
        st.error(plain(problem), icon=":material/error:")


def can_go_on(run: Run) -> bool:
    """Whether an interrupted run kept a moment to go on from."""
    return not run.recorded and run.interrupted_at() is not None


def _go_on(run: Run) -> None:
    state.keep("watch.go_on.problem", ("", ""))
    try:
        state.desk().go_on(run.id)
    except LaunchError as error:
        state.keep("watch.go_on.problem", (run.id, str(error)))


def start_again(run: Run) -> None:
    """A new attempt at the same recipe, and its page."""
    recipe = recipe_of(run)
    if recipe is None:
        st.error("This run's recipe is damaged, so it cannot be started again. Begin a new one.")
        return
    try:
        state.choose_run(state.desk().launch(recipe))
    except LaunchError as error:
        st.error(str(error))
        return
    st.rerun()


def progress_line(run: Run, history: History, now: str, *, reached: float) -> None:
    """How far a run is: phase, epoch, pace and time left, with the button that stops it. `reached` in [0, 1]."""
    phase = history.phase
    words, stop = st.columns([0.86, 0.14], vertical_alignment="center")
    if now == "waiting":
        waited = max(0.0, time.time() - run.created)
        what = "Starting a worker …" if waited < 6 else "Waiting for a free core: other runs go first."
        words.progress(0.0, text=f"{what} {theme.seconds(waited)} so far.")
    elif phase is None:
        words.progress(0.0, text="Getting the data and building the networks …")
    else:
        planned = max(history.started.phases if history.started else 0, len(history.phases))
        left = "measuring …" if phase.seconds_left is None else f"{theme.seconds(phase.seconds_left)} left in it"
        more = planned - len(history.phases)
        after = f", then {more} more phase{'s' if more > 1 else ''}" if more else ""
        words.progress(
            min(1.0, max(0.0, reached)),
            text=f"**Phase {len(history.phases)} of {planned}: {plain(phase.title)}** · epoch {phase.epoch:.0f} of "
            f"{phase.epochs} · {theme.rate(phase.rate)} · {left}{after}",
        )
    if run.stop_requested():
        stop.caption("is being stopped …")
    else:
        stop.button(
            "Stop", icon=":material/stop:", key="watch.stop", width="stretch", help=STOP, on_click=_stop, args=(run,)
        )
    if problem := state.kept("watch.stop.problem"):
        st.error(plain(problem))


def _stop(run: Run) -> None:
    state.keep("watch.stop.problem", "")
    try:
        run.request_stop()
    except (RunError, OSError) as error:
        state.keep("watch.stop.problem", f"The run could not be asked to stop: {error}")


def ending(run: Run, history: History, now: str) -> None:
    """Why a run that did not finish ended, and what would be right."""
    if now == "failed":
        advice = f"\n\n{plain(history.advice)}" if history.advice else ""
        why = plain(f"{history.failure[:1].upper()}{history.failure[1:]}".rstrip(".") or "No reason was given") + "."
        st.error(f"**The run failed.** {why}{advice}", icon=":material/error:")
    elif now == "stopped":
        on = "Go on carries on from its last checkpoint; " if can_go_on(run) else ""
        st.info(f"The run was stopped. What it recorded until then is below; {on}Start again begins a new attempt.")
    elif now == "lost":
        at = f", in phase {len(history.phases)}" if history.phases else ", before its first step"
        on = "Go on carries on from its last checkpoint. " if can_go_on(run) else ""
        st.warning(
            f"**The process of this run is gone without a word{at}**: it was killed, or the machine went down or ran "
            f"out of memory. Everything recorded until then is below. {on}Start again makes a new attempt at the same "
            "recipe; a smaller batch or network needs less memory.",
            icon=":material/link_off:",
        )
