"""Draws Forms: how hard each way to write a loss pulls the student, beside ours, on a logarithmic axis."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence

import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.scales import faint
from kdcore.answers.forms import Forms
from kdcore.form import Form

ANSWER = Forms

COLOURS = {"ours": theme.COLOURS["student"], "same": theme.CATEGORICAL[2], "another": theme.CATEGORICAL[3]}
SAYS = {"ours": "ours", "same": "our direction, another length", "another": "another function"}


def draw(answer: Forms, forms: Sequence[Form], *, dark: bool) -> go.Figure:
    """The figure: one bar per form that can be computed and has a gradient, from 1 (ours) to the left or right."""
    ours = float(answer.gradients[0])
    shown = [
        number
        for number in range(len(forms))
        if not answer.refusals[number] and answer.gradients[number] > 0 and ours > 0
    ]
    traces = []
    for group, says in SAYS.items():
        members = [number for number in shown if group_of(forms[number], number) == group]
        if not members:
            continue
        ratios = [float(answer.gradients[number]) / ours for number in members]
        told = [[answer.values[number], answer.gradients[number], answer.alike[number]] for number in members]
        traces.append(
            trace(
                "bar", x=[ratio if group != "ours" else 1.0 for ratio in ratios],
                y=[wrapped(answer.names[number]) for number in members], name=says, orientation="h",
                marker={"color": COLOURS[group]}, text=[f"× {times(ratio)}" for ratio in ratios],
                textposition="outside", cliponaxis=False, customdata=told,
                hovertemplate="%{y}<br>value %{customdata[0]:.4g}, gradient %{customdata[1]:.4g}, "
                "cosine with ours %{customdata[2]:.3f}<extra></extra>",
            )
        )  # fmt: skip
    ratios = [float(answer.gradients[number]) / ours for number in shown] or [1.0]
    low, high = min(*ratios, 1.0) / 4, max(*ratios, 1.0) * 4
    layout = {
        "height": 110 + 46 * max(2, len(shown)), "margin": {"l": 10, "r": 24, "t": 8, "b": 76}, "bargap": 0.35,
        "barmode": "overlay", "showlegend": True,
        "legend": {"orientation": "h", "yref": "container", "y": 0.0, "yanchor": "bottom", "x": 0},
        "xaxis": {
            "type": "log", "title": {"text": "gradient on the student ÷ ours"}, "tickformat": "~g",
            "range": [math.log10(low), math.log10(high)],
            **({"dtick": "D2"} if high < 1e3 * low else {}),  # 1, 2, 5: every digit overlaps on a short axis
        },
        "yaxis": {
            "autorange": "reversed", "categoryorder": "array",
            "categoryarray": [wrapped(answer.names[number]) for number in shown],
        },
        "shapes": [{
            "type": "line", "x0": 1.0, "x1": 1.0, "xref": "x", "y0": 0, "y1": 1, "yref": "y domain",
            "line": {"dash": "dash", "width": 1.5, "color": faint(dark=dark, strong=True)},
        }],
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def group_of(form: Form, number: int) -> str:
    """ours for the first form, same for one with our gradient up to a factor, another for the rest."""
    if number == 0:
        return "ours"
    return "another" if form.relation == "another" else "same"


def times(ratio: float) -> str:
    """A factor at three digits: "0.0224", "19.5", "1,040"."""
    return f"{float(f'{ratio:.3g}'):,.0f}" if ratio >= 1000 else f"{ratio:.3g}"


def wrapped(name: str) -> str:
    """A name in lines that leave room for the bars."""
    return "<br>".join(textwrap.wrap(name, 30))


def rows(answer: Forms) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "form", "value", "gradient", "gradient over ours", "cosine with ours", "exact factor", "not computed because"
    for number, name in enumerate(answer.names):
        refusal, factor = answer.refusals[number], answer.factors[number]
        ours = answer.gradients[0]
        measured: tuple[object, ...] = ("", "", "", "") if refusal else (
            f"{answer.values[number]:.6g}", f"{answer.gradients[number]:.6g}",
            f"{answer.gradients[number] / ours:.6g}" if ours else "", f"{answer.alike[number]:.6g}",
        )  # fmt: skip
        yield name, *measured, "" if factor is None else f"{factor:.6g}", refusal
