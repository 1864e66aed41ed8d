"""Draws LossPlane: the loss on a plane around each network, and how fast it rises with the distance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import FAMILY, axes, heading, named, on, spans
from app.charts.scales import log_ticks
from kdcore.answers.loss_plane import LossPlane

ANSWER = LossPlane
LEAST = 1e-3
"""Nats below which all has one colour: a logarithm needs an end."""


def draw(answer: LossPlane, *, dark: bool) -> go.Figure:
    """The figure. Colours are on a logarithmic scale, the same one for both networks."""
    traces: list[dict[str, Any]] = []
    heights = {part: numpy.log10(numpy.maximum(values, LEAST)) for part, values in answer.loss.items()}
    low = min(float(values.min()) for values in heights.values())
    high = max(low + 0.1, max(float(values.max()) for values in heights.values()))
    ticks = log_ticks(low, high)
    domains = spans(3, space=0.1) if len(heights) == 2 else [(0.0, 0.4), (0.6, 1.0)]
    texts: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    for number, (part, z) in enumerate(heights.items()):
        left, right = domains[number]
        traces.append(
            trace(
                "contour", x=answer.at, y=answer.at, z=z, zmin=low, zmax=high, colorscale=theme.SEQUENTIAL,
                contours={"coloring": "fill", "start": low, "end": high, "size": (high - low) / 12},
                line={"width": 0.7, "color": "rgba(255,255,255,0.55)"}, name=part,
                text=[[f"{value:.3g}" for value in line] for line in answer.loss[part]],
                hovertemplate="%{x:.2f}, %{y:.2f}: %{text} nats<extra></extra>",
                showscale=number == len(heights) - 1,
                colorbar={
                    "title": {"text": "nats, log scale", "side": "right"}, "x": right + 0.005, "thickness": 10,
                    "outlinewidth": 0, "tickvals": [math.log10(tick) for tick in ticks],
                    "ticktext": [f"{tick:g}" for tick in ticks],
                },
                **on(number),
            )
        )  # fmt: skip
        traces.append(
            trace(
                "scatter", x=[0.0], y=[0.0], mode="markers", showlegend=False, **on(number),
                marker={"size": 11, "color": theme.COLOURS[part], "line": {"color": "#ffffff", "width": 1.5}},
                hovertemplate=f"{named(part)} as it is: {answer.own[part]:.3f} nats<extra></extra>",
            )
        )  # fmt: skip
        texts.append(heading(f"{named(part)}: {answer.own[part]:.2f} nats where it stands", left))
        shared = {"showgrid": False, "zeroline": False, "nticks": 5, "constrain": "domain"}
        layout |= axes(
            number,
            {
                **shared, "domain": [left, right],
                "title": {"text": "first direction, filter lengths", "standoff": 4},
            },
            {
                **shared, "scaleanchor": on(number)["xaxis"],
                "title": {"text": "second direction" if number == 0 else "", "standoff": 2},
            },
        )  # fmt: skip
    last = len(heights)
    for part, values in answer.rise.items():
        mean, spread = values.mean(axis=1), values.std(axis=1)
        across = numpy.concatenate([[0.0], answer.radii])
        mean, spread = numpy.concatenate([[0.0], mean]), numpy.concatenate([[0.0], spread])
        traces.append(
            trace(
                "scatter", x=numpy.concatenate([across, across[::-1]]),
                y=numpy.concatenate([mean + spread, (mean - spread)[::-1]]),
                fill="toself", mode="lines", fillcolor=_faint(theme.COLOURS[part]), line={"width": 0}, hoverinfo="skip",
                showlegend=False, **on(last),
            )
        )  # fmt: skip
        traces.append(
            trace(
                "scatter", x=across, y=mean, mode="lines+markers", name=named(part), **on(last),
                line={"color": theme.COLOURS[part], "dash": theme.DASHES[part], "width": 2.5},
                hovertemplate="at %{x:.2f}: %{y:.2f} nats more<extra>" + named(part) + "</extra>",
            )
        )  # fmt: skip
    texts.append(
        heading(f"Rise over {next(iter(answer.rise.values())).shape[1]} walks, ± standard deviation", domains[-1][0])
    )
    distance = {"text": "distance, filter lengths", "standoff": 4}
    layout |= axes(
        last, {"domain": domains[-1], "rangemode": "tozero", "title": distance},
        {"title": {"text": "rise of the loss, nats", "standoff": 2}},
    )  # fmt: skip
    layout |= {
        "height": 410, "font": {"family": FAMILY}, "annotations": texts, "hovermode": "closest",
        "margin": {"l": 60, "r": 18, "t": 36, "b": 98},
        "legend": {"orientation": "h", "x": domains[-1][0], "y": -0.2, "yanchor": "top"},
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"


def rows(answer: LossPlane) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "network", "first direction or distance", "second direction or walk", f"{answer.loss_name} in nats", "what"
    for part, values in answer.loss.items():
        for (row, column), value in numpy.ndenumerate(values):
            yield part, f"{answer.at[column]:.6g}", f"{answer.at[row]:.6g}", f"{value:.6g}", "loss"
    for part, values in answer.rise.items():
        for (row, column), value in numpy.ndenumerate(values):
            yield part, f"{answer.radii[row]:.6g}", column, f"{value:.6g}", "rise"
