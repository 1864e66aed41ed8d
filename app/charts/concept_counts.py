"""Draws how many concepts each network holds over the epochs, on the object and beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import FAMILY, NAMES, axes, heading, named, on, spans
from kdcore.concept_learning import Learning

KINDS = {"on the object": "on", "beside it": "beside"}


def draw(learned: Mapping[str, Learning], *, dark: bool) -> go.Figure:
    """The figure; the teacher, who no longer learns, is a level."""
    traces = []
    layout: dict[str, Any] = {}
    far = max(float(one.epochs.max()) for one in learned.values())
    panels = zip(KINDS.items(), spans(2, space=0.12), strict=True)
    for panel, ((words, name), domain) in enumerate(panels):
        for part, one in learned.items():
            values = getattr(one, name)
            level = part == "teacher"
            traces.append(
                trace(
                    "scatter", x=[0.0, far] if level else one.epochs, y=[values[-1]] * 2 if level else values,
                    mode="lines" if level else "lines+markers", name=named(part), legendgroup=part,
                    showlegend=panel == 0, marker={"size": 6},
                    line={"color": theme.COLOURS[part], "dash": theme.DASHES[part], "width": 2.5},
                    hovertemplate="epoch %{x:g}: %{y:.1f} " + words + "<extra>" + NAMES[part] + "</extra>", **on(panel),
                )
            )  # fmt: skip
        up = {"title": {"text": "concepts a picture", "standoff": 4}} if panel == 0 else {}
        across = {"title": {"text": "epoch", "standoff": 4}, "rangemode": "tozero", "domain": domain}
        layout |= axes(panel, across, {"rangemode": "tozero", **up})
        layout.setdefault("annotations", []).append(heading(f"<b>{words.capitalize()}</b>", domain[0], y=1.03, size=12))
    layout |= {
        "height": 250, "font": {"family": FAMILY}, "margin": {"l": 46, "r": 6, "t": 28, "b": 82},
        "legend": {"orientation": "h", "y": -0.3, "x": 0, "yanchor": "top"},
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)
