"""A probe's answers over the snapshots of a phase, as a film: one at once, the others while it is looked at."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import streamlit as st

from app import state
from app.charts import bars, calibration, class_gain, fidelity, film, map_grid, matrix, plane
from app.film import play
from kdcore.answer import Answer, Bars, Calibration, ClassGain, Fidelity, MapGrid, Matrix, Plane
from kdcore.events import Snapshot
from kdcore.history import PhaseTrace
from kdcore.launch import AskError
from kdcore.run import Run

MOST = 60
"""Frames of a film."""
PATIENCE = 1.0
"""Seconds of asking between two drawings."""
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
) -> None:
    """Draws the film of a question over a phase. `going`: whether the run may write more; `also`: a second sentence.

    `chosen` is told (row, column) of a heat map's field that was clicked; the page is drawn again after it.
    """
    refused = state.kept(f"{key}.refused") == asked
    missing = _missing(asked, thinned(history_phase().snapshots)) and not refused
    every = SOON if missing else LATER if going else None
    st.fragment(_film, run_every=every)(
        asked, history_phase, key=key, going=going, also=also, chosen=chosen, watched=bool(missing)
    )


def _film(
    asked: Question, history_phase: Callable[[], PhaseTrace], *, key: str, going: bool,
    also: Callable[[Answer], str] | None, chosen: Callable[[tuple[int, int]], None] | None, watched: bool,
) -> None:  # fmt: skip
    phase = history_phase()
    wanted = thinned(phase.snapshots)
    refused = ""
    until = time.monotonic() + (PATIENCE if len(_missing(asked, wanted)) < len(wanted) else 0.0)
    for snapshot in _order(_missing(asked, wanted)):
        try:
            _answer(asked, snapshot.name)
            _KNOWN.add((asked, snapshot.name))
        except AskError as error:
            refused = str(error)
            break
        if time.monotonic() >= until:
            break
    over = bool(refused) or not _missing(asked, wanted)
    if refused:
        state.keep(f"{key}.refused", asked)
        st.info(refused, icon=":material/info:")
    there = [snapshot for snapshot in wanted if (asked, snapshot.name) in _KNOWN]
    if there:
        _draw(asked, phase, there, len(wanted), key=key, also=also, chosen=chosen)
    elif not refused:
        st.info("The first snapshot is being written.", icon=":material/info:")
    if watched and over:
        st.rerun()  # once: the next script run sees nothing missing and sets no quick timer


def _draw(
    asked: Question,
    phase: PhaseTrace,
    there: list[Snapshot],
    total: int,
    *,
    key: str,
    also: Callable[[Answer], str] | None,
    chosen: Callable[[tuple[int, int]], None] | None,
) -> None:
    answers = [_answer(asked, snapshot.name) for snapshot in there]
    st.markdown(f"**{answers[-1].title}**")
    scales = json.dumps(_scales(answers), sort_keys=True)
    frames = [
        (
            _figure(asked, snapshot.name, scales, state.dark()),
            {
                "name": snapshot.name,
                "label": f"epoch {snapshot.epoch:g} of {phase.epochs}",
                "says": answer.says + (f" {also(answer)}" if also else ""),
            },
        )
        for snapshot, answer in zip(there, answers, strict=True)
    ]
    about = f"{asked.run} {asked.probe}"
    cell = play(film.film(frames), about=about, done=len(there), total=total, key=key, cells=chosen is not None)
    if cell is not None and chosen is not None:
        chosen(cell)
        st.rerun()
    st.download_button(
        "CSV of all epochs", data=lambda: table(there, answers), file_name=f"kdlab-{asked.probe}-{asked.run}.csv",
        mime="text/csv", on_click="ignore", key=f"{key}.csv", icon=":material/download:", type="tertiary",
    )  # fmt: skip


def forget() -> None:
    """Drops every answer that this server remembers; those beside the runs stay."""
    _KNOWN.clear()
    _answer.cache_clear()
    _figure.cache_clear()


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
        lines: Iterator[tuple[object, ...]] = CHARTS[type(answer)].rows(answer)
        names = next(lines)
        if number == 0:
            writer.writerow(["epoch", *names])
        writer.writerows([f"{snapshot.epoch:g}", *line] for line in lines)
    return text.getvalue()


CHARTS: dict[type[Answer], Any] = {
    MapGrid: map_grid, Plane: plane, Matrix: matrix, Bars: bars,
    Fidelity: fidelity, Calibration: calibration, ClassGain: class_gain,
}  # fmt: skip
"""The chart of each kind of answer: `draw`, `rows`, and `scales` where colours must be the same over a film."""

_KNOWN: set[tuple[Question, str]] = set()


def _missing(asked: Question, wanted: Sequence[Snapshot]) -> list[Snapshot]:
    return [snapshot for snapshot in wanted if (asked, snapshot.name) not in _KNOWN]


def _order(snapshots: list[Snapshot]) -> list[Snapshot]:
    """The last first, then the first, then always the middle of the widest gap: a film that grows finer."""
    places, order = list(range(len(snapshots))), []
    for stride in (len(places), 16, 8, 4, 2, 1):
        order += [place for place in reversed(places) if place not in order and (len(places) - 1 - place) % stride == 0]
    return [snapshots[place] for place in order]


@lru_cache(maxsize=512)
def _answer(asked: Question, snapshot: str) -> Answer:
    """Raises AskError, which is not kept."""
    return state.desk().ask(asked.run, asked.probe, json.loads(asked.settings), snapshot)


@lru_cache(maxsize=256)
def _figure(asked: Question, snapshot: str, scales: str, dark: bool) -> dict[str, Any]:
    answer = _answer(asked, snapshot)
    fixed = json.loads(scales)
    chart = CHARTS[type(answer)]
    return film.packed(chart.draw(answer, dark=dark, **({"fixed": fixed} if fixed else {})))


def _scales(answers: Sequence[Answer]) -> dict[str, list[float]]:
    chart = CHARTS[type(answers[-1])]
    return chart.scales(answers) if hasattr(chart, "scales") else {}
