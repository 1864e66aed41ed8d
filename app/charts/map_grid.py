"""Draws a MapGrid: rows of feature maps, student beside teacher, each row on one colour scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.scales import diverging, faint
from kdcore.answer import MapGrid

GAP = 0.06
"""Space between two maps, in widths of a map."""
FEWEST = 12
"""Maps that a row has room for at least, so that few maps do not become huge."""
NAMES = {"teacher": "the teacher looks", "student": "the student looks", "baseline": "the student alone looks"}
Scales = dict[str, list[float]]


def scales(answers: Sequence[MapGrid]) -> Scales:
    """Row -> colour range over all answers, so that the frames of a film can be compared; "looks" for the top row."""
    found: Scales = {"looks": [0.0, max((float(look.max()) for one in answers for look in _dense(one).values()), default=1.0)]}
    for answer in answers:
        for title, (low, high) in answer.scales.items():
            before = found.get(title, [low, high])
            found[title] = [min(before[0], low), max(before[1], high)]
    return found


def draw(answer: MapGrid, *, dark: bool, fixed: Scales | None = None) -> go.Figure:
    """The figure. Its `layout.meta["aspect"]` is the height of the plot over its width at which maps are square."""
    ranges = fixed or scales([answer])
    wide = max(FEWEST, *(len(maps) for maps in answer.rows.values()))
    top, space = 2.0, 0.42
    tall = top + 0.35 + len(answer.rows) * (1.0 + space)
    figure = go.Figure()
    texts = []

    def place(number: int, left: float, right: float, upper: float, lower: float) -> dict[str, str]:
        suffix = "" if number == 1 else str(number)
        hidden = {"visible": False, "fixedrange": True}
        figure.update_layout(
            {
                f"xaxis{suffix}": {**hidden, "domain": [left / wide, right / wide], "anchor": f"y{suffix}"},
                f"yaxis{suffix}": {**hidden, "domain": [1 - lower / tall, 1 - upper / tall], "anchor": f"x{suffix}"},
            }
        )
        return {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}

    def text(words: str, *, left: float, upper: float, **more: object) -> None:
        texts.append(
            {"text": words, "x": left / wide, "y": 1 - upper / tall, "xref": "paper", "yref": "paper", "showarrow": False,
             "xanchor": "left", "yanchor": "bottom", "font": {"size": 12}, **more}
        )  # fmt: skip

    axes = place(1, 0.0, top, 0.25, 0.25 + top)
    pixels = (numpy.repeat(answer.picture, 3 // answer.picture.shape[2], axis=2) * 255).round().astype(numpy.uint8)
    figure.add_trace(go.Image(z=pixels, hoverinfo="skip", name="picture", **axes))
    text("the picture", left=0, upper=0.25)
    for number, (part, look) in enumerate(_dense(answer).items()):
        left = (top + 0.4) * (number + 1)
        axes = place(number + 2, left, left + top, 0.25, 0.25 + top)
        figure.add_trace(
            go.Heatmap(
                z=look[::-1], zmin=ranges["looks"][0], zmax=ranges["looks"][1], colorscale="Inferno", name=part,
                showscale=number == 0,
                colorbar=_bar("mean squared<br>activation<br>÷ plane's mean", 0.25, top, tall, left=(top + 0.4) * (1 + len(answer.looks)) / wide),
                hovertemplate="%{z:.2f}<extra>where " + NAMES[part] + "</extra>", **axes,
            )
        )  # fmt: skip
        text(f"where {NAMES[part]}", left=left, upper=0.25, font={"size": 12, "color": theme.COLOURS[part]})

    shown: list[list[float]] = []
    for number, (title, maps) in enumerate(answer.rows.items()):
        upper = top + 0.35 + space * 0.75 + number * (1 + space)
        axes = place(number + 8, 0.0, wide, upper, upper + 1.0)
        x, y, z, names = tiled(maps, answer.channels[title])
        low, high = ranges[title]
        signed = title in answer.diverging or low < 0
        figure.add_trace(
            go.Heatmap(
                x=x, y=y, z=z, zmin=low, zmax=high, name=title,
                colorscale=diverging(dark=dark) if signed else theme.SEQUENTIAL,
                showscale=[low, high] not in shown,
                colorbar=_bar("activation" if answer.parts[title] != "difference" else "difference", upper, 1.0, tall, left=1.005),
                hovertemplate="channel %{text}: %{z:.2f}<extra>" + title + "</extra>", meta={"across": names}, **axes,
            )
        )  # fmt: skip
        shown.append([low, high])
        figure.layout[axes["xaxis"].replace("x", "xaxis")].range = [0, wide]
        colour = theme.COLOURS.get(answer.parts[title], faint(dark=dark, strong=True))
        text(
            f"<b><span style='color:{colour}'>{title}</span></b> <span style='font-size:11px'>{answer.notes[title]}; "
            f"{_which(answer.channels[title])}</span>",
            left=0, upper=upper - 0.02,
        )  # fmt: skip
    theme.dress(figure, dark=dark)
    figure.update_layout(
        annotations=texts, margin={"l": 4, "r": 84, "t": 8, "b": 8}, height=620, meta={"aspect": tall / wide}, showlegend=False
    )
    return figure


def tiled(
    maps: numpy.ndarray, channels: Sequence[int]
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, list[str]]:
    """K maps (K, h, w) in a row as one picture with gaps: edges x and y, values z (first row lowest), and of each column
    the channel's name."""
    count, height, width = maps.shape
    z = numpy.full((height, count * (width + 1)), numpy.nan, dtype=numpy.float32)
    edges = [0.0]
    names: list[str] = []
    for number in range(count):
        z[:, number * (width + 1) : number * (width + 1) + width] = maps[number, ::-1]
        edges += [number + (1 - GAP) * (place + 1) / width for place in range(width)] + [number + 1.0]
        names += [str(channels[number])] * width + [""]
    return numpy.array(edges), numpy.linspace(0.0, 1.0, height + 1), z, names


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
        return f"channels 0 to {len(channels) - 1}" if len(channels) > 1 else "channel 0"
    return "its strongest channels"


def _bar(title: str, upper: float, size: float, tall: float, *, left: float) -> dict[str, object]:
    return {
        "title": {"text": title, "font": {"size": 10}, "side": "right" if title == "activation" else "top"},
        "x": left, "xanchor": "left", "y": 1 - (upper + size) / tall, "yanchor": "bottom", "len": size / tall,
        "thickness": 8, "tickfont": {"size": 10}, "nticks": 4, "outlinewidth": 0, "ypad": 0,
    }  # fmt: skip
