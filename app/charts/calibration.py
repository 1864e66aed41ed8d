"""Draws Calibration: a reliability diagram of each network, with how often it is how sure below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import NAMES, axes, heading, named, on, spans
from app.charts.scales import faint, round_out
from kdcore.answers.calibration import COLDEST, HOTTEST, Calibration

ANSWER = Calibration


def scales(answers: Sequence[Calibration]) -> dict[str, list[float]]:
    """The range of the shares of inputs of the last answer.

    Before its first epoch a student is equally sure of everything; a range that reached so far would flatten the rest.
    """
    return {"inputs": [0.0, round_out(max(float(_shares(bins).max()) for bins in answers[-1].bins.values())) or 1.0]}


def draw(answer: Calibration, *, dark: bool, fixed: dict[str, list[float]] | None = None) -> go.Figure:
    """The figure."""
    most = (fixed or scales([answer]))["inputs"]
    traces: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    count = len(answer.bins)
    for number, (part, place) in enumerate(zip(answer.bins, spans(count, space=0.06), strict=True)):
        below = number + count
        bins, scaled = answer.bins[part], answer.scaled[part]
        middles = (numpy.arange(len(bins)) + 0.5) / len(bins)
        strong = faint(dark=dark, strong=True)
        full = bins[:, 2] > 0
        traces.append(
            trace(
                "bar", x=middles[full], y=bins[full, 0], width=0.92 / len(bins), name="as it is", opacity=0.85,
                marker={"color": theme.COLOURS[part]}, customdata=bins[full, 1:], **on(number),
                hovertemplate="%{customdata[0]:.1%} sure, %{y:.1%} right (%{customdata[1]:,} inputs)<extra></extra>",
            )
        )  # fmt: skip
        traces.append(
            trace(
                "scatter", x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dash", "color": strong, "width": 1.5},
                hoverinfo="skip", name="as sure as right", **on(number),
            )
        )  # fmt: skip
        there = scaled[:, 2] > 0
        traces.append(
            trace(
                "scatter", x=scaled[there, 1], y=scaled[there, 0], mode="lines+markers", name="after its temperature",
                line={"color": theme.INK["dark" if dark else "light"], "width": 1},
                marker={
                    "size": 5 + 11 * numpy.sqrt(scaled[there, 2] / max(1.0, float(scaled[:, 2].sum()))),
                    "color": "rgba(0,0,0,0)", "line": {"width": 1.5, "color": theme.INK["dark" if dark else "light"]},
                },
                customdata=scaled[there, 2], cliponaxis=False, **on(number),
                hovertemplate="after its temperature: %{x:.1%} sure, %{y:.1%} right (%{customdata:,} inputs)"
                "<extra></extra>",
            )
        )  # fmt: skip
        traces.append(
            trace(
                "bar", x=middles, y=_shares(bins), width=0.92 / len(bins), name="inputs",
                marker={"color": strong}, **on(below),
                hovertemplate="%{y:.1%} of the inputs<extra></extra>",
            )
        )  # fmt: skip
        across = {"domain": place, "range": [0, 1], "tickformat": ".0%", "dtick": 0.25}
        layout |= axes(
            number,
            {**across, "showticklabels": False},
            {
                "domain": [0.32, 1.0], "range": [0, 1.03], "tickformat": ".0%",
                "title": {"text": "share that is right" if number == 0 else ""},
            },
        )  # fmt: skip
        layout |= axes(
            below,
            {**across, "title": {"text": "confidence (greatest probability)", "standoff": 4}},
            {
                "domain": [0.0, 0.24], "range": most, "tickvals": [most[1] / 2, most[1]], "tickformat": ".3~%",
                "title": {"text": "of inputs" if number == 0 else ""},
            },
        )  # fmt: skip
        was, now = answer.ece[part]
        texts.append(
            heading(
                f"{named(part)} · ECE {100 * was:.1f} % ({len(bins)} bins)"
                f"<br>after {_temperature(answer.temperature[part])}: {100 * now:.1f} % (line)",
                place[0],
            )
        )
    layout |= {
        "height": 430, "annotations": texts, "showlegend": False, "barmode": "overlay",
        "margin": {"l": 62, "r": 32, "t": 48, "b": 48},
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def _temperature(warm: float) -> str:
    """As it was found; one at the end of the range that is looked through may lie beyond it."""
    if warm < 1.01 * COLDEST:
        return f"T ≤ {COLDEST:g}"
    return f"T ≥ {HOTTEST:g}" if warm > 0.99 * HOTTEST else f"T = {warm:.2f}"


def _shares(bins: numpy.ndarray) -> numpy.ndarray:
    """Of the inputs, in each bin."""
    return bins[:, 2] / max(1.0, float(bins[:, 2].sum()))


def rows(answer: Calibration) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield (
        "network", "temperature", "from confidence", "to confidence", "inputs", "mean confidence", "share right",
        "ECE", "Brier score",
    )  # fmt: skip
    for place, found in enumerate((answer.bins, answer.scaled)):
        for part, bins in found.items():
            warm = 1.0 if place == 0 else answer.temperature[part]
            for number, (right, sure, count) in enumerate(bins):
                edges = [f"{(number + step) / len(bins):.4g}" for step in (0, 1)]
                values = (f"{sure:.6g}", f"{right:.6g}") if count else ("", "")
                scores = (f"{answer.ece[part][place]:.6g}", f"{answer.brier[part][place]:.6g}")
                yield NAMES[part], f"{warm:.4g}", *edges, int(count), *values, *scores
