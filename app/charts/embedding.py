"""Draws Embedding: the same inputs as points, a panel for each network, in the colours of their classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.panels import FAMILY, NAMES, heading, named, spans, suffix
from app.charts.plane import CLASSES
from kdcore.answer import Embedding

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")
MOST_NAMED = 30
"""Classes up to which each is written at its middle."""


def draw(answer: Embedding, *, dark: bool, chosen: Sequence[int] = ()) -> go.Figure:
    """The figure; `chosen` rows are ringed in every panel. Trace n is panel n, point i row i."""
    figure = go.Figure()
    ink = theme.INK["dark" if dark else "light"]
    paper = "#0e1117" if dark else "#ffffff"
    labels, names = answer.labels.tolist(), answer.class_names
    colours = [CLASSES[label % len(CLASSES)] for label in labels]
    symbols = [SYMBOLS[label // len(CLASSES) % len(SYMBOLS)] for label in labels]
    texts: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    parts = list(answer.places)
    for number, (part, (left, right)) in enumerate(zip(parts, spans(len(parts), space=0.025), strict=True)):
        axis, places = suffix(number), answer.places[part]
        wrong = answer.said[part] != answer.labels
        said = [names[label] for label in answer.said[part].tolist()]
        figure.add_trace(
            go.Scatter(
                x=places[:, 0], y=places[:, 1], mode="markers", name=NAMES[part], xaxis=f"x{axis}", yaxis=f"y{axis}",
                marker={
                    "color": colours, "symbol": symbols, "size": 7, "opacity": 0.9,
                    "line": {"width": numpy.where(wrong, 1.6, 0.0), "color": ink},
                },
                customdata=[[n, names[label], s] for n, label, s in zip(answer.numbers, labels, said, strict=True)],
                hovertemplate="test input %{customdata[0]}: a %{customdata[1]}, named %{customdata[2]}"
                "<extra>" + NAMES[part] + "</extra>",
                selected={"marker": {"opacity": 0.9}}, unselected={"marker": {"opacity": 0.9}},
            )
        )  # fmt: skip
        layout |= {
            f"{letter}axis{axis}": {
                "range": _range(answer, column), "showticklabels": False, "showgrid": False, "zeroline": False,
                "anchor": f"{other}{axis}", **({"domain": [left, right]} if letter == "x" else {}),
                "title": {"text": f"{answer.way} {column + 1}" if letter == "x" or number == 0 else "", "standoff": 4},
                "showline": True, "mirror": True,
            }
            for column, (letter, other) in enumerate((("x", "y"), ("y", "x")))
        }  # fmt: skip
        shared = f": shares {100 * answer.shared[part]:.0f} % of the neighbours" if part in answer.shared else ""
        texts.append(heading(f"{named(part)}{shared}", left))
        if len(names) <= MOST_NAMED:
            for label in sorted(set(labels)):
                x, y = numpy.median(places[answer.labels == label], axis=0)
                texts.append({
                    "text": f"<b>{names[label]}</b>", "x": float(x), "y": float(y), "xref": f"x{axis}",
                    "yref": f"y{axis}", "showarrow": False, "font": {"size": 13, "color": ink}, "bgcolor": paper,
                    "borderpad": 1, "opacity": 0.85, "captureevents": False,
                })  # fmt: skip
    for number, part in enumerate(parts if chosen else []):
        places = answer.places[part][list(chosen)]
        figure.add_trace(
            go.Scatter(
                x=places[:, 0], y=places[:, 1], mode="markers", hoverinfo="skip", name="chosen",
                xaxis=f"x{suffix(number)}", yaxis=f"y{suffix(number)}",
                marker={"symbol": "circle-open", "size": 15, "color": ink, "line": {"width": 2}},
            )
        )  # fmt: skip
    theme.dress(figure, dark=dark, height=430)
    figure.update_layout(
        **layout, annotations=texts, font={"family": FAMILY}, showlegend=False, hovermode="closest", dragmode="select",
        modebar={"bgcolor": "rgba(0,0,0,0)"},
        margin={"l": 30, "r": 8, "t": 30, "b": 34},
    )  # fmt: skip
    return figure


def _range(answer: Embedding, column: int) -> list[float]:
    """Of all panels: they have one scale."""
    values = numpy.concatenate([places[:, column] for places in answer.places.values()])
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or 1.0
    return [low - room, high + room]


def rows(answer: Embedding) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "network", "test input", "class", "named", f"{answer.way} 1", f"{answer.way} 2"
    names = answer.class_names
    for part, places in answer.places.items():
        for place, (x, y) in enumerate(places):
            said = names[answer.said[part][place]]
            yield NAMES[part], int(answer.numbers[place]), names[answer.labels[place]], said, f"{x:.6g}", f"{y:.6g}"
