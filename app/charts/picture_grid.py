"""Small pictures in rows, each with its name and how sure somebody is of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy
import plotly.graph_objects as go

from app.charts.drawn import drawn, trace
from app.charts.pixels import address_of
from app.theme import percent
from kdcore.answers.picture_grid import PictureGrid

ANSWER = PictureGrid

ACROSS = 12
"""Pictures in a row; of pictures that are wider than high, fewer."""
WORDS, LINE = 0.38, 0.17
"""Height of the words below a picture and of each further line of them, in widths of a picture of a full row."""
PIXELS = 64
"""Of a picture's longer side at least, so that small pictures keep hard edges."""


def draw(answer: PictureGrid, *, dark: bool) -> go.Figure:
    """A row after the other, as they come."""
    sure = list(zip(answer.names, answer.shares, strict=True))
    return pictured(
        answer.pictures,
        words=[f"{name} · {100 * float(share):.0f} %" for name, share in sure],
        told=[f"{answer.names_say}: {name}<br>{answer.shares_say}: {percent(float(share))}" for name, share in sure],
        foot=f"Under each picture: {answer.names_say} · {answer.shares_say}", dark=dark,
    )  # fmt: skip


def pictured(
    pictures: numpy.ndarray, *, words: Sequence[str], told: Sequence[str], foot: str, dark: bool, lines: int = 1
) -> go.Figure:
    """(K, h, w, 1 or 3) uint8 in rows, so many lines of words under each, more when pointed at, and a foot."""
    count = len(pictures)
    large = _enlarged(pictures)
    height, width = large.shape[1:3]
    across = min(max(1, round(ACROSS * min(1.0, 1.1 * height / width))), max(1, count))
    high = 0.9 * height / width
    tall = high + (WORDS + (lines - 1) * LINE) * across / ACROSS  # letters stay as high where pictures are larger
    down = max(1, -(-count // across))
    step = width / 0.9
    middles = [(place % across + 0.45) * step for place in range(count)]
    sheet = trace("image", source=address_of(_sheet(large, across, tall, dark=dark)), hoverinfo="skip", x0=0, y0=0)
    marks = trace(
        "scatter", x=middles, y=[(place // across * tall + high / 2) * step for place in range(count)], mode="markers",
        marker={"opacity": 0.0, "size": 30}, showlegend=False, hovertemplate="%{text}<extra></extra>", text=list(told),
    )  # fmt: skip
    under = [
        {
            "x": middles[place], "y": (place // across * tall + high + 0.02) * step, "yanchor": "top",
            "showarrow": False, "text": text, "font": {"size": 11},
        }
        for place, text in enumerate(words)
    ]  # fmt: skip
    below_all = {
        "x": 0, "y": 0, "xref": "paper", "yref": "paper", "yanchor": "top", "xanchor": "left", "yshift": -8,
        "showarrow": False, "text": foot, "font": {"size": 12},
    }  # fmt: skip
    hidden = {"visible": False, "constrain": "domain"}
    layout = {
        "margin": {"l": 4, "r": 4, "t": 4, "b": 34}, "meta": {"aspect": down * tall / across}, "hovermode": "closest",
        "annotations": [*under, below_all], "xaxis": {**hidden, "range": [-0.05 * step, across * step]},
        "yaxis": {**hidden, "range": [down * tall * step, -0.05 * step], "scaleanchor": "x"},
    }  # fmt: skip
    return drawn([sheet, marks], layout, dark=dark)


def rows(answer: PictureGrid) -> Iterator[tuple[object, ...]]:
    """Names, shares and mean brightness, for a CSV: first the names of the columns."""
    yield "picture", answer.names_say, answer.shares_say, "mean brightness (0 to 255)"
    for number, (name, share) in enumerate(zip(answer.names, answer.shares, strict=True)):
        yield number, name, f"{float(share):.6g}", f"{float(answer.pictures[number].mean()):.1f}"


def _enlarged(pictures: numpy.ndarray) -> numpy.ndarray:
    """(K, height, width, 3) uint8: at least so many pixels on the longer side, with hard edges."""
    if not len(pictures):
        return numpy.zeros((0, PIXELS, PIXELS, 3), dtype=numpy.uint8)
    times = max(1, -(-PIXELS // max(pictures.shape[1:3])))
    found = pictures.repeat(times, axis=1).repeat(times, axis=2)
    return found.repeat(3, axis=3) if found.shape[3] == 1 else found


def _sheet(large: numpy.ndarray, across: int, tall: float, *, dark: bool) -> numpy.ndarray:
    """All pictures on one, in the page's own colour where none lies."""
    high, wide = large.shape[1:3]
    step = wide / 0.9
    down = max(1, -(-len(large) // across))
    sheet = numpy.empty((round(down * tall * step), round(across * step), 3), dtype=numpy.uint8)
    sheet[:] = (20, 23, 26) if dark else (255, 255, 255)
    for number, picture in enumerate(large):
        top, left = round(number // across * tall * step), round(number % across * step)
        sheet[top : top + high, left : left + wide] = picture
    return sheet
