"""Draws an Along: classes along a line, where neurons switch, and the linear regions over the epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import axes, heading, named, on, spans
from app.charts.pixels import address_of
from app.charts.plane import class_colours, steps
from app.charts.scales import faint
from kdcore.answers.along import Along

ANSWER = Along
SEEN = 0.08
"""A class gets a curve where some network gives it this probability somewhere."""
BAND, UPPER, LOWER, BELOW = (0.965, 1.0), (0.60, 0.95), (0.33, 0.46), (0.0, 0.17)
BETWEEN = (0.475, 0.585)
"""Heights of what is decided, of the probabilities, of the switches, of the regions over the epochs, and of the two
pictures."""
Scales = dict[str, list[float]]


def scales(answers: Sequence[Along]) -> Scales:
    """What all frames share: epochs, regions at each of them, the most switches in a piece, classes, and how likely."""
    found: Scales = {"epochs": [answer.epoch for answer in answers]}
    for part in answers[-1].regions:
        if all(part in answer.regions for answer in answers):
            found[part] = [float(answer.regions[part]) for answer in answers]
    most = max((float(counts.max()) for answer in answers for counts in answer.switches.values()), default=1.0)
    found["most"] = [max(1.0, most)]
    likeliest = max(float(found.max()) for answer in answers for found in answer.probabilities.values())
    found["high"] = [min(1.0, float(numpy.ceil(10 * likeliest)) / 10)]
    found["classes"] = [float(number) for number in sorted({one for answer in answers for one in _classes(answer)})]
    return found


def draw(answer: Along, *, dark: bool, fixed: Scales | None = None) -> go.Figure:
    """The figure, a column for each network."""
    shared = fixed or scales([answer])
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    colours = class_colours(len(answer.class_names))
    texts = []
    parts = list(answer.probabilities)
    last = 2 * len(parts)
    for number, (place, part) in enumerate(zip(spans(len(parts), space=0.05), parts, strict=True)):
        upper, lower, band = 2 * number, 2 * number + 1, last + 1 + number
        layout |= axes(
            upper,
            _across(place, title="", ticks=False),
            {
                "domain": UPPER, "range": [0, 1.02 * shared["high"][0]], "nticks": 6, "tickformat": ".0%",
                "title": {"text": "probability of the class" if number == 0 else ""},
            },
        )  # fmt: skip
        layout |= axes(
            lower,
            _across(place, title=answer.line_axis if number == 1 else ""),
            {
                "domain": LOWER, "range": [0, shared["most"][0] * 1.05], "nticks": 3,
                "title": {"text": "switches" if number == 0 else ""},
            },
        )  # fmt: skip
        layout |= axes(
            band,
            {**_across(place, title="", ticks=False), "ticks": "", "zeroline": False},
            {"domain": BAND, "visible": False, "fixedrange": True},
        )
        traces.append(
            trace(
                "heatmap",
                x=answer.at, y=[0], z=answer.probabilities[part].argmax(axis=1)[None], zmin=0,
                zmax=max(1, len(colours) - 1), colorscale=steps(colours), showscale=False, hoverinfo="skip",
                name=f"decides, {part}", **on(band),
            )
        )  # fmt: skip
        for label in (int(one) for one in shared["classes"]):
            traces.append(
                trace(
                    "scatter", x=answer.at, y=answer.probabilities[part][:, label], mode="lines",
                    name=answer.class_names[label], line={"width": 2.2, "color": colours[label]},
                    legendgroup=f"class {label}", showlegend=number == 0,
                    hovertemplate="%{y:.0%} " + answer.class_names[label] + "<extra></extra>", **on(upper),
                )
            )  # fmt: skip
        counts = answer.switches[part]
        width = 1.0 / len(counts)
        traces.append(
            trace(
                "bar", x=(numpy.arange(len(counts)) + 0.5) * width, y=counts, width=width, name=f"switches, {part}",
                marker={"color": theme.COLOURS[part], "line": {"width": 0}}, showlegend=False,
                hovertemplate="%{y} switches of neurons<extra></extra>", **on(lower),
            )
        )  # fmt: skip
        texts.append(heading(f"{named(part)}: {_counted(answer, part)}", place[0]))
    texts.append(
        {
            "text": "decides", "x": 0.0, "xshift": -6, "y": sum(BAND) / 2, "xref": "paper", "yref": "paper",
            "xanchor": "right", "yanchor": "middle", "showarrow": False, "font": {"size": 12},
        }
    )  # fmt: skip
    layout |= _over_epochs(shared, last)
    for part in answer.regions:
        if part in shared:
            traces.append(
                trace(
                    "scatter", x=shared["epochs"], y=shared[part],
                    mode="lines+markers" if len(shared[part]) == 1 else "lines",
                    line={"width": 2, "color": theme.COLOURS[part], "dash": theme.DASHES[part]}, showlegend=False,
                    name=f"regions, {part}", hovertemplate="epoch %{x:g}: %{y:,} regions<extra></extra>", **on(last),
                )
            )  # fmt: skip
            traces.append(
                trace(
                    "scatter", x=[answer.epoch], y=[answer.regions[part]], mode="markers", showlegend=False,
                    hoverinfo="skip", marker={"size": 9, "color": theme.COLOURS[part]}, name=f"now, {part}",
                    **on(last),
                )
            )  # fmt: skip
    if not answer.regions:
        texts.append(
            {
                "text": "no network here has linear regions", "x": 0.5, "y": 0.08, "xref": "paper", "yref": "paper",
                "showarrow": False, "font": {"color": faint(dark=dark, strong=True)},
            }
        )  # fmt: skip
    layout |= {
        "annotations": texts, "images": _ends(answer, len(parts)), "height": 560, "bargap": 0, "hovermode": "closest",
        "margin": {"l": 62, "r": 20, "t": 30, "b": 100},
        "legend": {"orientation": "h", "y": -0.13, "x": 0, "yanchor": "top"},
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def rows(answer: Along) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "what", "network", "share of the way", "class", "value"
    for part, found in answer.probabilities.items():
        for place, line in zip(answer.at, found, strict=True):
            for name, value in zip(answer.class_names, line, strict=True):
                yield "probability", part, f"{place:.4f}", name, f"{value:.6g}"
    for part, counts in answer.switches.items():
        for number, count in enumerate(counts):
            yield "switches of neurons", part, f"{(number + 0.5) / len(counts):.4f}", "", int(count)
    for part, count in answer.regions.items():
        kind = "linear regions" if answer.exact[part] else "linear regions, at least"
        yield kind, part, "", "", count


def _classes(answer: Along) -> list[int]:
    most = numpy.max([found.max(axis=0) for found in answer.probabilities.values()], axis=0)
    return [number for number, value in enumerate(most) if value >= SEEN]


def _counted(answer: Along, part: str) -> str:
    if part not in answer.regions:
        return "no linear regions (smooth)"
    return f"{'' if answer.exact[part] else 'at least '}{answer.regions[part]:,} linear regions"


def _across(place: tuple[float, float], *, title: str, ticks: bool = True) -> dict[str, Any]:
    return {
        "domain": place, "range": [0, 1], "showticklabels": ticks, "showgrid": False,
        "title": {"text": title, "standoff": 4},
    }  # fmt: skip


def _over_epochs(shared: Scales, number: int) -> dict[str, Any]:
    first, last = shared["epochs"][0], shared["epochs"][-1]
    high = max((max(values) for part, values in shared.items() if part in theme.COLOURS), default=1.0)
    across = {
        "domain": [0, 1], "title": {"text": "epoch of the student", "standoff": 4},
        "range": [first, last if last > first else first + 1],
    }  # fmt: skip
    return axes(number, across, {"domain": BELOW, "title": {"text": "regions"}, "range": [0, 1.1 * high], "nticks": 4})


def _ends(answer: Along, count: int) -> list[dict[str, Any]]:
    """The two pictures below each column, at their ends of the line."""
    found = []
    for left, right in spans(count, space=0.05) if len(answer.pictures) else []:
        size = 0.22 * (right - left)
        ends = ((left, "left"), (right, "right"))
        for picture, (place, anchor) in zip(answer.pictures, ends, strict=True):
            found.append(
                {
                    "source": address_of(picture), "xref": "paper", "yref": "paper", "x": place,
                    "y": sum(BETWEEN) / 2, "sizex": size, "sizey": BETWEEN[1] - BETWEEN[0], "yanchor": "middle",
                    "xanchor": anchor, "layer": "below",
                }
            )  # fmt: skip
    return found
