"""Draws ClassGain: each class's accuracy for all networks, and the confusions that went or came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import NAMES, axes, beside, class_ticks, heading, on, on_end, row_frames, spans
from app.charts.scales import diverging
from kdcore.answers.class_gain import ClassGain

ANSWER = ClassGain

WORDED = 12
"""Classes up to which cells carry their number."""
AGAINST = {"baseline": "the student alone", "teacher": "the teacher"}


def scales(answers: Sequence[ClassGain]) -> dict[str, list[float]]:
    """The range of differences, in points, of the last answer, the same for all panels.

    Before its first epoch a student takes everything for one class; a range that reached so far would pale the rest.
    """
    far = max(5.0, *(float(numpy.abs(values).max()) for values in differences(answers[-1]).values()))
    return {"difference": [-far, far]}


def differences(answer: ClassGain) -> dict[str, numpy.ndarray]:
    """part -> (C, C) confusions of the student less those of the part, in points."""
    ours = answer.confusion["student"]
    return {part: 100 * (ours - answer.confusion[part]) for part in AGAINST if part in answer.confusion}


def draw(answer: ClassGain, *, dark: bool, fixed: dict[str, list[float]] | None = None) -> go.Figure:
    """The figure: all panels share their rows, the true classes."""
    low, high = (fixed or scales([answer]))["difference"]
    found, names = differences(answer), answer.class_names
    places = spans(1 + len(found), space=0.07)
    ticks, upright = class_ticks(names), on_end(names)
    traces = _accuracies(answer)
    texts = [heading("Accuracy of each class", 0.0)]
    rightly = {"text": "share named rightly", "standoff": 4}
    classes = {"type": "category", "autorange": "reversed"}
    layout: dict[str, Any] = axes(
        0, {"domain": places[0], "range": [-0.03, 1.03], "tickformat": ".0%", "title": rightly},
        {**classes, "title": {"text": "true class"}, **ticks},
    )  # fmt: skip
    for number, (part, values) in enumerate(found.items(), start=1):
        words = [[f"{v:+.0f}".replace("-", "−") if abs(v) >= 0.5 else "" for v in line] for line in values]
        traces.append(
            trace(
                "heatmap", x=names, y=names, z=values, zmin=low, zmax=high, xgap=1, ygap=1, name=part,
                colorscale=diverging(dark=dark, low=low, high=high), showscale=number == len(found),
                **({"text": words, "texttemplate": "%{text}"} if len(names) <= WORDED else {}), textfont={"size": 11},
                colorbar={"title": {"text": "points", "side": "right"}, "thickness": 10, "outlinewidth": 0},
                hovertemplate="true class %{y}, taken for %{x}: %{z:+.1f} points<extra></extra>", **on(number),
            )
        )  # fmt: skip
        layout |= axes(
            number,
            {
                "domain": places[number], "type": "category", "showgrid": False, **ticks,
                "title": {"text": "taken for", "standoff": 4}, **({"tickangle": -90} if upright else {}),
            },
            {**classes, "showgrid": False, "showticklabels": False},
        )  # fmt: skip
        texts.append(heading(f"Student less {AGAINST[part]}", places[number][0]))
    below = 122 if upright else 96
    height = min(790, max(340, 64 + below + 27 * len(names)))
    layout |= {
        "height": height, "annotations": texts, "hovermode": "closest",
        "margin": {"l": beside(names), "r": 94, "t": 30, "b": below},
        "legend": {
            "orientation": "h", "yanchor": "top", "y": -54 / (height - 30 - below), "x": 0, "font": {"size": 12},
        },
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def marks(answer: ClassGain, field: tuple[int, int]) -> dict[str, list[dict[str, Any]]]:
    """Layout with a frame around that class's row in every panel; without one where there is no such class."""
    row, many = field[0], len(answer.class_names)
    if row >= many:
        return {"shapes": []}
    band = {
        "type": "rect", "xref": "x domain", "yref": "y", "x0": 0, "x1": 1, "y0": row - 0.42, "y1": row + 0.42,
        "line": {"width": 0}, "fillcolor": "rgba(128,128,128,0.22)", "layer": "below",
    }  # fmt: skip
    return {"shapes": [band, *row_frames(row, many, range(1, 1 + len(differences(answer))))]}


def _accuracies(answer: ClassGain) -> list[dict[str, Any]]:
    """A dot for each network and class, and an arm from the student alone to the student."""
    traces = []
    names, ours = answer.class_names, answer.accuracy["student"]
    if "baseline" in answer.accuracy:
        ends = [
            value
            for start, end in zip(answer.accuracy["baseline"].tolist(), ours.tolist(), strict=True)
            for value in (start, end, None)
        ]
        traces.append(
            trace(
                "scatter", x=ends, y=[name for name in names for _ in range(3)], mode="lines", hoverinfo="skip",
                showlegend=False, line={"color": theme.COLOURS["student"], "width": 2}, name="gain", opacity=0.6,
            )
        )  # fmt: skip
    marks = {"teacher": "diamond-open", "baseline": "circle", "student": "circle"}
    for part in (part for part in marks if part in answer.accuracy):
        traces.append(
            trace(
                "scatter", x=answer.accuracy[part], y=names, mode="markers", name=NAMES[part], customdata=answer.counts,
                marker={"color": theme.COLOURS[part], "size": 9, "symbol": marks[part], "line": {"width": 2}}
                if part == "teacher" else {"color": theme.COLOURS[part], "size": 9},
                hovertemplate="%{y}: %{x:.1%} of %{customdata:,}<extra>" + NAMES[part] + "</extra>",
            )
        )  # fmt: skip
    return traces


def rows(answer: ClassGain) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "network", "true class", "taken for", "share", "inputs of the class"
    for part, matrix in answer.confusion.items():
        for (row, column), value in numpy.ndenumerate(matrix):
            name, taken = answer.class_names[row], answer.class_names[column]
            yield NAMES[part], name, taken, f"{value:.6g}", answer.counts[row]
