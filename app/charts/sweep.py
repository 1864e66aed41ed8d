"""Draws a Sweep: accuracy against each setting, the best so far, every try's curve, and which setting decides."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import axes, on, spans
from app.charts.scales import faint
from kdcore.sweep import Span, Sweep, Try

ACROSS = 3
"""Panels side by side."""
AXIS = "validation accuracy, %"
START, BEST = "the recipe as it stands", "best so far"
SHADES = [[0.0, "#8fb8de"], [0.5, "#2f7fc1"], [1.0, "#0f4c81"]], [[0.0, "#2b5f8f"], [0.5, "#5b9bd5"], [1.0, "#cfe5fb"]]
"""First to last try, on white and on black."""


def settings(sweep: Sweep, names: Mapping[str, str], present: Mapping[str, Any], *, dark: bool) -> go.Figure:
    """Each try's validation accuracy against each setting. `names`: path -> words; `present`: as the recipe has it."""
    across = min(ACROSS, len(sweep.plan.spans))
    down = -(-len(sweep.plan.spans) // across)
    columns, lines = spans(across, space=0.03), spans(down, space=0.32 / down)[::-1]
    floor, top = _range(sweep)
    traces: list[dict[str, Any]] = []
    layout = _layout(110 + 240 * down)
    for number, span in enumerate(sweep.plan.spans):
        row, column = divmod(number, across)
        up: dict[str, Any] = {"domain": lines[row], "range": [floor, top]}
        if column == 0:
            up["title"] = {"text": AXIS}
        else:
            up |= {"matches": on(row * across)["yaxis"], "showticklabels": False}
        layout |= axes(number, {"domain": columns[column], **_axis(span, names[span.path])}, up)
        here = _marks(sweep, span, floor, dark=dark)
        if sweep.start.accuracy is not None:
            here.append(
                trace(
                    "scatter", x=[_x(span, present.get(span.path))], y=[100 * sweep.start.accuracy], mode="markers",
                    marker={"symbol": "diamond-open", "size": 12, "color": _ink(dark), "line": {"width": 2}},
                    hovertemplate=f"{START}: %{{y:.1f}} %<extra></extra>", name=START,
                )
            )  # fmt: skip
        shown = {one["name"] for one in traces}
        traces += [{**one, "showlegend": one["name"] not in shown, **on(number)} for one in here]
    return drawn(traces, layout, dark=dark)


def progress(sweep: Sweep, *, dark: bool) -> go.Figure:
    """The best validation accuracy so far, try by try, and the tries themselves."""
    floor, top = _range(sweep)
    traces: list[dict[str, Any]] = []
    places: list[int] = []
    best: list[float] = []
    for one in sweep.tries:
        if one.state == "finished" and one.accuracy is not None and (not best or 100 * one.accuracy > best[-1]):
            places.append(one.number + 1)
            best.append(100 * one.accuracy)
    if best:
        traces.append(
            trace(
                "scatter", x=[*places, max(len(sweep.tries), places[-1])], y=[*best, best[-1]], mode="lines", name=BEST,
                line={"shape": "hv", "width": 2.5, "color": theme.COLOURS["student"]},
                hovertemplate=f"{BEST}: %{{y:.1f}} % (try %{{x}})<extra></extra>",
            )
        )  # fmt: skip
    traces += _marks(sweep, None, floor, dark=dark)
    if sweep.start.accuracy is not None:
        traces.append(
            trace(
                "scatter", x=[1, max(sweep.runs, 2)], y=[100 * sweep.start.accuracy] * 2, mode="lines", name=START,
                line={"dash": "dot", "width": 1.5, "color": _ink(dark)},
                hovertemplate=f"{START}: %{{y:.1f}} %<extra></extra>",
            )
        )  # fmt: skip
    layout = {
        **_layout(350), "xaxis": {"title": {"text": "try"}, "range": [0.5, max(sweep.runs, 2) + 0.5]},
        "yaxis": {"title": {"text": AXIS}, "range": [floor, top]},
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def curves(sweep: Sweep, *, dark: bool) -> go.Figure:
    """Every try's validation accuracy over its epochs; those that were stopped early end at a cross."""
    traces: list[dict[str, Any]] = []
    best = sweep.best
    kinds: dict[str, list[Try]] = {
        "finished": [one for one in sweep.tries if one.state == "finished" and one is not best],
        "goes on": [one for one in sweep.tries if one.state == "running"],
        "stopped early": [one for one in sweep.tries if one.state == "pruned"],
    }
    looks: dict[str, dict[str, Any]] = {
        "finished": {"color": faint(dark=dark, strong=True), "width": 1},
        "goes on": {"color": theme.CATEGORICAL[2], "width": 2},
        "stopped early": {"color": theme.CATEGORICAL[5], "width": 1.2, "dash": "dash"},
    }
    for name, tries in kinds.items():
        x, y, told = _lines(tries)
        if x:
            traces.append(
                trace(
                    "scatter", x=x, y=y, customdata=told, mode="lines", name=name, line=looks[name],
                    opacity=0.6 if name == "finished" else 1.0,
                    hovertemplate="try %{customdata}: %{y:.1f} % after %{x} epochs<extra></extra>",
                )
            )  # fmt: skip
    ends = [(one.curve[-1][0], 100 * one.curve[-1][1]) for one in kinds["stopped early"] if one.curve]
    if ends:
        traces.append(
            trace(
                "scatter", x=[x for x, _ in ends], y=[y for _, y in ends], mode="markers", showlegend=False,
                hoverinfo="skip", marker={"symbol": "x", "size": 8, "color": theme.CATEGORICAL[5]},
            )
        )  # fmt: skip
    for one, name, line in (
        (sweep.start, START, {"color": _ink(dark), "width": 2, "dash": "dot"}),
        (best, f"best, try {best.number + 1}" if best else "", {"color": theme.COLOURS["student"], "width": 3}),
    ):
        if one is not None and one.curve:
            traces.append(
                trace(
                    "scatter", x=[epoch for epoch, _ in one.curve], y=[100 * value for _, value in one.curve],
                    mode="lines", name=name, line=line,
                    hovertemplate=f"{name}: %{{y:.1f}} % after %{{x}} epochs<extra></extra>",
                )
            )  # fmt: skip
    layout = {
        **_layout(350), "hovermode": "closest", "yaxis": {"title": {"text": AXIS}},
        "xaxis": {"title": {"text": "epochs of the student"}, "rangemode": "tozero"},
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def importance(sweep: Sweep, names: Mapping[str, str], *, dark: bool) -> go.Figure:
    """How much of the differences between tries each setting decides, as Optuna estimates it."""
    shares = sorted(sweep.importance.items(), key=lambda item: item[1])
    bars = trace(
        "bar", x=[100 * share for _, share in shares], y=[names.get(path, path) for path, _ in shares],
        orientation="h", marker={"color": theme.CATEGORICAL[0]}, text=[f"{100 * share:.0f} %" for _, share in shares],
        textposition="outside", cliponaxis=False, hovertemplate="%{y}: %{x:.0f} %<extra></extra>",
    )  # fmt: skip
    across = {"title": {"text": "share of what the settings decide, %"}, "range": [0, 115], "tickvals": [0, 50, 100]}
    layout = {
        "height": 350, "margin": {"l": 122, "r": 40, "t": 32, "b": 60}, "showlegend": False, "xaxis": across,
        "yaxis": {"title": {"text": "setting"}},
    }  # fmt: skip
    return drawn([bars], layout, dark=dark)


def _layout(height: int) -> dict[str, Any]:
    return {
        "height": height, "margin": {"l": 60, "r": 22, "t": 32, "b": 96}, "showlegend": True,
        "legend": {"orientation": "h", "yref": "container", "y": 0.0, "yanchor": "bottom", "x": 0},
    }  # fmt: skip


def _marks(sweep: Sweep, span: Span | None, floor: float, *, dark: bool) -> list[dict[str, Any]]:
    """The tries as marks, by what became of them; x is the setting's value, or without one the number of the try."""
    best = sweep.best
    groups: list[tuple[str, list[Try], dict[str, Any]]] = [
        ("finished", [one for one in sweep.tries if one.state == "finished" and one is not best], {"symbol": "circle"}),
        (
            "stopped early", [one for one in sweep.tries if one.state == "pruned"],
            {"symbol": "x-thin", "line": {"width": 2, "color": theme.CATEGORICAL[5]}},
        ),
        (
            "goes on", [one for one in sweep.tries if one.state == "running"],
            {"symbol": "circle-open", "color": theme.CATEGORICAL[2], "line": {"width": 2}},
        ),
        ("best", [best] if best is not None else [], {"symbol": "star", "size": 16, "color": theme.COLOURS["student"]}),
    ]  # fmt: skip
    traces = []
    for name, tries, look in groups:
        known = [(one, 100 * one.accuracy) for one in tries if one.accuracy is not None]
        if not known:
            continue
        marker: dict[str, Any] = {"size": 9, **look}
        if name == "finished":
            marker |= {
                "color": [one.number for one, _ in known], "colorscale": SHADES[dark], "cmin": 0,
                "cmax": max(sweep.runs - 1, 1), "line": {"width": 0.5, "color": faint(dark=dark, strong=True)},
            }  # fmt: skip
            if any(value < floor for _, value in known):
                marker["symbol"] = ["triangle-down" if value < floor else "circle" for _, value in known]
        traces.append(trace(
            "scatter", x=[one.number + 1 if span is None else _x(span, one.values.get(span.path)) for one, _ in known],
            y=[max(value, floor) for _, value in known], mode="markers", name=name, marker=marker, cliponaxis=False,
            customdata=[[one.number + 1, value, _words(one)] for one, value in known],
            hovertemplate="try %{customdata[0]}: %{customdata[1]:.1f} %<br>%{customdata[2]}<extra>" + name + "</extra>",
        ))  # fmt: skip
    return traces


def _words(one: Try) -> str:
    """The values of a try for its hover, one in a line."""
    return "<br>".join(f"{path} = {_value(value)}" for path, value in one.values.items())


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _lines(tries: Sequence[Try]) -> tuple[list[int | None], list[float | None], list[int | None]]:
    """Curves as one line with gaps: x, y and the number of the try."""
    x: list[int | None] = []
    y: list[float | None] = []
    told: list[int | None] = []
    for one in tries:
        for epoch, value in one.curve:
            x.append(epoch)
            y.append(100 * value)
            told.append(one.number + 1)
        x.append(None)
        y.append(None)
        told.append(None)
    return (x, y, told) if any(value is not None for value in y) else ([], [], [])


def _range(sweep: Sweep) -> tuple[float, float]:
    """From a floor below which tries are only hinted at to just above the best, in percent."""
    every = [*sweep.tries, sweep.start]
    known = sorted(100 * one.accuracy for one in every if one.accuracy is not None)
    if not known:
        return 0.0, 100.0
    top, middle = known[-1], statistics.median(known)
    floor = max(known[0], top - 4.0 * max(top - middle, 1.0))
    room = max(0.5, 0.08 * (top - floor))
    return max(0.0, floor - room), min(100.5, top + room)


def below(sweep: Sweep) -> int:
    """How many tries lie below what the pictures show, at their lower edge."""
    floor, _ = _range(sweep)
    return sum(one.accuracy is not None and 100 * one.accuracy < floor for one in sweep.tries)


def _axis(span: Span, name: str) -> dict[str, Any]:
    title = {"title": {"text": f"{name}{' (logarithmic)' if span.log else ''}"}}
    if _listed(span):
        return {**title, "type": "category", "categoryorder": "array",
                "categoryarray": [_value(value) for value in span.choices]}  # fmt: skip
    if span.choices:
        return title
    assert span.low is not None
    assert span.high is not None
    low, high = float(span.low), float(span.high)
    if not span.log:
        room = 0.04 * (high - low)
        return {**title, "range": [low - room, high + room]}
    first, last = math.log10(low), math.log10(high)
    room = 0.04 * (last - first)
    return {**title, "type": "log", "range": [first - room, last + room], "tickformat": "~g",
            "dtick": "D2" if last - first < 1.6 else 1}  # fmt: skip


def _listed(span: Span) -> bool:
    """Whether its values are words and not numbers."""
    return bool(span.choices) and not all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in span.choices
    )


def _x(span: Span, value: Any) -> Any:
    return _value(value) if _listed(span) else value


def _ink(dark: bool) -> str:
    return theme.INK["dark" if dark else "light"]


def rows(sweep: Sweep) -> Iterator[tuple[object, ...]]:
    """Every try, for a CSV: first the names of the columns."""
    paths = [span.path for span in sweep.plan.spans]
    yield ("try", *paths, "validation accuracy", "epochs compared", "state", "why", "run")
    for one in [sweep.start, *sweep.tries]:
        yield (
            "as it stands" if one.number < 0 else one.number + 1, *(one.values.get(path, "") for path in paths),
            "" if one.accuracy is None else f"{one.accuracy:.6g}", one.curve[-1][0] if one.curve else "", one.state,
            one.why, one.run,
        )  # fmt: skip
