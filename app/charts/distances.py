"""Draws Distances: how far inputs lie from neurons' boundaries, a histogram for each network, with AB's margin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import NAMES
from app.charts.scales import faint, shade
from kdcore.answers.distances import Distances

ANSWER = Distances
Scales = dict[str, list[float]]


def scales(answers: Sequence[Distances]) -> Scales:
    """The highest bin of all, so that heights keep their meaning over a film."""
    return {"high": [max(float(found.max()) for answer in answers for found in answer.shares.values())]}


def draw(answer: Distances, *, dark: bool, fixed: Scales | None = None) -> go.Figure:
    """The figure: outlines over one another, the student's filled."""
    high = 1.12 * (fixed or scales([answer]))["high"][0]
    traces = []
    first, last = float(answer.edges[0]), float(answer.edges[-1])
    for part in ("teacher", "baseline", "student"):
        if part not in answer.shares:
            continue
        steps = numpy.append(answer.shares[part], answer.shares[part][-1])
        colour = theme.COLOURS[part]
        traces.append(
            trace(
                "scatter", x=answer.edges, y=steps, mode="lines", name=f"{NAMES[part]}{_wrong(answer, part)}",
                line={"shape": "hv", "width": 2.4 if part == "student" else 1.8, "color": colour,
                      "dash": theme.DASHES[part]},
                **({"fill": "tozeroy"} if part == "student" else {}), fillcolor="rgba(221,107,16,0.16)",
                hovertemplate="from %{x:.2f}: %{y:.1%}<extra>" + NAMES[part] + "</extra>",
            )
        )  # fmt: skip
    ink = theme.INK["dark" if dark else "light"]
    own = answer.margin_is == "own"
    high_as_the_plot = {"y0": 0, "y1": 1, "yref": "paper"}
    shapes: list[dict[str, Any]] = [
        {
            "type": "rect", "x0": first, "x1": 0, **high_as_the_plot, "fillcolor": shade(dark=dark), "opacity": 0.25,
            "line": {"width": 0}, "layer": "below",
        },
        {"type": "line", "x0": 0, "x1": 0, **high_as_the_plot, "line": {"width": 1.6, "color": ink}},
        {
            "type": "line", "x0": answer.margin, "x1": answer.margin, **high_as_the_plot,
            "line": {"width": 2, "dash": "solid" if own else "dot", "color": theme.COLOURS["assistant"]},
        },
    ]  # fmt: skip
    said = "this run's AB margin" if own else "AB's default margin; this run does not use it"
    places = (
        (first, "◂ switched otherwise than in the teacher", "left", ink),
        (0.0, "boundary", "right", faint(dark=dark, strong=True)),
        (answer.margin, f"{answer.margin:g}: {said}", "left", theme.COLOURS["assistant"]),
    )
    texts = [
        {
            "x": x, "y": 1.0, "yref": "paper", "text": text, "xanchor": anchor, "yanchor": "bottom",
            "showarrow": False, "font": {"size": 12, "color": colour},
        }
        for x, text, anchor, colour in places
    ]  # fmt: skip
    layout = {
        "annotations": texts, "shapes": shapes, "height": 430, "margin": {"l": 66, "r": 16, "t": 28, "b": 114},
        "hovermode": "closest",
        "xaxis": {
            "title": {"text": f"{answer.distance_axis}; the end bins hold what lies beyond", "standoff": 6},
            "range": [first, last], "zeroline": False,
        },
        "yaxis": {"title": {"text": answer.share_axis}, "tickformat": ".0%", "range": [0, high]},
        "legend": {"orientation": "h", "y": -0.24, "x": 0, "yanchor": "top"},
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def rows(answer: Distances) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "network", "from", "to", answer.share_axis
    for part, found in answer.shares.items():
        for low, high, value in zip(answer.edges[:-1], answer.edges[1:], found, strict=True):
            yield part, f"{low:.6g}", f"{high:.6g}", f"{value:.6g}"


def _wrong(answer: Distances, part: str) -> str:
    if part == "teacher":
        return ""
    return f": {theme.percent(answer.wrong[part])} on the other side"
