"""Draws a Plane: decision regions and zero lines in the input plane, the networks side by side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.scales import faint, shade
from kdcore.answer import Plane

NAMES = {"teacher": "Teacher", "student": "Student", "baseline": "Student alone"}
CLASSES = ("#0f9d77", "#a566c4", "#b58900", "#3aa3a8", "#d14b6f", "#7a8b2d", "#8a6d5b", "#5b6abf")
"""Of the classes: none is the colour of a teacher or a student."""
RADIUS = 0.0075
"""Of a point, in widths of the plane."""


def draw(answer: Plane, *, dark: bool) -> go.Figure:
    """The figure. Its `layout.meta["aspect"]` is the height of the plot over its width at which both axes are equal."""
    figure = go.Figure()
    parts = list(answer.decisions)
    count = len(parts)
    each, space = (1 - 0.04 * (count - 1)) / count, 0.04
    texts = []
    colours = [CLASSES[number % len(CLASSES)] for number in range(len(answer.class_names))]
    for number, part in enumerate(parts):
        suffix = "" if number == 0 else str(number + 1)
        axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        left = number * (each + space)
        span_x, span_y = ([float(axis[0]), float(axis[-1])] for axis in (answer.x, answer.y))
        figure.update_layout(
            {
                f"xaxis{suffix}": {
                    "domain": [left, left + each],
                    "range": span_x,
                    "title": {"text": answer.x_axis, "standoff": 4},
                    "anchor": f"y{suffix}",
                    "matches": None if number == 0 else "x",
                    "zeroline": False,
                    "showgrid": False,
                },
                f"yaxis{suffix}": {
                    "range": span_y,
                    "matches": None if number == 0 else "y",
                    "anchor": f"x{suffix}",
                    "title": {"text": answer.y_axis if number == 0 else ""},
                    "showticklabels": number == 0,
                    "zeroline": False,
                    "showgrid": False,
                },
            }
        )
        figure.add_trace(
            go.Heatmap(
                x=answer.x,
                y=answer.y,
                z=answer.decisions[part],
                zmin=0,
                zmax=max(1, len(colours) - 1),
                colorscale=_steps(colours),
                opacity=0.38 if dark else 0.3,
                showscale=False,
                name="decides",
                hoverinfo="skip",
                **axes,
            )
        )
        if part in answer.disagreement:
            figure.add_trace(
                go.Heatmap(
                    x=answer.x,
                    y=answer.y,
                    z=answer.disagreement[part],
                    zmin=0,
                    zmax=1,
                    showscale=False,
                    hoverinfo="skip",
                    colorscale=[[0, "rgba(0,0,0,0)"], [1, shade(dark=dark)]],
                    name="otherwise than the teacher",
                    **axes,
                )
            )
        for label, colour in enumerate(colours):
            x, y = dots(answer.points[answer.labels == label], answer)
            figure.add_trace(
                go.Scatter(
                    x=x,
                    y=y,
                    mode="lines",
                    fill="toself",
                    fillcolor=colour,
                    line={"width": 0.7, "color": theme.INK["dark" if dark else "light"], "simplify": False},
                    name=answer.class_names[label],
                    legendgroup=f"class {label}",
                    showlegend=number == 0,
                    hoverinfo="skip",
                    **axes,
                )
            )
        lines = answer.lines[part]
        figure.add_trace(
            go.Scatter(
                x=lines[:, 0],
                y=lines[:, 1],
                mode="lines",
                line={"width": 1.0, "color": theme.COLOURS[part]},
                connectgaps=False,
                name=f"where a neuron of the {NAMES[part].lower()} switches",
                hoverinfo="skip",
                showlegend=False,
                **axes,
            )
        )
        agrees = f": as the teacher on {theme.percent(answer.agreement[part])}" if part in answer.agreement else ""
        texts.append(
            {
                "text": f"<b><span style='color:{theme.COLOURS[part]}'>{NAMES[part]}</span></b>{agrees}"
                f"<br><span style='font-size:11px'>{answer.layers[part]}</span>",
                "x": left,
                "y": 1.0,
                "xref": "paper",
                "yref": "paper",
                "xanchor": "left",
                "yanchor": "bottom",
                "align": "left",
                "showarrow": False,
                "font": {"size": 13},
            }
        )
    figure.add_trace(
        go.Scatter(
            x=[None],
            y=[None],
            mode="lines",
            name="where a neuron switches",
            line={"width": 1.5, "color": faint(dark=dark, strong=True)},
        )
    )
    if answer.disagreement:
        figure.add_trace(
            go.Scatter(
                x=[None],
                y=[None],
                mode="markers",
                name="decided otherwise than by the teacher",
                marker={"size": 12, "symbol": "square", "color": shade(dark=dark)},
            )
        )
    theme.dress(figure, dark=dark)
    ratio = float((answer.y[-1] - answer.y[0]) / (answer.x[-1] - answer.x[0]))
    figure.update_layout(
        annotations=texts,
        margin={"l": 52, "r": 8, "t": 44, "b": 72},
        height=520,
        hovermode="closest",
        meta={"aspect": min(1.2, max(0.4, ratio)) * each},
        legend={"orientation": "h", "y": -0.13, "x": 0, "yanchor": "top"},
    )
    return figure


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


def _steps(colours: list[str]) -> list[list[object]]:
    """A scale of even steps, one for each class from 0 to C - 1."""
    if len(colours) < 2:
        return [[0.0, colours[0]], [1.0, colours[0]]]
    last = len(colours) - 1
    found: list[list[object]] = []
    for number, colour in enumerate(colours):
        found += [[max(0.0, (number - 0.5) / last), colour], [min(1.0, (number + 0.5) / last), colour]]
    return found
