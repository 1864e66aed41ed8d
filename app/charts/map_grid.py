"""Draws a MapGrid: rows of feature maps, student beside teacher, each row on one colour scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.scales import calm, diverging, faint
from kdcore.answers.map_grid import MapGrid

ANSWER = MapGrid

GAP = 0.06
"""Space between two maps, in widths of a map."""
FEWEST = 12
"""Maps that a row has room for at least, so that few maps do not become huge."""
NAMES = {"teacher": "teacher looks at", "student": "student looks at", "baseline": "student alone looks at"}
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
    """The figure. Its `layout.meta["aspect"]` is the height of the plot over its width at which maps are square."""
    ranges = fixed or scales([answer])
    count = max(FEWEST, *(len(maps) for maps in answer.rows.values()))
    left, gap, head = 1.9, 0.45, 0.34
    wide = left + gap + count
    column = ["picture", *answer.looks]
    tall = max(len(answer.rows) * (1.0 + head), len(column) * (1.0 + head)) + 0.05
    figure = go.Figure()
    texts = []

    def place(number: int, x: float, y: float, width: float, height: float) -> dict[str, str]:
        """Hidden axes for a place measured in maps from the upper left corner."""
        suffix = "" if number == 1 else str(number)
        hidden = {"visible": False, "fixedrange": True}
        across, up = [x / wide, (x + width) / wide], [1 - (y + height) / tall, 1 - y / tall]
        figure.update_layout(
            {
                f"xaxis{suffix}": {**hidden, "domain": across, "anchor": f"y{suffix}", "range": [0, width]},
                f"yaxis{suffix}": {**hidden, "domain": up, "anchor": f"x{suffix}", "range": [0, height]},
            }
        )
        return {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}

    def text(words: str, *, x: float, y: float, colour: str | None = None) -> None:
        texts.append(
            {
                "text": words,
                "x": x / wide,
                "y": 1 - y / tall,
                "xref": "paper",
                "yref": "paper",
                "showarrow": False,
                "xanchor": "left",
                "yanchor": "bottom",
                "font": {"size": 12} | ({"color": colour} if colour else {}),
            }
        )

    step = tall / len(column)
    size = min(step - head, left)
    for number, part in enumerate(column):
        y = number * step + head
        axes = place(number + 1, 0.0, y, size, size)
        if part == "picture":
            square = answer.picture.mean(axis=2)[::-1] if answer.picture.shape[2] == 1 else None
            if square is None:
                figure.add_trace(
                    go.Image(z=(answer.picture * 255).round().astype(numpy.uint8), hoverinfo="skip", **axes)
                )
                figure.update_layout(
                    {
                        axes["xaxis"].replace("x", "xaxis"): {"range": None},
                        axes["yaxis"].replace("y", "yaxis"): {"range": None},
                    }
                )
            else:
                figure.add_trace(
                    _square(square, size, low=0.0, high=1.0, scale="Greys_r", name="the picture", axes=axes)
                )
            text("the picture", x=0, y=y)
        else:
            look = _dense(answer)[part]
            told = NAMES[part]
            low, high = ranges["looks"]
            figure.add_trace(_square(look[::-1], size, low=low, high=high, scale="Inferno", name=told, axes=axes))
            text(told, x=0, y=y, colour=theme.COLOURS[part])

    shown: list[list[float]] = []
    for number, (title, maps) in enumerate(answer.rows.items()):
        y = number * tall / len(answer.rows) + head
        axes = place(number + 8, left + gap, y, float(count), 1.0)
        edges_x, edges_y, z, names = tiled(maps, answer.channels[title])
        low, high = ranges[title]
        figure.add_trace(
            go.Heatmap(
                x=edges_x,
                y=edges_y,
                z=z,
                zmin=low,
                zmax=high,
                name=title,
                showscale=[low, high] not in shown,
                colorscale=diverging(dark=dark, low=low, high=high),
                colorbar=_bar(y, tall, "difference" if answer.parts[title] == "difference" else "activation"),
                hovertemplate="channel %{text}: %{z:.2f}<extra>" + title + "</extra>",
                meta={"across": names},
                **axes,
            )
        )
        shown.append([low, high])
        colour = theme.COLOURS.get(answer.parts[title], faint(dark=dark, strong=True))
        note = f"{answer.notes[title]}{_which(answer.channels[title])}"
        text(
            f"<b><span style='color:{colour}'>{title}</span></b>  <span style='font-size:11px'>{note}</span>",
            x=left + gap,
            y=y,
        )
    theme.dress(figure, dark=dark)
    figure.update_layout(
        annotations=texts,
        margin={"l": 2, "r": 62, "t": 2, "b": 4},
        height=520,
        meta={"aspect": tall / wide},
        showlegend=False,
    )
    return figure


def tiled(
    maps: numpy.ndarray, channels: Sequence[int]
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, list[str]]:
    """K maps (K, h, w) in a row as one picture with gaps: edges x and y, values z (first row lowest), and the channel's
    name for each column.
    """
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
        return "" if len(channels) == 1 else f", the first {len(channels)}"
    return f", the {len(channels)} strongest"


def _square(
    values: numpy.ndarray, size: float, *, low: float, high: float, scale: str, name: str, axes: dict[str, str]
) -> go.Heatmap:
    height, width = values.shape
    return go.Heatmap(
        x=numpy.linspace(0.0, size, width + 1),
        y=numpy.linspace(0.0, size, height + 1),
        z=values,
        zmin=low,
        zmax=high,
        colorscale=scale,
        showscale=False,
        name=name,
        hovertemplate="%{z:.2f}<extra>" + name + "</extra>",
        **axes,
    )


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
