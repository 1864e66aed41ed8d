"""One answer at one chosen epoch: for pictures that have a control of their own to drag."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

import streamlit as st

from app import state
from app.views import chosen
from app.views.scrubber import MOST, thinned
from app.views.waiting import Waiting, stopped
from kdcore.answer import Answer
from kdcore.history import PhaseTrace
from kdcore.launch import AskError
from kdcore.run import Run

WHOSE = "Of the student. Teacher and student alone are as they were at the end of their training."


def epoch_choice(run: Run, phase: PhaseTrace, *, into: Any, most: int = MOST, about: str = WHOSE) -> str:
    """The name of the chosen snapshot, the last one at first: the same epoch for all panels, "epoch" in the address."""
    snapshots = thinned(phase.snapshots, most)
    epochs = {snapshot.name: snapshot.epoch for snapshot in snapshots}
    names = list(epochs)
    wanted = chosen.epoch(phase)
    name = chosen.nearest(snapshots, wanted).name
    if len(names) == 1:
        return name
    state.keep("epoch.shown", True)
    key = state.choice_key("epoch", f"{run.id}.{phase.number}.{len(names)}")

    def said(picked: str) -> str:
        return chosen.said_of_epoch(None if picked == names[-1] else epochs[picked])

    into.select_slider(
        "Epoch", names, value=name, format_func=lambda one: f"{epochs[one]:g}", key=key,
        on_change=state.take, args=("epoch", key, said),
        help=about,
    )  # fmt: skip
    chosen.complaint("epoch")
    return name


def answered(run: Run, snapshot: str, probe: str, **settings: Any) -> Answer | None:
    """The answer at that snapshot; where it is refused, the sentence stands on the page and it is None.

    One that takes long shows how far it is and can be stopped; it is None then, too.
    """
    asked = (run.id, snapshot, probe, json.dumps(settings, sort_keys=True))
    if stopped(f"moment.{probe}", asked):
        return None
    waiting = Waiting(st.empty(), stops=f"moment.{probe}", asked=asked)
    try:
        return state.desk().ask(run.id, probe, settings, snapshot, waits=waiting)
    except AskError as error:
        st.info(str(error), icon=":material/info:")
        return None
    finally:
        waiting.over()


def csv_button(lines: Any, *, name: str, key: str) -> None:
    """A button that downloads the lines, the first being the names of the columns."""

    st.download_button(
        "CSV", data=lambda: as_csv(lines()), file_name=f"kdlab-{name}.csv", mime="text/csv", on_click="ignore", key=key,
        icon=":material/download:", type="tertiary",
    )  # fmt: skip


def as_csv(lines: Iterable[Iterable[object]]) -> str:
    """The lines as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue()
