"""Draws a Plane: decision regions and zero lines in the input plane, the networks side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
import plotly.graph_objects as go
from scipy.ndimage import distance_transform_edt

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import NAMES, axes, heading, named, on, spans, within
from app.charts.pixels import address_of
from app.charts.scales import faint, shade
from kdcore.answers.plane import Plane

ANSWER = Plane

CLASSES = ("#0f9d77", "#a566c4", "#b58900", "#3aa3a8", "#d14b6f", "#7a8b2d", "#8a6d5b", "#5b6abf", "#e05ad6", "#1b6e3c")
"""Of the classes: none is the colour of a teacher or a student."""
SIGNS = {"light": ((0.0, "#0b5d4a"), (0.5, "#7cc7b0"), (1.0, "#f4fbf8")),
         "dark": ((0.0, "#0d1f1b"), (0.5, "#1f7a64"), (1.0, "#9be8d2"))}  # fmt: skip
"""From half of the neurons switched as in the teacher, or fewer, to all of them: the lighter, the more."""
LEAST_LABELLED = 0.04
"""Share of the plane that a region of decisions covers at least, where its class is written into it."""
THUMBNAIL = 0.15
"""Side of a picture beside its place, in widths of the plane."""
LETTER = {"class": 0.021, "picture": 0.0185}
"""Width of a letter in widths of the plane, as wide as a panel is on a page of 1366: of a class, under a picture."""
LINE = 0.055
"""Height of a name, in widths of the plane."""
RADIUS = 0.0075
"""Of a point, in widths of the plane."""


def draw(answer: Plane, *, dark: bool) -> go.Figure:
    """The figure. Its `layout.meta["aspect"]` is the height of the plot over its width at which both axes are equal."""
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    parts = list(answer.decisions)
    places = spans(len(parts), space=0.04)
    texts: list[dict[str, Any]] = []
    colours = class_colours(len(answer.class_names))
    pictures: list[dict[str, Any]] = []
    there = {int(label) for label in answer.labels}
    ink = theme.INK["dark" if dark else "light"]
    for number, part in enumerate(parts):
        first, here = number == 0, on(number)
        bare = {"zeroline": False, "showgrid": False}
        span_x, span_y = ([float(axis[0]), float(axis[-1])] for axis in (answer.x, answer.y))
        layout |= axes(
            number,
            {
                "domain": places[number], "range": span_x, "title": {"text": answer.x_axis, "standoff": 4}, **bare,
                **({} if first else {"matches": "x"}),
            },
            {
                "range": span_y, "title": {"text": answer.y_axis if first else ""}, "showticklabels": first, **bare,
                **({} if first else {"matches": "y"}),
            },
        )  # fmt: skip
        if part in answer.signs:
            traces.append(_equal_signs(answer, part, number, dark=dark, bar=part == next(iter(answer.signs))))
        else:
            traces.append(
                trace(
                    "heatmap", x=answer.x, y=answer.y, z=answer.decisions[part], zmin=0, zmax=max(1, len(colours) - 1),
                    colorscale=steps(colours), opacity=0.38 if dark else 0.3, showscale=False, name="decides",
                    hoverinfo="skip", **here,
                )
            )  # fmt: skip
        if part in answer.disagreement and part not in answer.signs:
            traces.append(
                trace(
                    "heatmap", x=answer.x, y=answer.y, z=answer.disagreement[part], zmin=0, zmax=1, showscale=False,
                    hoverinfo="skip", colorscale=[[0, "rgba(0,0,0,0)"], [1, shade(dark=dark)]],
                    name="otherwise than the teacher", **here,
                )
            )  # fmt: skip
        for label, colour in enumerate(colours):
            if len(answer.pictures) and label not in there:
                continue
            x, y = dots(answer.points[answer.labels == label], answer)
            traces.append(
                trace(
                    "scatter", x=x, y=y, mode="lines", fill="toself", fillcolor=colour,
                    line={"width": 0.7, "color": ink, "simplify": False}, name=answer.class_names[label],
                    legendgroup=f"class {label}", showlegend=first and not len(answer.pictures), hoverinfo="skip",
                    **here,
                )
            )  # fmt: skip
        lines = answer.lines[part]
        traces.append(
            trace(
                "scatter", x=lines[:, 0], y=lines[:, 1], mode="lines", connectgaps=False, hoverinfo="skip",
                line={"width": 1.0, "color": theme.COLOURS[part]}, showlegend=False,
                name=f"where a neuron of the {NAMES[part].lower()} switches", **here,
            )
        )  # fmt: skip
        if len(answer.pictures):
            found, images = _places(answer, number, ink=ink)
            texts += found
            pictures += images
            if part not in answer.signs:
                texts += _regions(answer, part, number, ink=ink)
        agrees = f": as the teacher on {theme.percent(answer.agreement[part])}" if part in answer.agreement else ""
        if agrees and answer.agreement_of != "test points":
            agrees += f" of {answer.agreement_of}"
        if part in answer.signs:
            agrees = f": {theme.percent(answer.signs_mean[part])} of signs as in the teacher"
        layer = f"<br><span style='font-size:11px'>{answer.layers[part]}</span>"
        texts.append(heading(f"{named(part)}{agrees}{layer}", places[number][0], y=1.0))
    traces.append(
        trace(
            "scatter", x=[None], y=[None], mode="lines", name="where a neuron switches",
            line={"width": 1.5, "color": faint(dark=dark, strong=True)},
        )
    )  # fmt: skip
    if answer.disagreement and not answer.signs:
        traces.append(
            trace(
                "scatter", x=[None], y=[None], mode="markers", name="decided otherwise than by the teacher",
                marker={"size": 12, "symbol": "square", "color": shade(dark=dark)},
            )
        )  # fmt: skip
    ratio = float((answer.y[-1] - answer.y[0]) / (answer.x[-1] - answer.x[0]))
    layout |= {
        "annotations": texts, "images": pictures, "height": 520, "hovermode": "closest",
        "margin": {"l": 62, "r": 124 if answer.signs else 20, "t": 44, "b": 112},
        "meta": {"aspect": min(1.2, max(0.4, ratio)) * (places[0][1] - places[0][0])},
        "legend": {"orientation": "h", "y": -0.13, "x": 0, "yanchor": "top"},
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def class_colours(count: int) -> list[str]:
    """A colour for each of so many classes, in their order; from the eleventh on they come again."""
    return [CLASSES[number % len(CLASSES)] for number in range(count)]


def _equal_signs(answer: Plane, part: str, number: int, *, dark: bool, bar: bool) -> dict[str, Any]:
    """The share of equal signs over the plane, light where it is high; one scale stands for all networks."""
    return trace(
        "heatmap", x=answer.x, y=answer.y, z=answer.signs[part], zmin=0.5, zmax=1.0, showscale=bar,
        colorscale=SIGNS["dark" if dark else "light"],
        colorbar={
            "title": {"text": "neurons switched as in the teacher", "side": "right"}, "thickness": 10,
            "tickvals": [0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
            "ticktext": ["50 % or less", "60 %", "70 %", "80 %", "90 %", "100 %"], "outlinewidth": 0, "x": 1.005,
        },
        name="switched as in the teacher",
        hovertemplate="%{z:.0%} of neurons as in the teacher<extra>" + NAMES[part] + "</extra>", **on(number),
    )  # fmt: skip


def _places(answer: Plane, number: int, *, ink: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The three pictures in a panel: their names and the pictures themselves, each outside of its corner."""
    texts: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    width = float(answer.x[-1] - answer.x[0])
    behind = "rgba(255,255,255,0.6)" if ink == theme.INK["light"] else "rgba(0,0,0,0.5)"
    for (x, y), picture, name in zip(answer.points, answer.pictures, answer.picture_names, strict=True):
        across, up = _beside(answer, (float(x), float(y)))
        above = up > 0
        images.append(
            {
                "source": address_of(picture), **within(number), "x": across, "y": y + up * 0.025 * width,
                "sizex": THUMBNAIL * width, "sizey": THUMBNAIL * width, "layer": "above", "xanchor": "center",
                "yanchor": "bottom" if above else "top",
            }
        )  # fmt: skip
        texts.append(
            {
                "text": f"<b>{name}</b>", **within(number), "x": across,
                "y": y + up * (0.03 + THUMBNAIL) * width, "xanchor": "center",
                "yanchor": "bottom" if above else "top", "showarrow": False, "font": {"size": 11, "color": ink},
                "bgcolor": behind, "borderpad": 0,
            }
        )  # fmt: skip
    return texts, images


def _regions(answer: Plane, part: str, number: int, *, ink: str) -> list[dict[str, Any]]:
    """The name of the class in the widest place of each class's region that is large enough, the largest region first.

    A name covers neither a picture nor another name; a region without a place for its name has none.
    """
    found: list[dict[str, Any]] = []
    decided = answer.decisions[part]
    taken = _taken(answer)
    width = float(answer.x[-1] - answer.x[0])
    labels, counts = numpy.unique(decided, return_counts=True)
    for label in labels[numpy.argsort(-counts, kind="stable")]:
        mine = decided == label
        if mine.mean() < LEAST_LABELLED:
            continue
        half = numpy.array([len(answer.class_names[label]) * LETTER["class"], LINE]) * width / 2
        inner = distance_transform_edt(numpy.pad(mine, 1))[1:-1, 1:-1] * _room(answer, taken, half)
        row, column = numpy.unravel_index(int(inner.argmax()), inner.shape)
        if inner[row, column] == 0.0:
            continue
        x, y = float(answer.x[column]), float(answer.y[row])
        taken.append((x - half[0], x + half[0], y - half[1], y + half[1]))
        found.append(
            {
                "text": f"<b>{answer.class_names[label]}</b>", **within(number), "x": x, "y": y, "showarrow": False,
                "xanchor": "center", "font": {"size": 13, "color": ink},
            }
        )  # fmt: skip
    return found


Box = tuple[float, float, float, float]
"""Left, right, lower and upper end in the plane."""


def _taken(answer: Plane) -> list[Box]:
    """What pictures and their names cover."""
    width = float(answer.x[-1] - answer.x[0])
    found: list[Box] = []
    for (x, y), name in zip(answer.points, answer.picture_names, strict=True):
        across, up = _beside(answer, (float(x), float(y)))
        for half, ends in (
            (THUMBNAIL / 2, (-0.01, THUMBNAIL + 0.025)),
            (len(name) * LETTER["picture"] / 2, (THUMBNAIL + 0.025, THUMBNAIL + 0.035 + LINE)),
        ):
            low, high = sorted(y + up * end * width for end in ends)
            found.append((across - half * width, across + half * width, low, high))
    return found


def _room(answer: Plane, taken: list[Box], half: numpy.ndarray) -> numpy.ndarray:
    """Where the middle of a name of so much half a width and height may lie, (H, W)."""
    x, y = answer.x, answer.y
    inside_x = (x - half[0] >= x[0]) & (x + half[0] <= x[-1])
    inside_y = (y - half[1] >= y[0]) & (y + half[1] <= y[-1])
    free = inside_y[:, None] & inside_x[None, :]
    for left, right, low, high in taken:
        over_x = (x + half[0] > left) & (x - half[0] < right)
        over_y = (y + half[1] > low) & (y - half[1] < high)
        free[numpy.ix_(over_y, over_x)] = False
    return free


def _beside(answer: Plane, point: tuple[float, float]) -> tuple[float, float]:
    """(Where across the picture of a point stands, 1 above its point or -1 below), each outside of its corner."""
    width = float(answer.x[-1] - answer.x[0])
    across = numpy.clip(point[0], answer.x[0] + 0.6 * THUMBNAIL * width, answer.x[-1] - 0.6 * THUMBNAIL * width)
    return float(across), 1.0 if point[1] > answer.points[:, 1].mean() else -1.0


def dots(points: numpy.ndarray, answer: Plane) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Points (N, 2) as hexagons in one line with gaps, x and y (8 N,): one shape is drawn much faster than N marks."""
    turns = numpy.arange(7) * numpy.pi / 3
    ring = numpy.stack([numpy.cos(turns), numpy.sin(turns)], axis=1)
    reach = RADIUS * numpy.array([answer.x[-1] - answer.x[0], answer.y[-1] - answer.y[0]])
    reach[1] = reach[0] if 0.4 <= reach[1] / reach[0] <= 1.2 else reach[1]
    corners = points[:, None, :] + ring * reach
    ended = numpy.concatenate([corners, numpy.full((len(points), 1, 2), numpy.nan)], axis=1).reshape(-1, 2)
    return ended[:, 0].astype(numpy.float32), ended[:, 1].astype(numpy.float32)


def rows(answer: Plane) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "what", "network", answer.x_axis, answer.y_axis, "value"
    for (x, y), label in zip(answer.points, answer.labels, strict=True):
        yield "point", "", f"{x:.5g}", f"{y:.5g}", answer.class_names[label]
    for part, decided in answer.decisions.items():
        for (row, column), label in numpy.ndenumerate(decided):
            yield "decides", part, f"{answer.x[column]:.5g}", f"{answer.y[row]:.5g}", answer.class_names[label]
    for part, lines in answer.lines.items():
        line = 0
        for x, y in lines:
            if numpy.isnan(x):
                line += 1
            else:
                yield "zero line", part, f"{x:.5g}", f"{y:.5g}", line


def steps(colours: list[str]) -> list[list[object]]:
    """A scale of even steps, one for each class from 0 to C - 1."""
    if len(colours) < 2:
        return [[0.0, colours[0]], [1.0, colours[0]]]
    last = len(colours) - 1
    found: list[list[object]] = []
    for number, colour in enumerate(colours):
        found += [[max(0.0, (number - 0.5) / last), colour], [min(1.0, (number + 0.5) / last), colour]]
    return found
