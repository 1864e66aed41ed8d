"""Attention between layers as bands: teacher left, student right, a band as wide as its share of all attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from app import theme
from app.charts import panels
from app.charts.drawn import trace

GAP = 0.07
"""Between two layers of one side, where 1 is the height of all bands together."""
STEPS = 13
"""Places at which a band's edge is drawn."""
BAR = 0.045
"""Width of a layer's bar, where 1 is the way from teacher to student."""


@dataclass(frozen=True)
class Band:
    """From a layer of the teacher to one of the student; all widths together are 1, places are measured downwards."""

    row: int
    column: int
    width: float
    left: float
    """Upper edge at the teacher's side."""
    right: float
    """Upper edge at the student's side."""


def widths(attention: numpy.ndarray) -> numpy.ndarray:
    """Each pair's share of all attention, (S, T) with rows or columns that sum to 1 -> (S, T) that sums to 1."""
    return attention / attention.sum()


def bands(attention: numpy.ndarray) -> list[Band]:
    """All bands of (S, T), stacked at each layer in the order of the layers they lead to, so that few cross."""
    share = widths(attention)
    rows, columns = share.shape
    left = [number * GAP + share[:, :number].sum() for number in range(columns)]
    right = [number * GAP + share[:number].sum() for number in range(rows)]
    shift = GAP * (columns - rows) / 2
    return [
        Band(
            row,
            column,
            float(share[row, column]),
            float(left[column] + share[:row, column].sum() - min(shift, 0.0)),
            float(right[row] + share[row, :column].sum() + max(shift, 0.0)),
        )
        for row in range(rows)
        for column in range(columns)
    ]


def outline(band: Band) -> tuple[list[float], list[float]]:
    """A closed line around it: (x, y), x from 0 at the teacher to 1 at the student."""
    places = numpy.linspace(0.0, 1.0, STEPS)
    bend = places * places * (3.0 - 2.0 * places)
    upper = band.left + (band.right - band.left) * bend
    x = [*places, *places[::-1]]
    y = [*upper, *(upper + band.width)[::-1]]
    return [round(float(value), 3) for value in x], [round(float(value), 4) for value in y]


def traces(
    attention: numpy.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    attends: str,
    number: int,
    ink: str,
) -> list[dict[str, Any]]:
    """The bands, the layers' bars and their names, in that panel."""
    drawn = bands(attention)
    best = attention.argmax(axis=1 if attends == "student" else 0)
    axes = panels.on(number)
    found = []
    for band in drawn:
        x, y = outline(band)
        strongest = best[band.row] == band.column if attends == "student" else best[band.column] == band.row
        found.append(
            trace(
                "scatter", x=x, y=y, fill="toself", mode="lines", line={"width": 0, "color": theme.colour(attends)},
                fillcolor=_faded(theme.colour(attends), 0.62 if strongest else 0.22), hoveron="fills",
                hoverinfo="text", showlegend=False, name=f"teacher {columns[band.column]} → student {rows[band.row]}",
                text=f"teacher {columns[band.column]} → student {rows[band.row]}: "
                f"attention {attention[band.row, band.column]:.2f}", **axes,
            )
        )  # fmt: skip
    for part, names in (("teacher", columns), ("student", rows)):
        found += _layers(part, names, drawn, axes=axes, ink=ink)
    return found


def axes(rows: int, columns: int, *, x: Sequence[float], y: Sequence[float], number: int) -> dict[str, Any]:
    """Layout of the two axes, without ticks: places say nothing here, widths do."""
    tall = 1.0 + GAP * (max(rows, columns) - 1)
    plain = {"showgrid": False, "zeroline": False, "showticklabels": False, "fixedrange": True}
    return panels.axes(
        number,
        {**plain, "domain": x, "range": [-0.32, 1.32]},
        {**plain, "domain": y, "range": [tall + 0.02, -0.02]},
    )


def _layers(
    part: str, names: Sequence[str], drawn: Sequence[Band], *, axes: dict[str, str], ink: str
) -> list[dict[str, Any]]:
    """The bars of one side as one trace with gaps, and their names as another."""
    x: list[float | None] = []
    y: list[float | None] = []
    middles = []
    edge, way = (0.0, -1.0) if part == "teacher" else (1.0, 1.0)
    for number in range(len(names)):
        own = [band for band in drawn if (band.column if part == "teacher" else band.row) == number]
        top = min(band.left if part == "teacher" else band.right for band in own)
        bottom = top + sum(band.width for band in own)
        x += [edge, edge + way * BAR, edge + way * BAR, edge, edge, None]
        y += [round(place, 4) for place in (top, top, bottom, bottom, top)] + [None]
        middles.append(round((top + bottom) / 2, 4))
    colour = theme.colour(part)
    return [
        trace(
            "scatter", x=x, y=y, fill="toself", mode="lines", line={"width": 2, "color": colour}, fillcolor=colour,
            hoverinfo="skip", showlegend=False, name=f"layers of the {part}", **axes,
        ),
        trace(
            "scatter", x=[edge + way * (BAR + 0.02)] * len(names), y=middles, mode="text", text=list(names),
            textposition="middle left" if part == "teacher" else "middle right", textfont={"size": 12, "color": ink},
            hoverinfo="skip", showlegend=False, name=f"names of the {part}'s layers", cliponaxis=False, **axes,
        ),
    ]  # fmt: skip


def _faded(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
