"""Draws Embedding: the same inputs as points, a panel for each network, in the colours of their classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import FAMILY, NAMES, axes, heading, named, on, spans, within
from app.charts.plane import CLASSES
from kdcore.answers.embedding import Embedding

ANSWER = Embedding

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")
MOST_NAMED = 30
"""Classes up to which each is written at its middle."""
WIDE, TALL = 1180, 366
"""Pixels of all panels side by side on a laptop, and of their height: by them names are kept off one another."""
LETTER, LINE = 8, 19
"""Pixels of a letter of a name on average, and of its height."""
STEPS = (0, 1, -1, 2, -2, 3, -3, 4, -4)
"""Lines up by which a name may leave its middle, tried in this order."""


Scales = dict[str, list[list[float]]]


def scales(answers: Sequence[Embedding]) -> Scales:
    """The teacher's plane of the last answer, on which all are laid, and the ranges of both axes over all answers."""
    reference = answers[-1].places["teacher"]
    laid = [places for answer in answers for places in _laid(answer, reference).values()]
    every = numpy.concatenate(laid)
    room = 0.05 * (every.max(axis=0) - every.min(axis=0))
    room[room == 0] = 1.0
    # Outwards to a tenth: a film that grows then seldom changes its axes.
    low, high = numpy.floor(10 * (every.min(axis=0) - room)) / 10, numpy.ceil(10 * (every.max(axis=0) + room)) / 10
    return {
        "teacher": [[round(float(value), 4) for value in place] for place in reference],
        "ranges": [[float(low[column]), float(high[column])] for column in (0, 1)],
    }


def draw(answer: Embedding, *, dark: bool, fixed: Scales | None = None) -> go.Figure:
    """The figure: trace n is panel n, point i row i; its `layout.meta["panels"]` says how many panels there are.

    All networks' planes are turned and mirrored to lie on the teacher's of the film's last moment, so that points move
    as little as the networks do.
    """
    traces: list[dict[str, Any]] = []
    fixed = fixed or scales([answer])
    laid = _laid(answer, numpy.array(fixed["teacher"]))
    ink = theme.INK["dark" if dark else "light"]
    paper = "#0e1117" if dark else "#ffffff"
    labels, names = answer.labels.tolist(), answer.class_names
    colours = [CLASSES[label % len(CLASSES)] for label in labels]
    symbols = [SYMBOLS[label // len(CLASSES) % len(SYMBOLS)] for label in labels]
    texts: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    parts = list(laid)
    for number, (part, domain) in enumerate(zip(parts, spans(len(parts), space=0.025), strict=True)):
        places = laid[part]
        wrong = answer.said[part] != answer.labels
        said = [names[label] for label in answer.said[part].tolist()]
        traces.append(
            trace(
                "scatter", x=places[:, 0], y=places[:, 1], mode="markers", name=NAMES[part],
                **on(number),
                marker={
                    "color": colours, "symbol": symbols, "size": 7, "opacity": 0.9,
                    "line": {"width": numpy.where(wrong, 1.6, 0.0).astype(numpy.float32), "color": ink},
                },
                text=[
                    f"test input {number}: a {names[label]}, named {name}"
                    for number, label, name in zip(answer.numbers, labels, said, strict=True)
                ],
                hovertemplate="%{text}<extra>" + NAMES[part] + "</extra>",
                selected={"marker": {"opacity": 1.0}}, unselected={"marker": {"opacity": 0.12}},
            )
        )  # fmt: skip
        across, up = (
            {
                "range": reach, "showticklabels": False, "showgrid": False, "zeroline": False, "showline": True,
                "mirror": True, "title": {"text": title, "standoff": 4},
            }
            for reach, title in zip(
                fixed["ranges"], (f"{answer.way} 1", f"{answer.way} 2" if number == 0 else ""), strict=True
            )
        )  # fmt: skip
        layout |= axes(number, {**across, "domain": domain}, up)
        shared = f": shares {100 * answer.shared[part]:.0f} % of the neighbours" if part in answer.shared else ""
        texts.append(heading(f"{named(part)}{shared}", domain[0]))
        if len(names) <= MOST_NAMED:
            there = sorted(set(labels))
            middles = [numpy.median(places[answer.labels == label], axis=0).tolist() for label in there]
            apart = _apart(middles, [names[label] for label in there], ranges=fixed["ranges"], panels=len(parts))
            for label, (x, y), above in zip(there, middles, apart, strict=True):
                texts.append({
                    "text": f"<b>{names[label]}</b>", "x": x, "y": y, "yshift": above, **within(number),
                    "showarrow": False, "font": {"size": 13, "color": ink}, "bgcolor": paper,
                    "borderpad": 1, "opacity": 0.85, "captureevents": False,
                })  # fmt: skip
    layout |= {
        "height": 430, "annotations": texts, "font": {"family": FAMILY}, "showlegend": False, "hovermode": "closest",
        "dragmode": "lasso", "modebar": {"bgcolor": "rgba(0,0,0,0)"}, "meta": {"panels": len(parts)},
        "margin": {"l": 30, "r": 16, "t": 30, "b": 34},
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def _apart(
    middles: Sequence[Sequence[float]], names: Sequence[str], *, ranges: Sequence[Sequence[float]], panels: int
) -> list[int]:
    """Pixels up by which each name leaves its middle, so that none lies on one before it where that can be."""
    across, up = (size / (high - low) for size, (low, high) in zip((WIDE / panels, TALL), ranges, strict=True))
    taken: list[tuple[float, float, float]] = []
    found = []
    for (x, y), name in zip(middles, names, strict=True):
        half = 0.5 * (LETTER * len(name) + 4)
        boxes = [(x * across - half, x * across + half, y * up + step * LINE) for step in STEPS]
        free = [
            place for place, (left, right, height) in enumerate(boxes)
            if all(right < a or b < left or abs(height - c) >= LINE for a, b, c in taken)
        ]  # fmt: skip
        place = free[0] if free else 0
        taken.append(boxes[place])
        found.append(STEPS[place] * LINE)
    return found


def _laid(answer: Embedding, reference: numpy.ndarray) -> dict[str, numpy.ndarray]:
    """part -> (N, 2) float32: turned and mirrored to lie on the reference (orthogonal Procrustes)."""
    found = {}
    for part, places in answer.places.items():
        if len(places) == len(reference):
            left, _, right = numpy.linalg.svd(places.T.astype(float) @ reference)
            places = places @ (left @ right)
        found[part] = places.astype(numpy.float32)
    return found


def rows(answer: Embedding) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "network", "test input", "class", "named", f"{answer.way} 1", f"{answer.way} 2"
    names = answer.class_names
    for part, places in answer.places.items():
        for place, (x, y) in enumerate(places):
            said = names[answer.said[part][place]]
            yield NAMES[part], int(answer.numbers[place]), names[answer.labels[place]], said, f"{x:.6g}", f"{y:.6g}"
