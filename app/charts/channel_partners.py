"""Draws ChannelPartners: each channel of the student above its partner in the teacher, a link as wide as strong.

A column is a pair of channels; the best stands first. Student and student alone have the same room, so that the one
whose links thin out later is the nearer one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.drawn import trace
from app.charts.map_grid import tiled
from app.charts.panels import NAMES, named
from app.charts.scales import diverging
from app.charts.sheet import Sheet
from kdcore.answers.channel_partners import ChannelPartners

ANSWER = ChannelPartners

FAR = 3.0
"""Standard deviations at which the colours end."""
FEWEST = 12
LEFT, HEAD, LINK, BELOW, CURVES = 1.55, 0.42, 0.62, 0.62, 2.3
"""In widths of a map: names, head of a half, links, what stands under the curves, and the curves."""


def draw(answer: ChannelPartners, *, dark: bool) -> go.Figure:
    """The figure. Its `layout.meta["aspect"]` is the height of the plot over its width at which maps are square."""
    parts = list(answer.links)
    count = max(FEWEST, *(len(found) for found in answer.shown.values()))
    wide = LEFT + count + 0.75
    half = HEAD + 2.0 + LINK
    tall = len(parts) * half + HEAD + 0.2 + CURVES + BELOW
    sheet = Sheet(wide, tall, dark=dark)
    hidden = {"visible": False, "fixedrange": True}
    for number, part in enumerate(parts):
        y = number * half + HEAD
        links = answer.links[part][answer.shown[part]]
        mean = float(answer.links[part][:, 2].mean())
        few = f"; {len(links)} of {len(answer.links[part])} pairs, evenly spread from best to worst"
        sheet.text(
            f"{named(part)}: mean correlation {mean:.2f}".replace("-", "−")
            + (few if len(links) < len(answer.links[part]) else ""),
            x=LEFT, y=y,
        )  # fmt: skip
        for row, (who, channels) in enumerate(((part, links[:, 0]), ("teacher", links[:, 1]))):
            top = y + row * (1.0 + LINK)
            maps = answer.maps[part if row == 0 else f"{part}/teacher"]
            place = sheet.axes(
                LEFT, top, float(count), 1.0, {**hidden, "range": [0, count]}, {**hidden, "range": [0, 1]}
            )
            edges_x, edges_y, z, names = tiled(maps, [int(channel) for channel in channels])
            sheet.traces.append(trace(
                "heatmap", x=edges_x, y=edges_y, z=z, zmin=-FAR, zmax=FAR, name=NAMES[who], meta={"across": names},
                colorscale=diverging(dark=dark, low=-FAR, high=FAR), showscale=number == 0 and row == 0,
                colorbar=sheet.bar(
                    "standard deviations<br>from the channel's mean", LEFT + count + 0.06, HEAD, 2.0 + LINK
                ),
                hovertemplate="channel %{text}: %{z:.2f}<extra>" + NAMES[who] + "</extra>", **place,
            ))  # fmt: skip
            layer = answer.layers[who].replace(", ", "<br>")
            sheet.text(
                f"{named(who)}<br><span style='font-size:10px'>{layer}</span>", x=0.0, y=top + 0.05, anchor="top"
            )
        strength = numpy.clip(links[:, 2], 0.0, 1.0)
        place = sheet.axes(
            LEFT, y + 1.0, float(count), LINK, {**hidden, "range": [0, count]}, {**hidden, "range": [0, 1]}
        )  # fmt: skip
        middle = numpy.arange(len(links)) + 0.47
        sheet.traces.append(trace(
            "bar", x=middle, y=numpy.ones(len(links)), width=numpy.maximum(0.9 * strength, 0.015), name="link",
            marker={"color": theme.COLOURS[part], "opacity": (0.25 + 0.6 * strength).tolist(), "line": {"width": 0}},
            customdata=links[:, 2], hovertemplate="correlation %{customdata:.2f}<extra></extra>", **place,
        ))  # fmt: skip
        sheet.traces.append(trace(
            "scatter", x=middle, y=numpy.full(len(links), 0.5), mode="text", textfont={"size": 11}, hoverinfo="skip",
            text=[f"{value:.2f}".replace("-", "−") for value in links[:, 2]], name="correlation", **place,
        ))  # fmt: skip
        if number == 0:
            sheet.text("correlation", x=0.0, y=y + 1.0 + LINK / 2, size=11, anchor="middle")
    _curves(answer, sheet, y=len(parts) * half + HEAD + 0.2, count=count)
    return sheet.finished()


def _curves(answer: ChannelPartners, sheet: Sheet, *, y: float, count: int) -> None:
    """How much of each of the teacher's channels is read off all channels together, the best read first."""
    channels = len(next(iter(answer.explained.values())))
    font = {"font": {"size": 11}, "standoff": 4}
    place = sheet.axes(
        LEFT, y, float(count), CURVES,
        {"title": {"text": "the teacher's channels, the best explained first", **font}, "range": [0, channels]},
        {"title": {"text": "variance explained", **font}, "range": [0, 1.02], "tickformat": ".0%", "nticks": 4},
    )  # fmt: skip
    told = []
    for part, shares in answer.explained.items():
        ordered = numpy.sort(shares)[::-1]
        told.append(f"{named(part)}: {100 * float(shares.mean()):.0f} % on average")
        sheet.traces.append(trace(
            "scatter", x=numpy.arange(channels + 1), y=numpy.append(ordered, ordered[-1]), mode="lines",
            name=NAMES[part],
            line={"color": theme.COLOURS[part], "shape": "hv", "width": 2.5, "dash": theme.DASHES[part]},
            hovertemplate="%{y:.0%} of the channel's variance<extra>" + NAMES[part] + "</extra>", **place,
        ))  # fmt: skip
    sheet.text("Read linearly off all channels together. " + " &nbsp; ".join(told), x=LEFT, y=y - 0.03)


def rows(answer: ChannelPartners) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "network", "its channel", "the teacher's channel", "correlation", "share explained"
    for part, links in answer.links.items():
        paired = {int(theirs): (int(ours), float(value)) for ours, theirs, value in links}
        for channel, share in enumerate(answer.explained[part]):
            ours, value = paired.get(channel, ("", ""))
            yield NAMES[part], ours, channel, value if value == "" else f"{value:.6g}", f"{share:.6g}"
