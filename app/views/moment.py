"""One answer at one chosen epoch: for pictures that have a control of their own to drag."""

from __future__ import annotations

import csv
import io
from typing import Any

import streamlit as st

from app import state
from app.views.scrubber import thinned
from kdcore.answer import Answer
from kdcore.history import PhaseTrace
from kdcore.launch import AskError
from kdcore.run import Run


def epoch_choice(run: Run, phase: PhaseTrace, *, into: Any) -> str:
    """The name of the chosen snapshot, the last one at first."""
    snapshots = thinned(phase.snapshots)
    epochs = {snapshot.name: f"{snapshot.epoch:g}" for snapshot in snapshots}
    names = list(epochs)
    if len(names) == 1:
        return names[0]
    return into.select_slider(
        "Epoch", names, value=names[-1], format_func=epochs.__getitem__,
        key=f"gap.epoch.{run.id}.{phase.number}.{len(names)}",
        help="Of the student. Teacher and student alone are as they were at the end of their training.",
    )  # fmt: skip


def answered(run: Run, snapshot: str, probe: str, **settings: Any) -> Answer | None:
    """The answer at that snapshot; where it is refused, the sentence stands on the page and it is None."""
    try:
        with st.spinner("Looking …", show_time=False):
            return state.desk().ask(run.id, probe, settings, snapshot)
    except AskError as error:
        st.info(str(error), icon=":material/info:")
        return None


def csv_button(lines: Any, *, name: str, key: str) -> None:
    """A button that downloads the lines, the first being the names of the columns."""

    def table() -> str:
        text = io.StringIO()
        csv.writer(text).writerows(lines())
        return text.getvalue()

    st.download_button(
        "CSV", data=table, file_name=f"kdlab-{name}.csv", mime="text/csv", on_click="ignore", key=key,
        icon=":material/download:", type="tertiary",
    )  # fmt: skip
