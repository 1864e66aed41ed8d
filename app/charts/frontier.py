"""Draws a tournament's Standings: what an accuracy costs, and which contenders no other beats for less."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.scales import faint
from app.words import FAMILIES
from kdcore.standings import ALONE, COSTS, PLAIN, Row, Standings

SYMBOLS = {
    "response": "circle", "feature": "square", "relation": "triangle-up", "parameter": "pentagon", "gradient": "x",
}  # fmt: skip
SHADES = dict(zip(SYMBOLS, (theme.CATEGORICAL[0], *theme.CATEGORICAL[2:6]), strict=True))
"""Family -> colour; orange and grey stay with plain KD and the student alone."""
AXES = {"seconds": "CPU seconds of one training (logarithmic)", "megabytes": "peak extra memory, MB (logarithmic)"}
UNITS = {"seconds": "s", "megabytes": "MB"}


def draw(standings: Standings, families: Mapping[str, str], *, cost: str, dark: bool) -> go.Figure:
    """The figure. `families`: method's key -> its family; `cost` is a key of COSTS."""
    traces = []
    rows = [row for row in standings.fine() if row.cost(cost) > 0]
    front = [row for row in standings.frontier(cost) if row.cost(cost) > 0]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.key if row.key in (ALONE, PLAIN) else families.get(row.key, "feature"), []).append(row)
    if front:
        traces.append(
            trace(
                "scatter", x=[row.cost(cost) for row in front], y=[row.mean()[0] for row in front], mode="lines",
                line={"shape": "hv", "width": 2, "dash": "dot", "color": faint(dark=dark, strong=True)},
                name="frontier", hoverinfo="skip",
            )
        )  # fmt: skip
    traces += [_marks(standings, group, groups[group], cost) for group in (*SYMBOLS, PLAIN, ALONE) if group in groups]
    layout = {
        "height": 400, "margin": {"l": 64, "r": 16, "t": 12, "b": 92}, "showlegend": True,
        "legend": {"orientation": "h", "yref": "container", "y": 0.0, "yanchor": "bottom", "x": 0},
        "xaxis": {
            "type": "log", "title": {"text": AXES[cost]}, "dtick": "D2", "tickformat": "~g",
            **_costs([row.cost(cost) for row in rows]),
        },
        "yaxis": {"title": {"text": "test accuracy of the student"}, "tickformat": ".0%", **_range(rows)},
        "annotations": _labels(front, cost),
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def _marks(standings: Standings, group: str, rows: list[Row], cost: str) -> dict[str, Any]:
    """One group of contenders, with the 95 % interval of their accuracy over the seeds."""
    colour = {PLAIN: theme.COLOURS["student"], ALONE: theme.COLOURS["baseline"]}.get(group) or SHADES[group]
    halves = [row.mean()[1] for row in rows]
    return trace(
        "scatter", x=[row.cost(cost) for row in rows], y=[row.mean()[0] for row in rows], mode="markers",
        name={PLAIN: "plain KD", ALONE: "student alone"}.get(group) or FAMILIES[group][0],
        error_y={
            "type": "data", "array": [half if math.isfinite(half) else 0.0 for half in halves],
            "color": _thin(colour), "thickness": 1.2, "width": 0,
        },
        marker={
            "symbol": {PLAIN: "star", ALONE: "diamond"}.get(group) or SYMBOLS[group], "color": colour,
            "size": 15 if group in (PLAIN, ALONE) else 9,
        },
        customdata=[
            [name_of(row), interval(row), _seeds(row), f"{row.cost(cost):.3g} {UNITS[cost]}", _over(standings, row)]
            for row in rows
        ],
        hovertemplate="<b>%{customdata[0]}</b><br>%{y:.1%} %{customdata[1]} (%{customdata[2]})<br>%{customdata[3]}"
        "%{customdata[4]}<extra></extra>",
    )  # fmt: skip


def _thin(colour: str) -> str:
    """The colour at a third of its strength."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.35)"


def _costs(costs: list[float]) -> dict[str, list[float]]:
    """An axis that reaches over the powers of ten from the cheapest, with room for its name, to the dearest."""
    if not costs:
        return {}
    low, high = math.log10(min(costs)), math.log10(max(costs))
    span = max(high - low, 0.3)
    return {"range": [low - 0.13 * span, high + 0.05 * span]}


def _range(rows: list[Row]) -> dict[str, list[float]]:
    """An axis from the worst to the best mean with room; long intervals of few seeds may leave the picture."""
    if not rows:
        return {}
    means = [row.mean()[0] for row in rows]
    room = max(0.02, 0.12 * (max(means) - min(means)))
    return {"range": [max(0.0, min(means) - room), max(means) + 2.5 * room]}


def _labels(front: list[Row], cost: str) -> list[dict[str, object]]:
    """The frontier's names, up and to the left of their marks, where by its meaning no other mark can be."""
    return [
        {
            "x": math.log10(row.cost(cost)), "y": row.mean()[0], "text": name_of(row), "showarrow": True,
            "arrowhead": 0, "arrowwidth": 1, "ax": -14, "ay": -14 - 17 * (number % 3), "xanchor": "right",
            "yanchor": "bottom", "font": {"size": 12},
        }
        for number, row in enumerate(front)
    ]  # fmt: skip


def name_of(row: Row) -> str:
    """A contender's name for people."""
    return {ALONE: "student alone", PLAIN: "kd (plain KD)"}.get(row.key, row.key)


def interval(row: Row) -> str:
    """ "± 1.2 points", or nothing for one seed."""
    half = row.mean()[1]
    return f"± {100 * half:.1f} points" if math.isfinite(half) else ""


def _seeds(row: Row) -> str:
    return f"{len(row.accuracy)} seeds" if len(row.accuracy) > 1 else "one seed"


def _over(standings: Standings, row: Row) -> str:
    plain = standings.row(PLAIN)
    if plain is None or row is plain or not plain.accuracy:
        return ""
    value, half = row.over(plain)
    return f"<br>{100 * value:+.1f} points against plain KD" + (f" (± {100 * half:.1f})" if math.isfinite(half) else "")


def sentence(standings: Standings, cost: str) -> str:
    """What the picture says, in one sentence with its numbers; "" before there is anything."""
    front, plain, alone = standings.frontier(cost), standings.row(PLAIN), standings.row(ALONE)
    if not front or plain is None or alone is None or not plain.accuracy:
        return ""
    others = [row for row in standings.fine() if row.key not in (PLAIN, ALONE)]
    above = sum(1 for row in others if row.over(plain)[0] > 0)
    clear = sum(1 for row in others if standings.verdict(row) == "better")
    surely = f"{clear} of them clearly (the paired interval leaves zero)" if len(plain.accuracy) > 2 else (
        "but fewer than three seeds decide nothing"
    )  # fmt: skip
    best = front[-1]
    return (
        f"The best here is {name_of(best)} with {100 * best.mean()[0]:.1f} % at {best.cost(cost):.3g} {UNITS[cost]}; "
        f"plain KD reaches {100 * plain.mean()[0]:.1f} % at {plain.cost(cost):.3g} {UNITS[cost]}, the student alone "
        f"{100 * alone.mean()[0]:.1f} %. Of {len(others)} other methods {above} lie above plain KD, {surely}."
    )


def rows(standings: Standings, families: Mapping[str, str]) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield (
        "contender", "family", "seeds", "test accuracy", "half of 95 % interval", "over plain KD",
        "half of its 95 % interval", *COSTS.values(), "left out because",
    )  # fmt: skip
    plain = standings.row(PLAIN)
    for row in [*standings.fine(), *(row for row in standings.rows if not row.accuracy)]:
        if not row.accuracy:
            yield (row.key, families.get(row.key, ""), 0, "", "", "", "", "", "", row.refusal or "not yet measured")
            continue
        over = row.over(plain) if plain is not None and plain.accuracy and row is not plain else (math.nan, math.nan)
        numbers = (*row.mean(), *over, row.cost("seconds"), row.cost("megabytes"))
        told = [f"{number:.6g}" if math.isfinite(number) else "" for number in numbers]
        yield (row.key, families.get(row.key, ""), len(row.accuracy), *told, row.refusal)
