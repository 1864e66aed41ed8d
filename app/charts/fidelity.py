"""Draws Fidelity: agreement with the teacher, distance to it, and who of each pair is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import NAMES, axes, heading, on
from app.charts.scales import faint
from kdcore.answers.fidelity import Fidelity

ANSWER = Fidelity

OUTCOMES = ("both right", "only this one right", "only the teacher right", "neither right")
SPANS = ((0.0, 0.44), (0.51, 0.79), (0.86, 1.0))
WAYS = ("KL(teacher ‖ it)", "KL(it ‖ teacher)")


def scales(answers: Sequence[Fidelity]) -> dict[str, list[float]]:
    """The range of the distance over all answers."""
    most = max(float(v.max()) for a in answers for way in (a.divergence, a.reverse) for v in way.values())
    return {"divergence": [0.0, 1.15 * most or 1.0]}


def draw(answer: Fidelity, *, dark: bool, fixed: dict[str, list[float]] | None = None) -> go.Figure:
    """The figure: three panels, from what is alike to what it is good for."""
    traces: list[dict[str, Any]] = []
    groups = [f"{name}<br>({count:,})" for name, count in zip(answer.groups, answer.counts, strict=True)]
    for part, values in answer.agreement.items():
        words = [f"{100 * v:.0f} %" if n else "none" for v, n in zip(values, answer.counts, strict=True)]
        traces.append(
            trace(
                "bar", x=groups, y=values, name=NAMES[part], marker={"color": theme.COLOURS[part]}, legendgroup=part,
                offsetgroup=part, text=words, textposition="outside", cliponaxis=False,
                hovertemplate="%{x}: the teacher's answer in %{y:.1%}<extra>" + NAMES[part] + "</extra>",
            )
        )  # fmt: skip
    for part, values in answer.divergence.items():
        both = [*values, *answer.reverse[part]]
        traces.append(
            trace(
                "bar", x=[[WAYS[0], WAYS[0], WAYS[1], WAYS[1]], ["test", "training"] * 2], y=both, name=NAMES[part],
                marker={"color": theme.COLOURS[part]}, legendgroup=part, offsetgroup=part, showlegend=False,
                text=[f"{v:.2f}" for v in both], textposition="outside", textangle=0, constraintext="none",
                cliponaxis=False, hovertemplate="%{x}: %{y:.3f} nats<extra>" + NAMES[part] + "</extra>", **on(1),
            )
        )  # fmt: skip
    parts = list(answer.wins)
    names = [NAMES[part] for part in parts]
    below = [0.0] * len(parts)
    for place, outcome in enumerate(OUTCOMES):
        counts = [int(answer.wins[part][place]) for part in parts]
        shares = [n / max(1, int(answer.wins[part].sum())) for n, part in zip(counts, parts, strict=True)]
        colour = (
            faint(dark=dark), [theme.COLOURS[part] for part in parts], theme.COLOURS["teacher"],
            faint(dark=dark, strong=True),
        )[place]  # fmt: skip
        traces.append(
            trace(
                "bar", x=names, y=shares, base=list(below), name=outcome, marker={"color": colour}, offsetgroup="wins",
                legend="legend2", customdata=counts, insidetextanchor="middle", constraintext="none", textangle=0,
                textposition="inside",
                text=[f"{n:,}" if s > 0.06 else "" for n, s in zip(counts, shares, strict=True)],
                hovertemplate=f"{outcome}: %{{customdata:,}}<extra>%{{x}}</extra>", **on(2),
            )
        )  # fmt: skip
        below = [b + s for b, s in zip(below, shares, strict=True)]
    top = (fixed or scales([answer]))["divergence"][1]
    legend = {"orientation": "h", "yanchor": "top", "y": -0.2, "font": {"size": 12}}
    shares_axis = {"range": [0, 1.08], "tickformat": ".0%", "title": {"text": "share with the teacher's answer"}}
    layout = {
        "height": 400, "barmode": "group", "bargap": 0.3, "margin": {"l": 60, "r": 8, "t": 34, "b": 100},
        **axes(0, {"domain": SPANS[0], "type": "category"}, shares_axis),
        **axes(
            1, {"domain": SPANS[1], "type": "multicategory", "dividercolor": faint(dark=dark)},
            {"range": [0, top], "title": {"text": "nats", "standoff": 4}},
        ),
        **axes(2, {"domain": SPANS[2], "type": "category"}, {"range": [0, 1.0], "tickformat": ".0%"}),
        "legend": {**legend, "x": 0}, "legend2": {**legend, "x": 1, "xanchor": "right"},
        "annotations": [
            heading("Answers as the teacher does: more is closer", SPANS[0][0]),
            heading("Distance of the probabilities: less is closer", SPANS[1][0]),
            heading(f"Who is right ({answer.groups[0]})", SPANS[2][0]),
        ],
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def rows(answer: Fidelity) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "network", "measure", "inputs", "value", "how many"
    for part, values in answer.agreement.items():
        for name, value, count in zip(answer.groups, values, answer.counts, strict=True):
            yield NAMES[part], "agreement", name, f"{value:.6g}" if count else "", count
    for way, apart in zip(WAYS, (answer.divergence, answer.reverse), strict=True):
        for part, values in apart.items():
            for place, value in enumerate(values):
                yield NAMES[part], f"{way} in nats", answer.groups[place], f"{value:.6g}", answer.counts[place]
    for part, values in answer.wins.items():
        for outcome, value in zip(OUTCOMES, values, strict=True):
            yield NAMES[part], outcome, answer.groups[0], int(value), answer.counts[0]
