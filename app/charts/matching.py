"""Which student layer is matched with which teacher layer, as two columns of boxes with lines between."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from app.charts.drawn import drawn, trace
from app.theme import COLOURS

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
    traces = [
        trace(
            "scatter", x=[WIDTH, 0.5, 1 - WIDTH], y=[-s, -(s + t) / 2, -t], mode="lines", opacity=0.8,
            line={"color": COLOURS["student"], "width": 2.5 if len(pairs) <= 6 else 1.2}, hoverinfo="text",
            showlegend=False, text=f"{names[0]}: {student[s]['name']} ↔ {names[1]}: {teacher[t]['name']}",
        )
        for s, t in pairs
        if s < len(student) and t < len(teacher)
    ]  # fmt: skip
    boxes, texts = [], []
    for layers, left, colour, who in (
        (student, 0.0, COLOURS["student"], names[0]), (teacher, 1 - WIDTH, COLOURS["teacher"], names[1])
    ):  # fmt: skip
        for number, layer in enumerate(layers):
            boxes.append({
                "type": "rect", "x0": left, "x1": left + WIDTH, "y0": -number - 0.34, "y1": -number + 0.34,
                "line": {"color": colour, "width": 1.5}, "fillcolor": colour, "opacity": 0.18, "layer": "below",
            })  # fmt: skip
            texts.append(_text(left, -number, f"{layer['name']}<br>{_shape(layer['shape'])}", size=11))
        texts.append(_text(left, 0.62, f"<b>{who}</b>", size=12))
    deepest = max(len(student), len(teacher), 1)
    hidden = {"visible": False, "fixedrange": True}
    layout = {
        "height": 70 + 52 * deepest, "margin": {"l": 4, "r": 4, "t": 8, "b": 4}, "hovermode": "closest",
        "xaxis": {**hidden, "range": [-0.01, 1.01]}, "yaxis": {**hidden, "range": [-deepest + 0.4, 0.95]},
        "shapes": boxes, "annotations": texts,
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def _text(left: float, y: float, text: str, *, size: int) -> dict[str, Any]:
    return {"x": left + WIDTH / 2, "y": y, "text": text, "showarrow": False, "font": {"size": size}}


def _shape(shape: list[int]) -> str:
    if list(shape[1:]) in ([], [1, 1]):
        return f"{shape[0]} features"
    return f"{shape[0]} maps of {shape[1]}×{shape[2]}"
