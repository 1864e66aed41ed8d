"""The gradients of a phase: two small charts that grow while the run goes on."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go
import streamlit as st

from app import state
from app.charts import gradients as chart
from app.live import live_figure, role_name
from app.live.series import term_name
from app.views.knobs import plain
from app.views.moment import as_csv
from kdcore.history import History, PhaseTrace
from kdcore.run import Run

HELP = (
    "Measured now and then while training: the gradient of each weighted term on the learner's weights, taken apart. A "
    "term with a much shorter gradient hardly teaches, whatever its loss is. A negative cosine says that following the "
    "teacher undoes what the labels teach at that moment."
)


def newest_apart(history: History) -> PhaseTrace | None:
    """The newest phase in which a loss of several terms was taken apart, or else in which any was."""
    measured = [phase for phase in history.phases if chart.measured(phase)]
    several = [phase for phase in measured if any(len(phase.gradients[who]) > 1 for who in chart.measured(phase))]
    found = several or measured
    return found[-1] if found else None


def grown(figure: go.Figure, about: str, says: str, key: str) -> None:
    """Small, and grows in place while the run goes on."""
    live_figure(figure, about=about, says=says, key=key)


def gradients(
    run: Run, phase: PhaseTrace, history: History, *, key: str,
    drawn: Callable[[go.Figure, str, str, str], None] = grown,
) -> None:  # fmt: skip
    """Draws both charts of a phase with measured gradients, and names terms that teach nothing.

    `drawn` is given each figure, what names it, what it says, and its key.
    """
    learners = chart.measured(phase)
    st.markdown("##### What each part of the loss does", help=HELP)
    learner = "student" if "student" in learners else learners[0]
    if len(learners) > 1:
        learner = st.segmented_control(
            "Learner", learners, format_func=lambda one: role_name(one, history), default=learner, required=True,
            key=f"{key}.learner.{phase.number}", label_visibility="collapsed",
        ) or learner  # fmt: skip
    for term in [one for one in chart.broken(phase, learner) if not trains_parts(one)]:
        st.error(
            f"**{plain(term_name(term))} is broken here**: it gives the {plain(role_name(learner, history))} no "
            "gradient, so it teaches nothing. Match other layers, or take it out.",
            icon=":material/heart_broken:",
        )
    says = chart.says(phase, learner, history)
    if says:
        st.caption(plain(says))
    about = f"{run.id} {phase.number} {learner}"
    if learner in phase.cosines and any(value is not None for value in phase.cosines[learner].values):
        left, right = st.columns(2, gap="medium")
        with left:
            drawn(chart.lengths(phase, learner, history, dark=state.dark()), about, says, f"{key}.lengths")
        with right:
            drawn(chart.cosines(phase, learner, history, dark=state.dark()), about, says, f"{key}.cosines")
    else:
        drawn(chart.lengths(phase, learner, history, dark=state.dark()), about, says, f"{key}.lengths")
        st.caption(
            "Whether labels and teacher pull the same way (the cosine of their gradients) can be said where one loss "
            "has both; here it has only one of them."
        )


def trains_parts(term: str) -> bool:
    """Whether only the method's own parts learn by a term such as "crd.teacher", and the learner is not meant to."""
    name = term.rpartition(": ")[2].partition(".")[2]
    card = state.catalog().folders["methods"].get(method_of(term))
    return card is not None and name in (card.facts["own_terms"] or ())


def method_of(term: str) -> str:
    """The key of the method that a term such as "crd.teacher" or "teacher 2: kd 2.kd" is of."""
    return term.rpartition(": ")[2].partition(".")[0].split(" ")[0]


def table(phase: PhaseTrace, learner: str) -> str:
    """The measured values as CSV."""
    return as_csv(chart.rows(phase, learner))
