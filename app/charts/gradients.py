"""How hard each term of a loss pulls at the learner, and whether labels and teacher pull the same way."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from app.charts.drawn import drawn, trace
from app.charts.scales import faint, log_ticks
from app.live.series import role_colour, role_name, term_colour, term_name
from kdcore.history import History, PhaseTrace, Series

ENOUGH = 5
"""Measurements without any gradient after which a term is called broken while its phase goes on."""
NOTHING = 1e-9
"""A gradient shorter than this is rounding."""
HEIGHT = 250
LEGEND = 40
"""Pixels that the names of the terms take below the axis."""


def handle(term: str) -> str:
    """A trace's uid, of which Plotly makes a CSS class: letters and digits alone."""
    return "".join(letter if letter.isascii() and letter.isalnum() else f"-{ord(letter)}-" for letter in f"t{term}")


def measured(phase: PhaseTrace) -> list[str]:
    """The learners of whose network a gradient is known. Of a generator of pictures, which is no network of the run,
    none is."""
    return [learner for learner, terms in phase.gradients.items() if any(_known(series) for series in terms.values())]


def lengths(phase: PhaseTrace, learner: str, history: History, *, dark: bool) -> go.Figure:
    """The length of each weighted term's gradient over the phase, on a logarithmic axis."""
    traces = []
    terms = phase.gradients[learner]
    for term, series in terms.items():
        x, y = _points(series)
        traces.append(trace(
            "scatter", x=x, y=[value if value > NOTHING else None for value in y], name=term_name(term), mode="lines",
            uid=handle(term), showlegend=True,
            hovertemplate="epoch %{x:.2f}: %{y:.3g}<extra>" + term_name(term) + "</extra>",
            line={"width": 2, "color": term_colour(term, phase) if len(terms) > 1 else role_colour(learner, history)},
        ))  # fmt: skip
    known = [value for series in terms.values() for value in _known(series) if value > NOTHING] or [1.0]
    low, high = math.log10(min(known)) - 0.1, math.log10(max(known)) + 0.1
    ticks = log_ticks(low, high)
    up = {
        "title": {"text": "gradient norm, weighted"}, "type": "log", "range": [low, high], "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }  # fmt: skip
    layout = {**_layout(phase, title="How hard each term pulls", up=up), "height": HEIGHT + LEGEND}
    return drawn(traces, layout, dark=dark)


def cosines(phase: PhaseTrace, learner: str, history: History, *, dark: bool) -> go.Figure:
    """The cosine between the gradient of the labels' terms and that of the teachers', over the phase."""
    x, y = _points(phase.cosines.get(learner, Series()))
    curve = trace(
        "scatter", x=x, y=y, mode="lines", name="cosine", line={"width": 2, "color": role_colour(learner, history)},
        uid="cosine", hovertemplate="epoch %{x:.2f}: cosine %{y:.2f}<extra></extra>", showlegend=False,
    )  # fmt: skip
    strong = faint(dark=dark, strong=True)
    nought = {
        "type": "line", "x0": 0, "x1": 1, "xref": "x domain", "y0": 0, "y1": 0, "yref": "y",
        "line": {"color": strong, "width": 1},
    }  # fmt: skip
    texts = [
        {
            "x": 1, "xref": "paper", "xanchor": "right", "y": level, "yanchor": "top" if level > 0 else "bottom",
            "text": text, "showarrow": False, "font": {"size": 11, "color": strong},
        }
        for level, text in ((0.97, "the same way"), (-0.97, "against each other"))
    ]  # fmt: skip
    up = {"title": {"text": "cosine"}, "range": [-1.05, 1.05], "tickvals": [-1, -0.5, 0, 0.5, 1]}
    layout = _layout(phase, title="Do labels and teacher pull together?", up=up)
    return drawn([curve], {**layout, "height": HEIGHT, "shapes": [nought], "annotations": texts}, dark=dark)


def rows(phase: PhaseTrace, learner: str) -> list[tuple[object, ...]]:
    """What both charts draw, the heads first."""
    terms = phase.gradients[learner]
    cosine = dict(zip(*_by_step(phase.cosines.get(learner, Series())), strict=True))
    steps = sorted({step for series in terms.values() for step in series.steps})
    values = {term: dict(zip(*_by_step(series), strict=True)) for term, series in terms.items()}
    epochs = {step: epoch for one in terms.values() for step, epoch in zip(one.steps, one.epochs, strict=True)}
    found: list[tuple[object, ...]] = [("step", "epoch", *(f"gradient norm of {term}" for term in terms), "cosine")]
    return found + [
        (step, epochs[step], *(values[term].get(step) for term in terms), cosine.get(step)) for step in steps
    ]


def broken(phase: PhaseTrace, learner: str) -> list[str]:
    """The terms that gave the learner no gradient in any measurement: they teach nothing.

    While the phase goes on a term has a few measurements' time, and a scheme's own one (without a method's name) until
    the end: some are silent at first, or now and then, as they should be.
    """
    over = phase.step >= phase.steps
    return [
        term for term, series in phase.gradients[learner].items()
        if (known := _known(series)) and max(known) <= NOTHING and (over or ("." in term and len(known) >= ENOUGH))
    ]  # fmt: skip


def says(phase: PhaseTrace, learner: str, history: History) -> str:
    """One sentence with the newest numbers."""
    last = {
        term_name(term): known[-1] for term, series in phase.gradients[learner].items() if (known := _known(series))
    }
    pulling = sorted(((value, term) for term, value in last.items() if value > NOTHING), reverse=True)
    told = []
    if len(pulling) > 1:
        (most, first), (least, second) = pulling[0], pulling[-1]
        told.append(f"{first} pulls {most / least:.2g} times as hard at the {role_name(learner, history)} as {second}")
    elif pulling:
        told.append(f"{pulling[0][1]} pulls alone, with a gradient of length {pulling[0][0]:.2g}")
    cosine = _known(phase.cosines.get(learner, Series()))
    if cosine:
        how = "together" if cosine[-1] > 0.1 else "against each other" if cosine[-1] < -0.1 else "at right angles"
        told.append(f"labels and teacher pull {how} (cosine {cosine[-1]:.2f})".replace("-", "−"))
    return f"At the last measurement {' and '.join(told)}." if told else ""


def _layout(phase: PhaseTrace, *, title: str, up: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": {"text": title}, "margin": {"l": 60, "r": 20, "t": 36, "b": 106}, "hovermode": "x unified",
        "xaxis": {"title": {"text": "epochs of this phase", "standoff": 4}, "range": [0, max(1, phase.epochs)]},
        "yaxis": up, "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.42, "yanchor": "top"},
    }  # fmt: skip


def _points(series: Series) -> tuple[list[float], list[float]]:
    kept = [
        (epoch, value)
        for epoch, value in zip(series.epochs, series.values, strict=True)
        if value is not None and math.isfinite(value)
    ]
    return [epoch for epoch, _ in kept], [value for _, value in kept]


def _by_step(series: Series) -> tuple[list[int], list[float | None]]:
    return series.steps, series.values


def _known(series: Series) -> list[float]:
    return _points(series)[1]
