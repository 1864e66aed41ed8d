"""Draws the capacity-gap experiment: a student's accuracy against its teacher's size, one line for each way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import axes, heading, on, spans
from kdcore.capacity import ALONE, ARMS, ASSISTED, DISTILLED, Capacity, Cell

LINES = {"teacher": "teacher", DISTILLED: "student", ASSISTED: "assistant", ALONE: "baseline"}
"""Arm -> the part whose colour and dash its line has."""
NAMES = {
    "teacher": "the teacher itself", DISTILLED: "distilled straight from it", ASSISTED: "by an assistant",
    ALONE: "student alone",
}  # fmt: skip
ASIDE = {"teacher": 1.0, DISTILLED: 0.965, ASSISTED: 1.035, ALONE: 1.0}
"""Arm -> what its places on the logarithmic axis are multiplied by, so that intervals stand side by side."""


def draw(grid: Capacity, *, dark: bool) -> go.Figure:
    """The figure: a column for each student, a row for each temperature. The grid must have something measured."""
    students = [width for width in grid.students if any(grid.panel(width, heat) for heat in grid.temperatures)]
    heats = [heat for heat in grid.temperatures if any(grid.panel(width, heat) for width in students)]
    columns, rows = spans(len(students), space=0.09), spans(len(heats), space=0.27)[::-1]
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    titles = []
    for across, width in enumerate(students):
        seen = [cell for heat in heats for cell in grid.panel(width, heat)]
        for down, heat in enumerate(heats):
            cells, number = grid.panel(width, heat), across + down * len(students)
            traces += [_line(cells, arm, number) for arm in LINES if cells]
            layout |= axes(
                number,
                {
                    "domain": columns[across], **_places(cells or seen),
                    "title": {"text": _WIDTHS if down == len(heats) - 1 else ""},
                },
                {
                    "domain": rows[down], "tickformat": ".0%", "range": _range(seen),
                    "title": {"text": "test accuracy" if across == 0 else ""},
                },
            )  # fmt: skip
            titles.append(heading(_title(width, heat, cells), columns[across][0], y=rows[down][1] + 0.005))
    layout |= {
        "height": 110 + 185 * len(heats), "annotations": titles, "margin": {"l": 60, "r": 16, "t": 64, "b": 72},
        "legend": {"orientation": "h", "yref": "container", "y": 1.0, "yanchor": "top", "x": 0}, "showlegend": True,
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


_WIDTHS = "teacher's width (neurons in a hidden layer), and how sure it is of its answers"


def _line(cells: list[Cell], arm: str, number: int) -> dict[str, Any]:
    """One way's line in a panel; its bars are the interval of the difference to the student alone, seed by seed."""
    part = LINES[arm]
    paired = arm in (DISTILLED, ASSISTED)
    halves = [cell.over(arm, ALONE)[1] if paired else 0.0 for cell in cells]
    return trace(
        "scatter", x=[cell.teacher * ASIDE[arm] for cell in cells], y=[cell.mean(arm)[0] for cell in cells],
        mode="lines+markers" if paired else "lines", name=NAMES[arm], legendgroup=arm, showlegend=number == 0,
        line={"color": theme.COLOURS[part], "dash": theme.DASHES[part], "width": 2.2 if paired else 1.4},
        marker={"size": 7, "symbol": "circle" if arm == DISTILLED else "diamond"},
        opacity=1.0 if arm != "teacher" else 0.8,
        error_y={
            "type": "data", "array": [half if math.isfinite(half) else 0.0 for half in halves], "thickness": 1.2,
            "width": 3, "visible": paired,
        },
        customdata=[[_told(cell, arm)] for cell in cells],
        hovertemplate="<b>%{fullData.name}</b><br>%{customdata[0]}<extra></extra>", **on(number),
    )  # fmt: skip


def _told(cell: Cell, arm: str) -> str:
    """What a mark says when pointed at."""
    mean, half = cell.mean(arm)
    words = f"{100 * mean:.1f} %" + (f" ± {100 * half:.1f}" if math.isfinite(half) else "")
    if arm == "teacher":
        return f"{words}<br>width {cell.teacher}, sure at {100 * cell.sureness():.1f} %"
    if arm == ALONE:
        return words
    mean, half = cell.over(arm, ALONE)
    over = f"{100 * mean:+.1f}" + (f" ± {100 * half:.1f}" if math.isfinite(half) else "")
    return f"{words}<br>{over} points over the student alone<br>teacher of width {cell.teacher}"


def _places(cells: list[Cell]) -> dict[str, Any]:
    """A logarithmic axis with the teachers' widths, each with how sure it is, and room at both ends."""
    widths = {cell.teacher: cell.sureness() for cell in cells}
    low, high = math.log10(min(widths)), math.log10(max(widths))
    room = max(0.06, 0.06 * (high - low))
    return {
        "type": "log", "tickvals": list(widths), "range": [low - room, high + room],
        "ticktext": [f"{width}<br>{100 * sure:.{1 if sure > 0.99 else 0}f} %" for width, sure in widths.items()],
    }  # fmt: skip


def _range(cells: list[Cell]) -> list[float]:
    """The same for all temperatures of one student: from its lowest mean to the best teacher, with some room."""
    means = [cell.mean(arm)[0] for cell in cells for arm in LINES]
    room = max(0.01, 0.12 * (max(means) - min(means)))
    return [min(means) - room, max(means) + room]


def _title(width: int, heat: float, cells: list[Cell]) -> str:
    size = f" ({cells[0].parameters[ALONE]:,} parameters)" if cells else ""
    return f"<b>Student of width {width}</b>{size}, T = {heat:g}"


def rows(grid: Capacity) -> Iterator[tuple[object, ...]]:
    """Every seed's numbers, for a CSV: first the names of the columns."""
    yield (
        "student width", "temperature", "teacher width", "seed", *(f"{arm}: test accuracy" for arm in ARMS.values()),
        "teacher: mean largest probability", "assistant: mean largest probability",
    )  # fmt: skip
    for cell in grid.cells:
        for seed in range(cell.done()):
            accuracies = [cell.test[arm][seed] for arm in ARMS.values()]
            sure = [cell.sure[who][seed] for who in ("teacher", "assistant")]
            numbers = [f"{number:.6g}" for number in (*accuracies, *sure)]
            yield (cell.student, f"{cell.temperature:g}", cell.teacher, seed, *numbers)
