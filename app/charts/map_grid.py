"""Draws a MapGrid: rows of feature maps, student beside teacher, each row on one colour scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import plotly.graph_objects as go
from plotly.colors import get_colorscale

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.scales import calm, diverging, faint
from kdcore.answers.map_grid import MapGrid

ANSWER = MapGrid

GAP = 0.06
"""Space between two maps, in widths of a map."""
FEWEST = 12
"""Maps that a row has room for at least, so that few maps do not become huge."""
NAMES = {"teacher": "teacher looks at", "student": "student looks at", "baseline": "student alone looks at"}
PLAIN, LOOKED = get_colorscale("Greys_r"), get_colorscale("Inferno")
Scales = dict[str, list[float]]


def scales(answers: Sequence[MapGrid]) -> Scales:
    """Row -> colour range over all answers, so that the frames of a film can be compared; "looks" for the top row.

    It ends at round numbers, and so stays as it is for most snapshots that come later.
    """
    strongest = max((float(look.max()) for one in answers for look in _dense(one).values()), default=1.0)
    found: Scales = {"looks": [0.0, strongest]}
    for answer in answers:
        for title, (low, high) in answer.scales.items():
            before = found.get(title, [low, high])
            found[title] = [min(before[0], low), max(before[1], high)]
    return {title: calm(low, high) for title, (low, high) in found.items()}


def draw(answer: MapGrid, *, dark: bool, fixed: Scales | None = None) -> go.Figure:
    """The figure. Its `layout.meta["aspect"]` is the height of the plot over its width at which maps are square.

    All maps stand on one pair of axes, in widths of a map from the lower left corner: with a pair for each row a
    browser takes half as long again to draw it.
    """
    ranges = fixed or scales([answer])
    count = max(FEWEST, *(len(maps) for maps in answer.rows.values()))
    left, gap, head = 1.9, 0.45, 0.34
    wide = left + gap + count
    column = ["picture", *answer.looks]
    tall = max(len(answer.rows) * (1.0 + head), len(column) * (1.0 + head)) + 0.05
    traces: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []

    def text(words: str, *, x: float, y: float, colour: str | None = None) -> None:
        texts.append({
            "text": words, "x": x / wide, "y": 1 - y / tall, "xref": "paper", "yref": "paper", "showarrow": False,
            "xanchor": "left", "yanchor": "bottom", "font": {"size": 12} | ({"color": colour} if colour else {}),
        })  # fmt: skip

    step = tall / len(column)
    size = min(step - head, left)
    for number, part in enumerate(column):
        y = number * step + head
        low = tall - y - size
        if part == "picture" and answer.picture.shape[2] > 1:
            traces.append(_coloured(answer.picture, size, low=low))
            text("the picture", x=0, y=y)
        elif part == "picture":
            square = answer.picture.mean(axis=2)[::-1]
            traces.append(_square(square, size, low=low, ends=[0.0, 1.0], scale=PLAIN, name="the picture"))
            text("the picture", x=0, y=y)
        else:
            look, told = _dense(answer)[part], NAMES[part]
            traces.append(_square(look[::-1], size, low=low, ends=ranges["looks"], scale=LOOKED, name=told))
            text(told, x=0, y=y, colour=theme.COLOURS[part])

    shown: list[list[float]] = []
    for number, (title, maps) in enumerate(answer.rows.items()):
        y = number * tall / len(answer.rows) + head
        edges_x, edges_y, z, names = tiled(maps, answer.channels[title])
        low, high = ranges[title]
        traces.append(trace(
            "heatmap", x=left + gap + edges_x, y=tall - y - 1.0 + edges_y, z=z, zmin=low, zmax=high, name=title,
            showscale=[low, high] not in shown, colorscale=diverging(dark=dark, low=low, high=high),
            colorbar=_bar(y, tall, "difference" if answer.parts[title] == "difference" else "activation"),
            hovertemplate="channel %{text}: %{z:.2f}<extra>" + title + "</extra>", meta={"across": names},
        ))  # fmt: skip
        shown.append([low, high])
        colour = theme.COLOURS.get(answer.parts[title], faint(dark=dark, strong=True))
        note = f"{answer.notes[title]}{_which(answer.channels[title])}"
        text(
            f"<b><span style='color:{colour}'>{title}</span></b>  <span style='font-size:11px'>{note}</span>",
            x=left + gap,
            y=y,
        )
    hidden = {"visible": False, "fixedrange": True}
    layout = {
        "xaxis": {**hidden, "range": [0.0, wide]},
        "yaxis": {**hidden, "range": [0.0, tall], "scaleanchor": False},
        "annotations": texts, "margin": {"l": 2, "r": 62, "t": 2, "b": 4}, "height": 520,
        "meta": {"aspect": tall / wide}, "showlegend": False, "hovermode": "closest",
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def tiled(
    maps: numpy.ndarray, channels: Sequence[int]
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, list[str]]:
    """K maps (K, h, w) in a row as one picture with gaps: edges x and y, values z (first row lowest), and the channel's
    name for each column.

    All columns are equally wide, several to a pixel of a small map: of such heat maps a browser draws the values and
    not the screen's pixels.
    """
    count, height, width = maps.shape
    each = max(1, round((1 / GAP - 1) / width))
    between = max(1, round(GAP * width * each / (1 - GAP)))
    whole = width * each + between
    z = numpy.full((height, count * whole), numpy.nan, dtype=numpy.float32)
    names: list[str] = []
    for number in range(count):
        z[:, number * whole : (number + 1) * whole - between] = maps[number, ::-1].repeat(each, axis=1)
        names += [str(channels[number])] * (whole - between) + [""] * between
    return numpy.linspace(0.0, count, count * whole + 1), numpy.linspace(0.0, 1.0, height + 1), z, names


def rows(answer: MapGrid) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "row", "channel", "y", "x", "activation"
    for title, maps in answer.rows.items():
        for number, channel in enumerate(answer.channels[title]):
            for (y, x), value in numpy.ndenumerate(maps[number]):
                yield title, channel, y, x, f"{value:.6g}"


def _dense(answer: MapGrid) -> dict[str, numpy.ndarray]:
    """Looks as multiples of the plane's mean, so that planes of different sizes can share a scale."""
    return {part: look * look.size for part, look in answer.looks.items()}


def _which(channels: Sequence[int]) -> str:
    if list(channels) == list(range(len(channels))):
        return "" if len(channels) == 1 else f", the first {len(channels)}"
    return f", the {len(channels)} strongest"


def _square(
    values: numpy.ndarray, size: float, *, low: float, ends: Sequence[float], scale: Any, name: str
) -> dict[str, Any]:
    """A plane at the left, its lower edge at `low`."""
    height, width = values.shape
    return trace(
        "heatmap", x=numpy.linspace(0.0, size, width + 1), y=low + numpy.linspace(0.0, size, height + 1), z=values,
        zmin=ends[0], zmax=ends[1], colorscale=scale, showscale=False, name=name,
        hovertemplate="%{z:.2f}<extra>" + name + "</extra>",
    )  # fmt: skip


def _coloured(picture: numpy.ndarray, size: float, *, low: float) -> dict[str, Any]:
    """A picture (H, W, 3) in [0, 1] at the left, its lower edge at `low`."""
    height, width, _ = picture.shape
    return trace(
        "image", z=(picture * 255).round().astype(numpy.uint8), hoverinfo="skip", x0=0.5 * size / width,
        dx=size / width, y0=low + size * (1 - 0.5 / height), dy=-size / height,
    )  # fmt: skip


def _bar(y: float, tall: float, title: str) -> dict[str, object]:
    """A colour bar beside the row at that height."""
    return {
        "title": {"text": title, "font": {"size": 10}, "side": "right"},
        "x": 1.004,
        "xanchor": "left",
        "ypad": 0,
        "y": 1 - (y + 1.0) / tall,
        "yanchor": "bottom",
        "len": 1.0 / tall,
        "thickness": 8,
        "tickfont": {"size": 10},
        "nticks": 4,
        "outlinewidth": 0,
    }
