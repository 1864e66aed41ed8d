"""Several runs in one chart: how their students got better."""

from __future__ import annotations

import plotly.graph_objects as go

from app.theme import CATEGORICAL, dress

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def compare(curves: dict[str, tuple[list[float], list[float | None]]], *, dark: bool) -> go.Figure:
    """Name of a run -> (epochs, validation accuracy in [0, 1]) of its student."""
    figure = go.Figure()
    for number, (name, (epochs, values)) in enumerate(curves.items()):
        figure.add_trace(
            go.Scatter(
                x=epochs, y=values, name=name, mode="lines" if len(epochs) > 1 else "markers",
                line={
                    "color": CATEGORICAL[number % len(CATEGORICAL)],
                    "dash": DASHES[number // len(CATEGORICAL) % len(DASHES)],
                    "width": 2,
                },
                hovertemplate="%{fullData.name}<br>epoch %{x:.0f}: %{y:.1%}<extra></extra>",
            )
        )  # fmt: skip
    dress(figure, dark=dark, title="Which student gets further, and how fast", height=400)
    figure.update_layout(showlegend=True, hovermode="closest")
    figure.update_xaxes(title="epochs of the student", rangemode="tozero")
    figure.update_yaxes(title="validation accuracy", tickformat=".0%")
    return figure
