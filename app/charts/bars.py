"""Draws Bars: groups of bars, one colour for each part, with a line where a value is worth one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

import plotly.graph_objects as go

from app import theme
from app.charts.scales import faint
from kdcore.answers.bars import Bars

ANSWER = Bars

ALONG, LINE = 40, 19
"""Letters that fit beside the axis, and pixels that each line of them takes."""
ROOM = 0.08
"""What a number takes above its bar, in units of the axis."""


def draw(answer: Bars, *, dark: bool) -> go.Figure:
    """The figure. Series of a part are bars; others are marks to compare them with."""
    figure = go.Figure()
    levels = [values for role, values in answer.series.items() if role not in answer.parts]
    for role, values in answer.series.items():
        part = answer.parts.get(role)
        name = "student alone" if role == "baseline" else role
        words = [f"{100 * value:.0f} %" for value in values]
        told = "%{x}: %{y:.1%}<extra>" + name + "</extra>"
        if part:
            figure.add_trace(
                go.Bar(
                    x=answer.categories,
                    y=values,
                    name=name,
                    marker_color=theme.COLOURS[part],
                    text=words,
                    textposition=[_where(value, [level[n] for level in levels]) for n, value in enumerate(values)],
                    textangle=0,
                    constraintext="none",
                    cliponaxis=False,
                    hovertemplate=told,
                )
            )
        else:
            figure.add_trace(
                go.Scatter(
                    x=answer.categories,
                    y=values,
                    name=name,
                    mode="markers",
                    hovertemplate=told,
                    marker={
                        "symbol": "line-ew",
                        "size": 46,
                        "line": {"width": 2.5, "color": faint(dark=dark, strong=True)},
                    },
                )
            )
    theme.dress(figure, dark=dark)
    axis = wrap(answer.value_axis, ALONG) or [""]
    if answer.reference is not None:
        figure.add_hline(
            y=answer.reference,
            line={"dash": "dash", "width": 1.5, "color": faint(dark=dark, strong=True)},
            annotation={"text": answer.reference_says, "font": {"size": 12}},
            annotation_position="top right",
        )
    figure.update_layout(
        barmode="group",
        bargap=0.35,
        height=400,
        margin={"l": 60 + LINE * (len(axis) - 1), "r": 16, "t": 16, "b": 90},
        yaxis={"title": {"text": "<br>".join(axis)}, "range": [answer.low, answer.high + 0.04], "tickformat": ".0%"},
        xaxis={"title": {"text": answer.category_axis}, "type": "category"},
        legend={"orientation": "h", "y": -0.28, "x": 0},
    )
    return figure


def _where(value: float, levels: Sequence[float]) -> str:
    """Where a bar's number stands: above it, or in it where a mark would go through it."""
    return "inside" if value > ROOM and any(value - 0.01 < level < value + ROOM for level in levels) else "outside"


def rows(answer: Bars) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "series", answer.category_axis, answer.value_axis
    for name, values in answer.series.items():
        for category, value in zip(answer.categories, values, strict=True):
            yield name, category, f"{value:.6g}"
