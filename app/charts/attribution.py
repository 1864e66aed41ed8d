"""Draws an Attribution: a row for each network, a column for each method, where blue speaks against the class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
import plotly.graph_objects as go
from plotly.colors import get_colorscale

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import FAMILY, NAMES, axes, on
from app.charts.scales import diverging, faint
from kdcore.answers.attribution import Attribution

ANSWER = Attribution

GREYS = get_colorscale("Greys_r")
GAP, HEAD, TOP = 0.08, 0.30, 0.20
"""Space between two maps, above a row and above all, in widths of a map."""


def draw(answer: Attribution, *, dark: bool, height: int = 448) -> go.Figure:
    """The figure. Each map has its own strength: its strongest place has the strongest colour."""
    parts = [part for part in NAMES if part in answer.pictures]
    wide = (1 + GAP) * (1 + len(answer.methods)) - GAP
    tall = TOP + len(parts) * (1 + HEAD)
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    texts: list[dict[str, Any]] = []

    def cell(row: int, column: int) -> dict[str, str]:
        """Hidden axes for a cell, on which maps stay square."""
        number = len(layout) // 2
        left, top = column * (1 + GAP), TOP + row * (1 + HEAD) + HEAD
        hidden = {"visible": False, "fixedrange": True, "constrain": "domain"}
        across, up = [left / wide, (left + 1) / wide], [max(0.0, 1 - (top + 1) / tall), 1 - top / tall]
        here = on(number)
        square = {"autorange": "reversed", "scaleanchor": here["xaxis"]}
        layout.update(axes(number, {**hidden, "domain": across}, {**hidden, "domain": up, **square}))
        return here

    def text(words: str, *, y: float, column: int, anchor: str = "bottom", size: int = 12, colour: str = "") -> None:
        texts.append({
            "text": words, "x": (column * (1 + GAP) + 0.5) / wide, "y": y, "xref": "paper", "yref": "paper",
            "showarrow": False, "xanchor": "center", "yanchor": anchor, "align": "center",
            "font": {"size": size} | ({"color": colour} if colour else {}),
        })  # fmt: skip

    for column, head in enumerate(["what it sees", *answer.methods]):
        first, comma, second = head.partition(", ")
        text(f"<b>{first}</b>{f'<br>{second}' if comma else ''}", y=1, column=column, anchor="top")
    for row, part in enumerate(parts):
        y = 1 - (TOP + row * (1 + HEAD) + HEAD) / tall
        traces.append(_picture(answer.pictures[part], NAMES[part], cell(row, 0)))
        said = f"<b>{NAMES[part]}</b><br><span style='font-size:11px'>says {answer.said[part]}</span>"
        text(said, y=y, column=0, colour=theme.COLOURS[part])
        for column, method in enumerate(answer.methods, start=1):
            name = f"{part}/{method}"
            if name not in answer.maps:
                text("none", y=y, column=column, size=11, colour=faint(dark=dark, strong=True))
                continue
            traces.append(_map(answer.maps[name], name, cell(row, column), dark=dark, bar=column == 1 and row == 0))
            text(_under(answer, part, name), y=y, column=column, size=11)
    layout |= {
        "annotations": texts, "font": {"family": FAMILY}, "height": height, "showlegend": False,
        "margin": {"l": 2, "r": 76, "t": 2, "b": 2},
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def rows(answer: Attribution) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "network", "method", "agreement with the teacher", "rank correlation", "y", "x", "attribution/logits"
    for name, values in answer.maps.items():
        part, method = name.split("/")
        measured = [f"{value:.6g}" for value in answer.agreement.get(name, [])] or ["", ""]
        for (y, x), value in numpy.ndenumerate(values):
            yield NAMES[part].lower(), method, *measured, y, x, f"{value:.6g}"


def _under(answer: Attribution, part: str, name: str) -> str:
    note = answer.notes.get(name, "")
    if part == "teacher":
        return note
    if name not in answer.agreement:
        return f"the same everywhere<br>{note}"
    return f"<b>agrees {100 * answer.agreement[name][0]:.0f} %</b><br>{note}"


def _picture(picture: numpy.ndarray, name: str, here: dict[str, str]) -> dict[str, Any]:
    shared = {"name": name, "hoverinfo": "skip", **here}
    if picture.shape[2] == 3:
        return trace("image", z=(picture * 255).round().astype(numpy.uint8), **shared)
    return trace("heatmap", z=picture[..., 0], zmin=0.0, zmax=1.0, colorscale=GREYS, showscale=False, **shared)


def _map(values: numpy.ndarray, name: str, here: dict[str, str], *, dark: bool, bar: bool) -> dict[str, Any]:
    strongest = max(float(numpy.abs(values).max()), 1e-12)
    return trace(
        "heatmap", z=values / strongest, customdata=values, zmin=-1.0, zmax=1.0, name=name, showscale=bar,
        colorscale=diverging(dark=dark),
        colorbar={
            "tickvals": [-1, 0, 1], "ticktext": ["against", "0", "for"], "thickness": 8, "len": 0.6, "x": 1.005,
            "xanchor": "left", "outlinewidth": 0, "tickfont": {"size": 11},
            "title": {"text": "speaks", "font": {"size": 11}},
        },
        hovertemplate="%{customdata:+.3f} logits<extra></extra>", **here,
    )  # fmt: skip
