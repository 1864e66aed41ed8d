"""Several runs in one chart: how their students got better."""

from __future__ import annotations

import plotly.graph_objects as go

from app.charts.drawn import drawn, trace
from app.theme import CATEGORICAL

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def compare(curves: dict[str, tuple[list[float], list[float | None]]], *, dark: bool) -> go.Figure:
    """Name of a run -> (epochs, validation accuracy in [0, 1]) of its student."""
    traces = [
        trace(
            "scatter", x=epochs, y=values, name=name, mode="lines" if len(epochs) > 1 else "markers",
            line={
                "color": CATEGORICAL[number % len(CATEGORICAL)],
                "dash": DASHES[number // len(CATEGORICAL) % len(DASHES)],
                "width": 2,
            },
            hovertemplate="%{fullData.name}<br>epoch %{x:.0f}: %{y:.1%}<extra></extra>",
        )
        for number, (name, (epochs, values)) in enumerate(curves.items())
    ]  # fmt: skip
    layout = {
        "title": {"text": "Which student gets further, and how fast"}, "height": 400, "showlegend": True,
        "margin": {"l": 58, "r": 18, "t": 44, "b": 96},
        "xaxis": {"title": {"text": "epochs of the student"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "validation accuracy"}, "tickformat": ".0%"}, "hovermode": "closest",
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)
