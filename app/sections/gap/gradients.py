"""How hard each term of the loss pulls at the student, and whether labels and teacher pull together."""

from __future__ import annotations

from functools import partial

import plotly.graph_objects as go
import streamlit as st

from app import state
from app.charts import gradients as chart
from app.section import Place, Section
from app.views.gradients import gradients, table
from app.views.still import still
from kdcore.history import History


def draw(place: Place) -> None:
    st.fragment(_charts, run_every=2.0 if place.going else None)(place)


def _charts(place: Place) -> None:
    phase = place.phase()
    learners = chart.measured(phase)
    if not learners:
        st.info(
            "No gradient was measured in this phase yet: they are taken now and then while a network trains, and runs "
            "of earlier versions have none.",
            icon=":material/info:",
        )
        return
    gradients(place.run, phase, state.history_of(place.run), key="gap.gradients", drawn=_whole)
    st.caption(
        "A gradient says how hard a loss pulls at a network, not how far it has come: who is nearer to the teacher is "
        "seen under Fidelity."
    )
    for learner in learners:
        st.download_button(
            f"CSV of {learner}", data=partial(table, phase, learner), mime="text/csv",
            file_name=f"kdlab-gradients-{place.run.id}-{learner}.csv", key=f"gap.gradients.csv.{learner}",
            on_click="ignore", icon=":material/download:", type="tertiary",
        )  # fmt: skip


def _whole(figure: go.Figure, about: str, says: str, key: str) -> None:
    """With its PNG and SVG, as every picture of this page."""
    still(figure, about=about, key=key)


def measured(history: History) -> bool:
    """Whether any gradient was measured in the run."""
    return any(chart.measured(phase) for phase in history.phases)


SECTION = Section("Gradients", order=75, draw=draw, suits=measured)
