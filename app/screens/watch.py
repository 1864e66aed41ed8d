"""Watch: a run as it goes, or as it went."""

from __future__ import annotations

import time

import streamlit as st

from app import state
from app.live import live_chart, live_data, role_name
from app.page import Page
from app.views.fork import ancestors, fork, parent_line
from app.views.gradients import gradients, method_of, newest_apart
from app.views.hardest import hardest, newest_hardest
from app.views.inside import pictures
from app.views.knobs import plain
from app.views.run_head import SAID, ending, name_of, progress_line, recipe_of, run_head
from app.views.shown import films
from app.views.verdict import verdict
from kdcore.history import History
from kdcore.run import Run

GOING = ("waiting", "running")
EAGER, STEADY = 0.1, 0.5
"""Seconds between looks before the first step of a run, and after."""
FIRST = 0.4
"""Seconds for which the page waits for that first step as it is opened: with it, nothing has to be drawn twice."""
MANY = ((3, STEADY), (6, 1.0))
"""Up to so many tabs on one run, seconds between the looks of each."""
CROWD = 2.0
"""Seconds between the looks of each tab where more than that watch: what they cost is taken from the run's own time."""
BELOW = 1.5
"""Seconds between looks for what stands below the curves."""


def show() -> None:
    run = state.chosen_run()
    if run is None:
        _nothing(state.wrong_run())
        return
    now = run.state()
    going = now in GOING
    history = state.history_of(run)
    run_head(run, now, more=lambda: fork(run, history))
    parent_line(run)
    if going:
        history = _with_first_step(run, history, seconds=FIRST)
    pace = _pace(run, history) if going else None  # another one later means that the whole page is drawn again
    st.fragment(_present, run_every=pace)(run, going=going, pace=pace)
    st.fragment(_below, run_every=max(BELOW, pace) if pace else None)(run)


def _pace(run: Run, history: History) -> float:
    """Seconds until the next look at a run that goes on."""
    count = state.watchers(run)
    steady = next((seconds for most, seconds in MANY if count <= most), CROWD)
    return steady if _stepped(history) else min(EAGER, steady)


def _with_first_step(run: Run, history: History, *, seconds: float) -> History:
    """What the run has come to, its first step with it if that is taken within so many seconds."""
    until = time.monotonic() + seconds
    while not _stepped(history) and run.state() in GOING and time.monotonic() < until:
        time.sleep(0.02)
        history = state.history_of(run)
    return history


def _stepped(history: History) -> bool:
    return any(phase.step for phase in history.phases)


def _present(run: Run, *, going: bool, pace: float | None) -> None:
    """What moves fastest. Runs on its own while the run goes, and once when it is over."""
    history = state.history_of(run)
    if going:
        history = _with_first_step(run, history, seconds=EAGER)
    now = run.state()
    before = ancestors(run)
    data = state.shared(
        run, ("live", going, len(before)),
        lambda: live_data(history, run=run.id, running=going, ancestors=before),
    )  # fmt: skip
    with st.container(key="watch-top"):
        if going:
            progress_line(run, history, now, reached=data["reached"])
        elif now == "finished":
            verdict(history, parent=before[0] if before else None)
        else:
            ending(run, history, now)
    live_chart(data, key="watch-live")
    # Only now that the news is drawn: another pace, or the head and the end of a run that is over.
    if going and (now not in GOING or _pace(run, history) != pace):
        st.rerun()


def _below(run: Run) -> None:
    """What moves more slowly, below the curves."""
    history = state.history_of(run)
    _terms(history)
    films(run)
    apart = newest_apart(history)
    if apart is not None:
        gradients(run, apart, history, key="watch.gradients")
    for note in history.notes[-5:]:
        st.caption(f":material/info: {plain(note)}")
    lists = newest_hardest(history)
    if lists and pictures(history):
        st.markdown("##### Which pictures hurt most", help="Each training picture has a loss; these the largest.")
        names = {one.role: role_name(one.role, history) for one in lists}
        role = lists[0].role
        if len(lists) > 1:
            role = st.segmented_control(
                "Learner", list(names), format_func=lambda key: names[key], default=role,
                key=f"watch.hardest.{run.id}.{role}", label_visibility="collapsed", required=True,
            ) or role  # fmt: skip
        hardest(history, next(one for one in lists if one.role == role))


def _terms(history: History) -> None:
    """What the short names of the curves' losses stand for."""
    terms = dict.fromkeys(term for phase in history.phases for one in phase.terms.values() for term in one)
    keys = dict.fromkeys(method_of(term) for term in terms)
    catalog = state.catalog_at_hand()
    cards = catalog.folders["methods"] if catalog else {}
    named = [f"**{plain(key)}**: {plain(cards[key].title)}" for key in keys if key in cards]
    if named:
        st.caption(f"Losses by their short names: {' · '.join(named)}")


def _nothing(wrong: str) -> None:
    """No run chosen: what will stand here, and how to get it."""
    if wrong:
        st.warning(wrong, icon=":material/search_off:")
    st.markdown("#### Watch a distillation happen")
    st.markdown(
        "Here you will see the losses and accuracies of a run as they move: the teacher learns first, then the student "
        "alone, then the student taught by the teacher, and in the end what the teaching was worth."
    )
    if st.button("Begin a distillation", type="primary", icon=":material/play_arrow:", key="watch.begin"):
        state.go("begin")
    runs = state.shelf().runs()[:6]
    if runs:
        st.markdown("Or open one that is there, the newest first:")
    for run in runs:
        label = "recorded" if run.recorded else SAID[run.state()][2]
        name = f"{name_of(recipe_of(run))} · {label} · {run.id[:6]}{run.id[16:]}"
        if st.button(plain(name), key=f"watch.open.{run.id}", icon=":material/monitoring:"):
            state.choose_run(run.id)
            st.rerun()


PAGE = Page("watch", "Watch", ":material/monitoring:", 2, show, "watch")
