"""Draws Neurons: for each layer one curve for each network, its neurons from the highest value to the lowest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import NAMES, axes, heading, on, spans
from app.charts.scales import faint
from kdcore.answers.neurons import Neurons

ANSWER = Neurons


def draw(answer: Neurons, *, dark: bool) -> go.Figure:
    """The figure, a panel for each layer."""
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    texts = []
    panels = spans(len(answer.panels), space=0.045)
    for number, (place, title) in enumerate(zip(panels, answer.panels, strict=True)):
        below = answer.neuron_axis if _titled(number, len(panels)) else ""
        count = max(len(answer.values[f"{part}|{number}"]) for part in _parts(answer, number))
        layout |= axes(
            number,
            {
                "domain": place, "range": [0.4, count + 0.6], "showgrid": False, "nticks": 6,
                "title": {"text": below, "standoff": 6},
            },
            {
                "range": [0, 1.04], "tickformat": ".0%", "showticklabels": number == 0,
                "title": {"text": answer.value_axis if number == 0 else ""},
            },
        )  # fmt: skip
        if answer.reference:
            traces.append(
                trace(
                    "scatter", x=[0.4, count + 0.6], y=[answer.reference[number]] * 2, mode="lines",
                    line={"dash": "dash", "width": 1.5, "color": faint(dark=dark, strong=True)},
                    name=answer.reference_says, showlegend=number == 0, legendgroup="reference",
                    hovertemplate=f"{answer.reference_says}: %{{y:.0%}}<extra></extra>", **on(number),
                )
            )  # fmt: skip
        for part in reversed(_parts(answer, number)):
            values = answer.values[f"{part}|{number}"]
            order = numpy.argsort(-values, kind="stable")
            words = [f"neuron {one}" for one in order]
            traces.append(
                trace(
                    "scatter", x=numpy.arange(1, len(values) + 1), y=values[order], customdata=words,
                    mode="lines+markers", name=NAMES[part], legendgroup=part, showlegend=number == 0,
                    line={"width": 2.2, "color": theme.COLOURS[part], "dash": theme.DASHES[part]},
                    marker={"size": 6 if part == "student" else 5},
                    hovertemplate="%{customdata}: %{y:.1%}<extra>" + NAMES[part] + "</extra>", **on(number),
                )
            )  # fmt: skip
        means = ", ".join(
            f"<span style='color:{theme.COLOURS[part]}'>{theme.percent(answer.means[part][number])}</span>"
            for part in _parts(answer, number)
        )
        top = numpy.argsort(-answer.values[f"student|{number}"], kind="stable")[: answer.named]
        most = f"; the student's highest: {', '.join(map(str, top))}" if answer.named else ""
        texts.append(heading(f"<b>{title}</b><br><span style='font-size:12px'>mean {means}{most}</span>", place[0]))
    layout |= {
        "annotations": texts, "height": 430, "margin": {"l": 62, "r": 12, "t": 48, "b": 110}, "hovermode": "closest",
        "legend": {"orientation": "h", "y": -0.24, "x": 0, "yanchor": "top"},
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def rows(answer: Neurons) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "layer", "network", "neuron", answer.value_axis
    for key, values in answer.values.items():
        part, _, number = key.rpartition("|")
        for neuron, value in enumerate(values):
            yield answer.panels[int(number)], part, neuron, f"{value:.6g}"


def _parts(answer: Neurons, number: int) -> list[str]:
    """Whose values there are in that panel."""
    return [part for part in NAMES if f"{part}|{number}" in answer.values]


def _titled(number: int, count: int) -> bool:
    """Whether there is room for the title of the axis below this panel: below all of a few, else in the middle."""
    return count <= 3 or number == count // 2
