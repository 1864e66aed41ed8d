"""Draws DarkKnowledge: class-similarity matrices and one input's soft labels, with a temperature to drag.

All temperatures are in the figure, as steps of its slider, so that dragging asks no server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import (
    FAMILY,
    NAMES,
    axes,
    beside,
    class_ticks,
    heading,
    named,
    on,
    on_end,
    row_frames,
    spans,
)
from app.charts.pixels import address_of
from app.charts.scales import calm
from kdcore.answers.dark_knowledge import DarkKnowledge

ANSWER = DarkKnowledge

USUAL = 4.0
Scales = dict[str, list[float]]


def scales(answers: Sequence[DarkKnowledge]) -> Scales:
    """Each temperature's number -> [least, greatest likeness, greatest soft label] over all answers."""
    found: Scales = {}
    for number in range(len(answers[-1].temperatures)):
        ranges = [_ranges(answer, number) for answer in answers if number < len(answer.temperatures)]
        lows, highs, tops = zip(*ranges, strict=True)
        found[str(number)] = [*calm(min(lows), max(highs)), max(tops)]
    return found


def _rows_of(answer: DarkKnowledge) -> tuple[tuple[float, float], tuple[float, float], int]:
    """Which part of the height matrices and labels have, and the height in pixels: names on end need room."""
    if not on_end(answer.class_names):
        return (0.42, 1.0), (0.0, 0.22), 480
    return (0.5, 1.0), (0.0, 0.2), 560


def draw(answer: DarkKnowledge, *, dark: bool, fixed: Scales | None = None) -> go.Figure:
    """The figure, at T = 4 at first where there is such a temperature."""
    traces: list[dict[str, Any]] = []
    ranges = fixed or scales([answer])
    names, parts = answer.class_names, list(answer.similarity)
    matrices, labels, height = _rows_of(answer)
    ticks = class_ticks(names)
    upright = {} if height == 480 else {"tickangle": -90, "tickfont": {"size": 11}}
    frames = [_at(answer, number, ranges[str(number)]) for number in range(len(answer.temperatures))]
    start = answer.temperatures.index(USUAL) if USUAL in answer.temperatures else 0
    first = frames[start]
    z, y = first["z"], first["y"]
    layout: dict[str, Any] = {}
    for number, (part, place) in enumerate(zip(parts, spans(len(parts), space=0.05), strict=True)):
        traces.append(
            trace(
                "heatmap", x=names, y=y[number], z=z[number], zmin=first["zmin"][number], zmax=first["zmax"][number],
                xgap=1, ygap=1, name=NAMES[part],
                colorscale=theme.SEQUENTIAL, showscale=number == len(parts) - 1, hoverongaps=False,
                colorbar={
                    "title": {"text": "mean probability", "side": "right"}, "thickness": 10, "outlinewidth": 0,
                    "y": sum(matrices) / 2, "len": matrices[1] - matrices[0],
                },
                hovertemplate="a %{y} looks like %{x}: %{z:.2%}<extra>" + NAMES[part] + "</extra>", **on(number),
            )
        )  # fmt: skip
        plain = {"type": "category", "showgrid": False, "zeroline": False, **ticks}
        layout |= axes(
            number,
            {**plain, "domain": place, "title": {"text": "probability of class", "standoff": 4}, **upright},
            {
                **plain, "domain": matrices, "autorange": "reversed", "showticklabels": number == 0,
                "title": {"text": "true class" if number == 0 else ""},
            },
        )  # fmt: skip
    last = len(parts)
    for number, part in enumerate(parts):
        traces.append(
            trace(
                "bar", x=names, y=y[len(parts) + number], name=NAMES[part], marker={"color": theme.COLOURS[part]},
                hovertemplate="%{x}: %{y:.2%}<extra>" + NAMES[part] + "</extra>", **on(last),
            )
        )  # fmt: skip
    shown = answer.picture.size > 0
    layout |= axes(
        last,
        {
            "domain": [0.13 if shown else 0.0, 1.0], "type": "category", "dtick": 1,
            "title": {"text": "class", "standoff": 4},
        },
        {
            "domain": labels, "range": first["range"], "nticks": 4, "tickformat": ".0%",
            "title": {"text": "probability"},
        },
    )  # fmt: skip
    if shown:
        layout["images"] = [{
            "source": address_of(answer.picture), "xref": "paper", "yref": "paper", "x": 0.0, "y": labels[1],
            "sizex": 0.075, "sizey": labels[1] - labels[0], "xanchor": "left", "yanchor": "top",
        }]  # fmt: skip
    layout |= {
        "height": height, "barmode": "group", "font": {"family": FAMILY}, "annotations": first["annotations"],
        "hovermode": "closest", "modebar": {"bgcolor": "rgba(0,0,0,0)"},
        "margin": {"l": beside(names), "r": 112, "t": 30, "b": 72},
        "legend": {"orientation": "h", "yanchor": "top", "y": -0.1, "x": 0.13},
        "sliders": [{
            "active": start, "x": 0.0, "y": 1.3, "yanchor": "top", "len": 0.5, "pad": {"t": 0, "b": 0},
            "currentvalue": {"prefix": "Temperature T = ", "xanchor": "left"}, "ticklen": 0, "minorticklen": 0,
            "steps": [
                {
                    "label": f"{warm:g}", "method": "update",
                    "args": [
                        {name: frame[name] for name in ("z", "y", "zmin", "zmax")},
                        {"annotations": frame["annotations"], f"yaxis{last + 1}.range": frame["range"]},
                    ],
                }
                for warm, frame in zip(answer.temperatures, frames, strict=True)
            ],
        }],
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def _ranges(answer: DarkKnowledge, number: int) -> tuple[float, float, float]:
    """(least, greatest likeness beside the diagonal, greatest soft label) at a temperature, over all networks."""
    off = ~numpy.eye(len(answer.class_names), dtype=bool)
    beside = numpy.concatenate([matrices[number][off] for matrices in answer.similarity.values()])
    return float(beside.min()), float(beside.max()), max(float(soft[number].max()) for soft in answer.soft.values())


def _at(answer: DarkKnowledge, number: int, ranges: list[float]) -> dict[str, Any]:
    """What each trace shows at a temperature, matrices first, and the headings."""
    parts, names = list(answer.similarity), answer.class_names
    matrices = {part: answer.similarity[part][number] for part in parts}
    low, high = ranges[0], max(ranges[1], ranges[0] + 1e-6)
    z = [
        [[None if row == column else float(f"{v:.4g}") for column, v in enumerate(line)] for row, line in enumerate(m)]
        for m in matrices.values()
    ]
    bars = [[float(f"{v:.4g}") for v in answer.soft[part][number]] for part in parts]
    texts = []
    for part, (left, _) in zip(parts, spans(len(parts), space=0.05), strict=True):
        alike = ""
        if part in answer.likeness:
            alike = f": {answer.likeness[part][number]:.2f} like the teacher's".replace("-", "−")
        texts.append(heading(f"{named(part)}{alike}", left))
    texts.append(heading(f"What each says of {answer.picture_says}", 0.0, y=_rows_of(answer)[1][1] + 0.015))
    return {
        "z": [*z, *([None] * len(parts))], "y": [*([names] * len(parts)), *bars],
        "zmin": [*([low] * len(parts)), *([None] * len(parts))],
        "zmax": [*([high] * len(parts)), *([None] * len(parts))],
        "annotations": texts, "range": [0.0, 1.1 * ranges[2]],
    }  # fmt: skip


def nearness(answer: DarkKnowledge) -> list[tuple[dict[str, float], str]]:
    """For each temperature how near the networks are to the teacher, and what that is."""
    return [
        (
            {part: alike[number] for part, alike in answer.likeness.items()},
            f"{answer.nearness_of.partition(' at T')[0]} at T = {warm:g}",
        )
        for number, warm in enumerate(answer.temperatures)
    ]


def marks(answer: DarkKnowledge, field: tuple[int, int]) -> dict[str, list[dict[str, Any]]]:
    """Layout with a frame around that row of every matrix, without one where there is no such class."""
    row, many = field[0], len(answer.class_names)
    return {"shapes": row_frames(row, many, range(len(answer.similarity))) if row < many else []}


def rows(answer: DarkKnowledge) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "network", "temperature", "of", "probability of", "probability"
    for place, warm in enumerate(answer.temperatures):
        for part, matrices in answer.similarity.items():
            for (row, column), value in numpy.ndenumerate(matrices[place]):
                names = answer.class_names[row], answer.class_names[column]
                yield NAMES[part], f"{warm:g}", f"all of class {names[0]}", names[1], f"{value:.6g}"
            for name, value in zip(answer.class_names, answer.soft[part][place], strict=True):
                yield NAMES[part], f"{warm:g}", answer.picture_says, name, f"{value:.6g}"
