"""Draws Bars: groups of bars, one colour for each part, with a line where a value is worth one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.scales import faint
from kdcore.answers.bars import Bars

ANSWER = Bars

ALONG, LINE = 40, 19
"""Letters that fit beside the axis, and pixels that each line of them takes."""
ROOM = 0.08
"""What a number takes above its bar, in units of the axis."""


def draw(answer: Bars, *, dark: bool) -> go.Figure:
    """The figure. Series of a part are bars; others are marks to compare them with."""
    traces: list[dict[str, Any]] = []
    strong = faint(dark=dark, strong=True)
    levels = [values for role, values in answer.series.items() if role not in answer.parts]
    for role, values in answer.series.items():
        part = answer.parts.get(role)
        name = "student alone" if role == "baseline" else role
        shared = {
            "x": answer.categories, "y": values, "name": name,
            "hovertemplate": "%{x}: %{y:.1%}<extra>" + name + "</extra>",
        }  # fmt: skip
        traces.append(
            trace(
                "bar", marker={"color": theme.COLOURS[part]}, text=[f"{100 * value:.0f} %" for value in values],
                textposition=[_where(value, [level[n] for level in levels]) for n, value in enumerate(values)],
                textangle=0, constraintext="none", cliponaxis=False, **shared,
            )
            if part
            else trace(
                "scatter", mode="markers",
                marker={"symbol": "line-ew", "size": 46, "line": {"width": 2.5, "color": strong}}, **shared,
            )
        )  # fmt: skip
    axis = wrap(answer.value_axis, ALONG) or [""]
    layout: dict[str, Any] = {
        "barmode": "group", "bargap": 0.35, "height": 400,
        "margin": {"l": 64 + LINE * (len(axis) - 1), "r": 16, "t": 16, "b": 120},
        "yaxis": {"title": {"text": "<br>".join(axis)}, "range": [answer.low, answer.high + 0.04], "tickformat": ".0%"},
        "xaxis": {"title": {"text": answer.category_axis}, "type": "category"},
        "legend": {"orientation": "h", "y": -0.28, "x": 0},
    }  # fmt: skip
    if answer.reference is not None:
        layout |= _level(answer.reference, answer.reference_says, colour=strong)
    return drawn(traces, layout, dark=dark)


def _level(y: float, says: str, *, colour: str) -> dict[str, Any]:
    """Layout with a line over the whole width, and what it is above its right end."""
    at = {"xref": "x domain", "yref": "y"}
    line = {"dash": "dash", "width": 1.5, "color": colour}
    text = {"text": says, "font": {"size": 12}, "x": 1, "xanchor": "right", "y": y, "yanchor": "bottom"}
    return {
        "shapes": [{"type": "line", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line, **at}],
        "annotations": [{**text, "showarrow": False, **at}],
    }


def _where(value: float, levels: Sequence[float]) -> str:
    """Where a bar's number stands: above it, or in it where a mark would go through it."""
    return "inside" if value > ROOM and any(value - 0.01 < level < value + ROOM for level in levels) else "outside"


def rows(answer: Bars) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "series", answer.category_axis, answer.value_axis
    for name, values in answer.series.items():
        for category, value in zip(answer.categories, values, strict=True):
            yield name, category, f"{value:.6g}"
