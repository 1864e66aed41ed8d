"""Draws LossLine: loss and accuracy on the way from the student alone to the student."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.drawn import drawn, trace
from app.charts.panels import heading, named
from kdcore.answers.loss_line import LossLine

ANSWER = LossLine
SPLITS = {"validation": (theme.TERMS[0], "solid"), "training": (theme.TERMS[1], "dash")}
ENDS = ("baseline", "student")
PANELS = ((0.0, 0.46), (0.54, 1.0))


def scales(answers: Sequence[LossLine]) -> dict[str, list[float]]:
    """The range of the loss over all answers: all that lies between the ends is seen, what lies beyond may not be."""
    most = 0.0
    for answer in answers:
        most = max(most, answer.teacher["validation"][0] if answer.teacher else 0.0)
        inside = (answer.at >= 0.0) & (answer.at <= 1.0)
        most = max(most, *(float(values[inside].max()) for values in answer.loss.values()))
    return {"loss": [0.0, 1.25 * most + 1e-6]}


def draw(answer: LossLine, *, dark: bool, fixed: dict[str, list[float]] | None = None) -> go.Figure:
    """The figure: loss on the left, accuracy on the right."""
    low, high = (fixed or scales([answer]))["loss"]
    traces: list[dict[str, Any]] = []
    panels = ((answer.loss, answer.own_loss, "loss"), (answer.accuracy, answer.own_accuracy, "accuracy"))
    texts: list[dict[str, Any]] = []
    for number, (values, own, what) in enumerate(panels):
        axes = {"xaxis": "x" if number == 0 else "x2", "yaxis": "y" if number == 0 else "y2"}
        form = "%{y:.2f} nats" if what == "loss" else "%{y:.1%}"
        for split, (colour, dash) in SPLITS.items():
            traces.append(
                trace(
                    "scatter", x=answer.at, y=values[split], mode="lines+markers", marker={"size": 4, "color": colour},
                    line={"color": colour, "dash": dash, "width": 2.5},
                    name=f"{answer.counts[split]:,} {split} {answer.inputs}", legendgroup=split, showlegend=number == 0,
                    hovertemplate=f"%{{x:.2f}} of the way: {form}<extra>{split}</extra>", **axes,
                )
            )  # fmt: skip
        if answer.teacher:
            level = answer.teacher["validation"][number]
            traces.append(
                trace(
                    "scatter", x=[answer.at[0], answer.at[-1]], y=[level] * 2, mode="lines", legendgroup="teacher",
                    line={"color": theme.COLOURS["teacher"], "width": 2, "dash": "dot"}, showlegend=number == 0,
                    name=f"{named('teacher')}, {answer.counts['validation']:,} validation {answer.inputs}",
                    hovertemplate=f"{form}<extra>{named('teacher')}</extra>", **axes,
                )
            )  # fmt: skip
        for end, part in enumerate(ENDS):
            traces.append(
                trace(
                    "scatter", x=[end] * len(SPLITS), y=[own[split][end] for split in SPLITS], mode="markers",
                    marker={
                        "size": 11, "symbol": "diamond-open", "color": theme.COLOURS[part], "line": {"width": 2.5},
                    },
                    name=f"{named(part)} as it is", legendgroup=part, showlegend=number == 0,
                    hovertemplate=f"as it is: {form}<extra>{named(part)}</extra>", **axes,
                )
            )  # fmt: skip
            left, right = PANELS[number]
            place = left + (end - answer.at[0]) / (answer.at[-1] - answer.at[0]) * (right - left)
            texts.append({**heading(named(part), place, size=12), "xanchor": "center"})
    lines = [
        {
            "type": "line", "xref": f"x{suffix}", "yref": f"y{suffix} domain", "x0": end, "x1": end, "y0": 0, "y1": 1,
            "line": {"color": theme.COLOURS[part], "width": 1.5, "dash": theme.DASHES[part]}, "layer": "below",
        }
        for suffix in ("", "2") for end, part in enumerate(ENDS)
    ]  # fmt: skip
    across = {
        "title": {"text": "place on the line (0 student alone, 1 student)", "standoff": 6},
        "range": [float(answer.at[0]) - 0.03, float(answer.at[-1]) + 0.03], "zeroline": False,
    }  # fmt: skip
    texts += [
        {**heading(f"<b>{text}</b>", PANELS[number][0], y=1.08), "xanchor": "left"}
        for number, text in enumerate((f"Loss: {answer.loss_name}", "Accuracy"))
    ]
    layout = {
        "xaxis": {**across, "domain": PANELS[0], "anchor": "y"},
        "xaxis2": {**across, "domain": PANELS[1], "anchor": "y2"},
        "yaxis": {"range": [low, high], "title": {"text": f"{answer.loss_name} in nats"}},
        "yaxis2": {
            "range": [0.0, 1.02], "title": {"text": "share answered right"}, "tickformat": ".0%", "anchor": "x2",
        },
        "shapes": lines, "annotations": texts, "margin": {"l": 56, "r": 12, "t": 60, "b": 90}, "height": 400,
        "legend": {"orientation": "h", "y": -0.22, "x": 0, "yanchor": "top"}, "hovermode": "closest",
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def rows(answer: LossLine) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "inputs", "place", f"{answer.loss_name} in nats", "accuracy", "batch norm"
    for split, (loss, right) in answer.teacher.items():
        yield split, "teacher", f"{loss:.6g}", f"{right:.6g}", "its own statistics"
    for split in answer.loss:
        for place, loss, right in zip(answer.at, answer.loss[split], answer.accuracy[split], strict=True):
            yield split, f"{place:.6g}", f"{loss:.6g}", f"{right:.6g}", answer.statistics
        for end, part in enumerate(ENDS):
            own = numpy.array([answer.own_loss[split][end], answer.own_accuracy[split][end]])
            yield split, part, f"{own[0]:.6g}", f"{own[1]:.6g}", "its own statistics"
