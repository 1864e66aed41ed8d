"""Draws a Matrix: one heat map per panel, with its numbers in the cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import axes, heading, on, spans, within
from app.charts.scales import diverging, round_out
from kdcore.answers.matrix import Matrix

ANSWER = Matrix

ABOVE, BELOW = 52, 60
"""Margins in pixels."""
LETTER = 8
"""Pixels of a letter beside a colour bar, at most on average."""

Scales = dict[str, list[float]]


def scales(answers: Sequence[Matrix]) -> Scales:
    """Panel -> colour range over all answers; even on both sides of the centre where there is one."""
    found: Scales = {}
    for answer in answers:
        for title, values in answer.panels.items():
            low, high = answer.low, answer.high
            if title in answer.centre:
                middle = answer.centre[title]
                reach = round_out(max(0.02, float(numpy.nanmax(numpy.abs(values - middle)))))
                far = max(reach, found.get(title, [0.0, middle])[1] - middle)
                low, high = middle - far, middle + far
            found[title] = [low, high]
    return found


def draw(answer: Matrix, *, dark: bool, fixed: Scales | None = None) -> go.Figure:
    """The figure, panels side by side; where all have one colour range, one scale stands for all."""
    ranges = fixed or scales([answer])
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    count = len(answer.panels)
    shared = not answer.centre and len({tuple(ranges[title]) for title in answer.panels}) == 1
    narrow = shared and count > 2
    space = 0.03 if narrow else 0.12 if shared else 0.2
    height = 150 + (74 if answer.spread else 48) * min(8, max(2, len(answer.rows)))
    room = max(8, (height - ABOVE - BELOW) // LETTER)
    texts = []
    panels = zip(answer.panels.items(), spans(count, space=space), strict=True)
    for number, ((title, values), (left, right)) in enumerate(panels):
        low, high = ranges[title]
        spread = answer.spread.get(title)
        words = [
            [
                ""
                if numpy.isnan(value)
                else f"{value:.2f}" + ("" if spread is None else f"<br>± {spread[row, column]:.2g}")
                for column, value in enumerate(line)
            ]
            for row, line in enumerate(values)
        ]
        plain = {"type": "category", "showgrid": False}
        layout |= axes(
            number,
            {**plain, "domain": [left, right], "title": {"text": answer.column_axis}},
            {
                **plain, "title": {"text": answer.row_axis if number == 0 or not narrow else ""},
                "showticklabels": number == 0 or not narrow, "autorange": "reversed",
            },
        )  # fmt: skip
        even = f"; even share {answer.centre[title]:.2f}" if title in answer.centre else ""
        lines = [answer.value_axis, *([f"(mean{even})"] if even or spread is not None else [])]
        told = "<br>".join(part for line in lines for part in wrap(line, room))
        traces.append(
            trace(
                "heatmap",
                x=answer.columns,
                y=answer.rows,
                z=values,
                zmin=low,
                zmax=high,
                xgap=2,
                ygap=2,
                text=words,
                texttemplate="%{text}" if values.size <= 100 else None,
                textfont={"size": 13},
                name=title,
                colorscale=diverging(dark=dark, low=low, high=high, centre=answer.centre[title])
                if title in answer.centre
                else theme.SEQUENTIAL,
                showscale=number == count - 1 or not shared,
                colorbar={
                    "title": {"text": told, "side": "right"},
                    "x": right + 0.01,
                    "thickness": 12,
                    "outlinewidth": 0,
                },
                hovertemplate=f"{answer.row_axis} %{{y}}<br>{answer.column_axis} %{{x}}<br>"
                f"{answer.value_axis} %{{text}}<extra></extra>",
                **on(number),
            )
        )
        texts.append(heading(title.replace(": ", ":<br>"), left))
    layout |= {"annotations": texts, "margin": {"l": 62, "r": 138, "t": ABOVE, "b": BELOW}, "height": height}
    return drawn(traces, layout, dark=dark)


def marks(answer: Matrix, field: tuple[int, int]) -> dict[str, list[dict[str, object]]]:
    """Layout with a frame around the (row, column) in every panel; without one where there is no such field."""
    row, column = field
    if row >= len(answer.rows) or column >= len(answer.columns):
        return {"shapes": []}
    frames: list[dict[str, object]] = []
    for number in range(len(answer.panels)):
        for colour, width in ((theme.INK["light"], 6), ("#ffffff", 2.5)):  # shows on every colour, in light and dark
            frames.append(
                {
                    "type": "rect", **within(number), "layer": "above",
                    "x0": column - 0.46, "x1": column + 0.46, "y0": row - 0.46, "y1": row + 0.46,
                    "line": {"color": colour, "width": width},
                }
            )  # fmt: skip
    return {"shapes": frames}


def rows(answer: Matrix) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "panel", answer.row_axis, answer.column_axis, answer.value_axis, "standard deviation"
    for title, values in answer.panels.items():
        for (row, column), value in numpy.ndenumerate(values):
            spread = f"{answer.spread[title][row, column]:.6g}" if title in answer.spread else ""
            yield title, answer.rows[row], answer.columns[column], f"{value:.6g}", spread
