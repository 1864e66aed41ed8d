"""Which student layer is matched with which teacher layer, as two columns of boxes with lines between."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from app.theme import COLOURS, dress

Layers = list[dict[str, Any]]
WIDTH = 0.34
"""Of a box, in parts of the figure's width."""


def matching(
    student: Layers,
    teacher: Layers,
    pairs: list[tuple[int, int]],
    *,
    dark: bool,
    names: tuple[str, str] = ("student", "teacher"),
) -> go.Figure:
    """Layers {"name", "shape"} shallow (top) to deep, and the pairs (student layer, teacher layer) counted from 0."""
    figure = go.Figure()
    for s, t in pairs:
        if s < len(student) and t < len(teacher):
            figure.add_trace(
                go.Scatter(
                    x=[WIDTH, 0.5, 1 - WIDTH], y=[-s, -(s + t) / 2, -t], mode="lines",
                    line={"color": COLOURS["student"], "width": 2.5 if len(pairs) <= 6 else 1.2}, opacity=0.8,
                    hoverinfo="text", showlegend=False,
                    text=f"{names[0]}: {student[s]['name']} ↔ {names[1]}: {teacher[t]['name']}",
                )
            )  # fmt: skip
    for layers, left, colour, who in (
        (student, 0.0, COLOURS["student"], names[0]), (teacher, 1 - WIDTH, COLOURS["teacher"], names[1])
    ):  # fmt: skip
        for number, layer in enumerate(layers):
            figure.add_shape(
                type="rect", x0=left, x1=left + WIDTH, y0=-number - 0.34, y1=-number + 0.34,
                line={"color": colour, "width": 1.5}, fillcolor=colour, opacity=0.18, layer="below",
            )  # fmt: skip
            figure.add_annotation(
                x=left + WIDTH / 2, y=-number, text=f"{layer['name']}<br>{_shape(layer['shape'])}", showarrow=False,
                font={"size": 11},
            )  # fmt: skip
        figure.add_annotation(x=left + WIDTH / 2, y=0.62, text=f"<b>{who}</b>", showarrow=False, font={"size": 12})
    deepest = max(len(student), len(teacher), 1)
    dress(figure, dark=dark, height=70 + 52 * deepest)
    figure.update_layout(margin={"l": 4, "r": 4, "t": 8, "b": 4}, hovermode="closest")
    figure.update_xaxes(visible=False, range=[-0.01, 1.01], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-deepest + 0.4, 0.95], fixedrange=True)
    return figure


def _shape(shape: list[int]) -> str:
    if list(shape[1:]) in ([], [1, 1]):
        return f"{shape[0]} features"
    return f"{shape[0]} maps of {shape[1]}×{shape[2]}"
