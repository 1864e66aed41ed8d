"""Draws how many concepts each network holds over the epochs, on the object and beside it."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from app import theme
from app.charts.panels import FAMILY, NAMES, named, spans
from kdcore.concept_learning import Learning

KINDS = {"on the object": "on", "beside it": "beside"}


def draw(learned: Mapping[str, Learning], *, dark: bool) -> go.Figure:
    """The figure; the teacher, who no longer learns, is a level."""
    figure = go.Figure()
    far = max(float(one.epochs.max()) for one in learned.values())
    domains = spans(2, space=0.12)
    for panel, (words, name) in enumerate(KINDS.items()):
        axes = {"xaxis": "x" if panel == 0 else "x2", "yaxis": "y" if panel == 0 else "y2"}
        for part, one in learned.items():
            values = getattr(one, name)
            level = part == "teacher"
            figure.add_trace(
                go.Scatter(
                    x=[0.0, far] if level else one.epochs, y=[values[-1]] * 2 if level else values,
                    mode="lines" if level else "lines+markers", name=named(part), legendgroup=part,
                    showlegend=panel == 0, marker={"size": 6},
                    line={"color": theme.COLOURS[part], "dash": theme.DASHES[part], "width": 2.5},
                    hovertemplate="epoch %{x:g}: %{y:.1f} " + words + "<extra>" + NAMES[part] + "</extra>", **axes,
                )
            )  # fmt: skip
    theme.dress(figure, dark=dark, height=250)
    across = {"title": {"text": "epoch", "standoff": 4}, "rangemode": "tozero"}
    figure.update_layout(
        font={"family": FAMILY},
        xaxis={**across, "domain": domains[0]}, xaxis2={**across, "domain": domains[1], "anchor": "y2"},
        yaxis={"rangemode": "tozero", "title": {"text": "concepts a picture", "standoff": 4}},
        yaxis2={"rangemode": "tozero", "anchor": "x2"},
        annotations=[
            {
                "text": f"<b>{words.capitalize()}</b>", "x": domains[panel][0], "y": 1.03, "xref": "paper",
                "yref": "paper", "xanchor": "left", "yanchor": "bottom", "showarrow": False, "font": {"size": 12},
            }
            for panel, words in enumerate(KINDS)
        ],
        margin={"l": 46, "r": 6, "t": 28, "b": 64}, legend={"orientation": "h", "y": -0.3, "x": 0, "yanchor": "top"},
    )  # fmt: skip
    return figure
