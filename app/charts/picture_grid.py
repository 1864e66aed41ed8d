"""Small pictures in rows, each with its name and how sure somebody is of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy
import plotly.graph_objects as go

from app.charts.pixels import address_of
from app.theme import dress, percent
from kdcore.answers.picture_grid import PictureGrid

ANSWER = PictureGrid

ACROSS = 12
"""Pictures in a row."""
TALL = 1.28
"""Height of a picture and its words, in widths."""
PIXELS = 64
"""Of a picture's longer side at least, so that small pictures keep hard edges."""


def draw(answer: PictureGrid, *, dark: bool) -> go.Figure:
    """A row after the other, as they come."""
    count = len(answer.pictures)
    across = min(ACROSS, max(1, count))
    down = max(1, -(-count // across))
    figure = go.Figure(go.Image(
        source=address_of(_sheet(answer.pictures, across, dark=dark)), hoverinfo="skip", x0=0, y0=0,
    ))  # fmt: skip
    side = _enlarged(answer.pictures).shape[1] if count else PIXELS
    step = side / 0.9
    figure.add_trace(go.Scatter(
        x=[(place % across + 0.45) * step for place in range(count)],
        y=[(place // across * TALL + 0.45) * step for place in range(count)],
        mode="markers", marker={"opacity": 0.0, "size": 30}, showlegend=False,
        hovertemplate="%{text}<extra></extra>",
        text=[f"{answer.names_say}: {name}<br>{answer.shares_say}: {percent(float(share))}"
              for name, share in zip(answer.names, answer.shares, strict=True)],
    ))  # fmt: skip
    for place, (name, share) in enumerate(zip(answer.names, answer.shares, strict=True)):
        figure.add_annotation(
            x=(place % across + 0.45) * step, y=(place // across * TALL + 0.92) * step, yanchor="top", showarrow=False,
            text=f"{name} · {100 * float(share):.0f} %", font={"size": 11},
        )  # fmt: skip
    dress(figure, dark=dark)
    figure.update_layout(
        margin={"l": 4, "r": 4, "t": 4, "b": 34}, meta={"aspect": down * TALL / across}, hovermode="closest",
    )  # fmt: skip
    figure.add_annotation(
        x=0, y=0, xref="paper", yref="paper", yanchor="top", xanchor="left", yshift=-8, showarrow=False,
        text=f"Under each picture: {answer.names_say} · {answer.shares_say}", font={"size": 12},
    )  # fmt: skip
    figure.update_xaxes(visible=False, range=[-0.05 * step, across * step], constrain="domain")
    figure.update_yaxes(visible=False, range=[down * TALL * step, -0.05 * step], scaleanchor="x", constrain="domain")
    return figure


def rows(answer: PictureGrid) -> Iterator[tuple[object, ...]]:
    """Names, shares and mean brightness, for a CSV: first the names of the columns."""
    yield "picture", answer.names_say, answer.shares_say, "mean brightness (0 to 255)"
    for number, (name, share) in enumerate(zip(answer.names, answer.shares, strict=True)):
        yield number, name, f"{float(share):.6g}", f"{float(answer.pictures[number].mean()):.1f}"


def _enlarged(pictures: numpy.ndarray) -> numpy.ndarray:
    """(K, side, side, 3) uint8: square, at least so many pixels wide, with hard edges."""
    times = max(1, -(-PIXELS // max(pictures.shape[1:3])))
    found = pictures.repeat(times, axis=1).repeat(times, axis=2)
    found = found.repeat(3, axis=3) if found.shape[3] == 1 else found
    side = max(found.shape[1:3])
    square = numpy.zeros((len(found), side, side, 3), dtype=numpy.uint8)
    square[:, : found.shape[1], : found.shape[2]] = found
    return square


def _sheet(pictures: numpy.ndarray, across: int, *, dark: bool) -> numpy.ndarray:
    """All pictures on one, in the page's own colour where none lies."""
    if not len(pictures):
        return numpy.full((PIXELS, PIXELS, 3), 20 if dark else 255, dtype=numpy.uint8)
    large = _enlarged(pictures)
    side = large.shape[1]
    step = side / 0.9
    down = -(-len(large) // across)
    height, width = round(down * TALL * step), round(across * step)
    sheet = numpy.empty((height, width, 3), dtype=numpy.uint8)
    sheet[:] = (20, 23, 26) if dark else (255, 255, 255)
    for number, picture in enumerate(large):
        top, left = round(number // across * TALL * step), round(number % across * step)
        sheet[top : top + side, left : left + side] = picture
    return sheet
