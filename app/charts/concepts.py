"""Draws Concepts: one picture, and what each network has kept of it, with the object's outline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import FAMILY, NAMES, axes, heading, named, on, spans
from app.charts.scales import diverging
from kdcore.answers.concepts import Concepts

ANSWER = Concepts


def draw(answer: Concepts, *, dark: bool) -> go.Figure:
    """The figure of one network, of the first picture."""
    return beside({answer.part: answer}, picture=0, dark=dark)


def beside(answers: Mapping[str, Concepts], *, picture: int, dark: bool) -> go.Figure:
    """The picture, and beside it each network's cells: nats below (orange) or above (blue) the background's entropy."""
    kept = {
        part: answer.background[picture] - answer.entropy[picture].astype(float) for part, answer in answers.items()
    }
    far = max(0.3, *(float(numpy.quantile(numpy.abs(values), 0.99)) for values in kept.values()))
    ink = theme.INK["dark" if dark else "light"]
    first = next(iter(answers.values()))
    height, width = first.mask.shape[1:]
    domains = spans(1 + len(kept), space=0.02)
    layout: dict[str, Any] = {}
    traces = [trace("image", z=(first.pictures[picture] * 255).round().astype(numpy.uint8), hoverinfo="skip")]
    texts = [heading(f"Picture {first.numbers[picture]}:<br>a {first.names[picture]}", domains[0][0], size=12)]
    for number, (part, values) in enumerate(kept.items(), start=1):
        answer = answers[part]
        rows, columns = values.shape
        across = (numpy.arange(columns) + 0.5) * width / columns - 0.5
        down = (numpy.arange(rows) + 0.5) * height / rows - 0.5
        traces.append(
            trace(
                "heatmap", x=across, y=down, z=values, zmin=-far, zmax=far, name=part,
                colorscale=diverging(dark=dark, low=-far, high=far), showscale=number == len(kept),
                colorbar={
                    "title": {"text": "nats below background", "side": "right", "font": {"size": 11}}, "thickness": 8,
                    "outlinewidth": 0, "nticks": 5, "tickfont": {"size": 10}, "x": 1.005, "xpad": 2,
                },
                text=[["concept" if one else "no concept" for one in line] for line in answer.concept[picture]],
                hovertemplate="%{z:.2f} nats: %{text}<extra>" + NAMES[part] + "</extra>", **on(number),
            )
        )  # fmt: skip
        traces.append(
            trace(
                "contour", z=answer.mask[picture],
                contours={"coloring": "lines", "start": 0.5, "end": 0.5, "size": 1.0},
                colorscale=[[0, ink], [1, ink]], line={"width": 1.5}, showscale=False, hoverinfo="skip", **on(number),
            )
        )  # fmt: skip
        hits, misses = answer.counts[picture]
        texts.append(heading(f"{named(part)}<br>{hits} on it, {misses} beside", domains[number][0], size=12))
    for number, domain in enumerate(domains):
        hidden = {"visible": False, "constrain": "domain"}
        square = {"range": [height - 0.5, -0.5], "scaleanchor": on(number)["xaxis"], "constraintoward": "top"}
        layout |= axes(number, {**hidden, "domain": domain, "range": [-0.5, width - 0.5]}, {**hidden, **square})
    layout |= {
        "height": 250, "font": {"family": FAMILY}, "annotations": texts, "showlegend": False,
        "margin": {"l": 4, "r": 64, "t": 48, "b": 4},
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def rows(answer: Concepts) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "network", "epoch", "picture", "class", "row", "column", "on the object", "entropy in nats", "concept"
    for place, number in enumerate(answer.numbers):
        for (row, column), value in numpy.ndenumerate(answer.entropy[place]):
            yield (
                answer.part, f"{answer.epoch:g}", number, answer.names[place], row, column,
                int(answer.inside[place, row, column]), f"{value:.6g}", int(answer.concept[place, row, column]),
            )  # fmt: skip
