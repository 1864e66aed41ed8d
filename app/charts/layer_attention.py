"""Draws LayerAttention: matrices and flows of the mean and of one input, entropy, and the similarity beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts import layer_flow
from app.charts.drawn import drawn, trace
from app.charts.panels import axes, on
from app.charts.pixels import address_of
from app.charts.scales import diverging, faint, round_out
from kdcore.answers.layer_attention import LayerAttention

ANSWER = LayerAttention

LEFT, MIDDLE, RIGHT = (0.05, 0.35), (0.41, 0.7), (0.775, 0.945)
UPPER, LOWER = (0.59, 0.935), (0.04, 0.385)
ALIKE, AGAINST = 6, 7
"""Panels of the similarity and of attention against it."""
STRIP = 0.06
"""What the entropy takes of the place beside a matrix."""
NARROW = 4
"""Columns up to which a field of the similarity has room for the student alone's too."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")

Scales = dict[str, list[float]]


def scales(answers: Sequence[LayerAttention]) -> Scales:
    """[low, high] over all answers: of attention even on both sides of an even share, and what similarity reaches."""
    even = answers[-1].even
    far = round_out(max(0.02, *(float(numpy.abs(values - even).max()) for a in answers for values in (a.mean, a.one))))
    alike = [float(found) for answer in answers for found in (answer.similarity.min(), answer.similarity.max())]
    return {
        "attention": [even - far, even + far],
        "similarity": [min(0.0, *alike), 1.0],
        "reached": [min(alike), max(alike)],
    }


def draw(answer: LayerAttention, *, dark: bool, fixed: Scales | None = None) -> go.Figure:
    """Above the mean and the similarity, below one input and attention against similarity."""
    ranges = fixed or scales([answer])
    ink = theme.INK["dark" if dark else "light"]
    size = answer.mean.shape
    kind = "picture" if answer.picture.size else "input"
    named = f"{kind} {answer.number} ({answer.picture_says})"
    blocks = (
        (UPPER, answer.mean, answer.spread, answer.entropy, answer.entropy_spread, 0),
        (LOWER, answer.one, None, answer.entropy_one, None, 3),
    )
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    for place, values, spread, unsure, unsure_spread, first in blocks:
        across, down, beside, over = _places(answer.attends, place)
        layout |= _matrix_axes(answer, x=across, y=down, number=first)
        layout |= _entropy_axes(answer, x=beside, y=over, number=first + 1)
        layout |= layer_flow.axes(*size, x=MIDDLE, y=place, number=first + 2)
        traces += _heat(answer, values, spread, ranges["attention"], number=first, dark=dark)
        traces += _entropy(answer, unsure, unsure_spread, number=first + 1, ink=ink)
        traces += layer_flow.traces(
            values, rows=answer.rows, columns=answer.columns, attends=answer.attends, number=first + 2, ink=ink
        )
    layout |= _matrix_axes(answer, x=RIGHT, y=UPPER, number=ALIKE) | _against_axes(answer, ranges)
    traces += [*_similarity(answer, ranges["similarity"], dark=dark), *_against(answer, dark=dark)]
    layout |= {
        "annotations": _texts(answer, named, ink), "images": _thumbnail(answer),
        "margin": {"l": 44, "r": 28, "t": 8, "b": 92}, "height": 680 + 26 * max(0, max(size) - 4), "showlegend": True,
        "legend": {
            "orientation": "h", "x": 0.0, "y": -0.075, "xanchor": "left", "yanchor": "top", "font": {"size": 12},
        },
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def rows(answer: LayerAttention) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield (
        "layer of the student", "layer of the teacher", "attention, mean", "attention, standard deviation",
        f"attention, input {answer.number}", answer.measure, f"{answer.measure}, student alone", "same relative depth",
        "strongest",
        "entropy of the attending layer, mean (nats)", "its standard deviation (nats)",
        f"entropy, input {answer.number} (nats)",
    )  # fmt: skip
    for (row, column), value in numpy.ndenumerate(answer.mean):
        attending = row if answer.attends == "student" else column
        numbers = (
            value, answer.spread[row, column], answer.one[row, column], answer.similarity[row, column],
        )  # fmt: skip
        alone = f"{answer.similarity_alone[row, column]:.6g}" if answer.similarity_alone.size else ""
        unsure = (answer.entropy[attending], answer.entropy_spread[attending], answer.entropy_one[attending])
        yield (
            answer.rows[row], answer.columns[column], *(f"{number:.6g}" for number in numbers), alone,
            int([row, column] in answer.by_depth), int([row, column] in answer.strongest),
            *(f"{number:.6g}" for number in unsure),
        )  # fmt: skip


def _places(attends: str, place: tuple[float, float]) -> tuple[Any, Any, Any, Any]:
    """Where a matrix stands and where its entropy: to the right of rows that attend, above columns that do."""
    if attends == "student":
        end = LEFT[1] - STRIP - 0.012
        return (LEFT[0], end), place, (end + 0.008, LEFT[1]), place
    end = place[1] - STRIP * 1.3
    return LEFT, (place[0], end), LEFT, (end + 0.016, place[1])


def _matrix_axes(answer: LayerAttention, *, x: Sequence[float], y: Sequence[float], number: int) -> dict[str, Any]:
    height, width = answer.mean.shape
    plain = {"showgrid": False, "zeroline": False, "fixedrange": True, "automargin": False}
    across = {
        **plain, "domain": x, "range": [-0.5, width - 0.5], "tickvals": list(range(width)), "ticktext": answer.columns,
        "title": {"text": "layer of the teacher", "standoff": 4, "font": {"size": 12}}, "tickfont": {"size": 12},
    }  # fmt: skip
    up = {
        **plain, "domain": y, "range": [height - 0.5, -0.5], "tickvals": list(range(height)), "ticktext": answer.rows,
        "title": {"text": "layer of the student", "standoff": 4, "font": {"size": 12}}, "tickfont": {"size": 12},
    }  # fmt: skip
    return axes(number, across, up)


def _heat(
    answer: LayerAttention, values: numpy.ndarray, spread: numpy.ndarray | None, limits: Sequence[float], *,
    number: int, dark: bool,
) -> list[dict[str, Any]]:  # fmt: skip
    low, high = limits
    words = [
        [f"{value:.2f}" + ("" if spread is None else f"<br>± {spread[row, column]:.2f}")
         for column, value in enumerate(line)]
        for row, line in enumerate(values)
    ]  # fmt: skip
    heat = trace(
        "heatmap", z=values, zmin=low, zmax=high, xgap=2, ygap=2, text=words, texttemplate="%{text}",
        textfont={"size": 12}, colorscale=diverging(dark=dark, low=low, high=high, centre=answer.even),
        showscale=False, name="attention" + ("" if spread is None else ", mean"), customdata=_pairs(answer),
        hovertemplate="%{customdata}<br>attention %{text}<extra></extra>", **on(number),
    )  # fmt: skip
    return [heat, *_marks(answer, number=number, dark=dark, legend=number == 0)]


def _pairs(answer: LayerAttention) -> list[list[str]]:
    return [[f"student {row} ↔ teacher {column}" for column in answer.columns] for row in answer.rows]


def _marks(answer: LayerAttention, *, number: int, dark: bool, legend: bool) -> list[dict[str, Any]]:
    """Frames around the strongest pairs, rings in the corner of those of like depth."""
    x: list[float | None] = []
    y: list[float | None] = []
    for row, column in answer.strongest:
        x += [column - 0.47, column + 0.47, column + 0.47, column - 0.47, column - 0.47, None]
        y += [row - 0.46, row - 0.46, row + 0.46, row + 0.46, row - 0.46, None]
    shared = {"hoverinfo": "skip", "showlegend": legend, **on(number)}
    return [
        trace(
            "scatter", x=x, y=y, mode="lines", line={"color": theme.INK["dark" if dark else "light"], "width": 2.5},
            name="strongest mean attention", legendgroup="strongest", **shared,
        ),
        trace(
            "scatter", x=[column + 0.34 for _, column in answer.by_depth], y=[row - 0.3 for row, _ in answer.by_depth],
            mode="markers", marker={"symbol": "circle", "size": 10, "color": "#ffffff",
                                    "line": {"color": "#1f2933", "width": 2}},
            name="pair of like depth", legendgroup="depth", **shared,
        ),
    ]  # fmt: skip


def _entropy_axes(answer: LayerAttention, *, x: Sequence[float], y: Sequence[float], number: int) -> dict[str, Any]:
    height, width = answer.mean.shape
    most = _most(answer)
    plain = {"showgrid": False, "zeroline": False, "fixedrange": True, "automargin": False}
    values = {
        **plain, "range": [0, max(most, 1e-6) * 1.02], "tickvals": [0, most], "ticktext": ["0", f"{most:.2f}"],
        "tickfont": {"size": 11}, "title": {"text": "entropy, nats", "standoff": 2, "font": {"size": 11}},
        "showline": True, "mirror": True, "linecolor": theme.CATEGORICAL[-1],
    }  # fmt: skip
    layers = {**plain, "showticklabels": False}
    if answer.attends == "student":
        return axes(number, {**values, "domain": x}, {**layers, "domain": y, "range": [height - 0.5, -0.5]})
    return axes(number, {**layers, "domain": x, "range": [-0.5, width - 0.5]}, {**values, "domain": y})


def _entropy(
    answer: LayerAttention, values: numpy.ndarray, spread: numpy.ndarray | None, *, number: int, ink: str
) -> list[dict[str, Any]]:
    """A bar for each attending layer, with its standard deviation over inputs and its share of the maximum."""
    most = _most(answer)
    places = list(range(len(values)))
    numbers = values.tolist()
    along = answer.attends == "student"
    error: dict[str, Any] = {}
    if spread is not None:
        error["error_x" if along else "error_y"] = {"array": spread.tolist(), "color": ink, "thickness": 1}
    words = [theme.percent(value / most if most > 0 else 1.0, of=99) for value in numbers]
    whose = answer.rows if along else answer.columns
    return [
        trace(
            "bar", x=numbers if along else places, y=places if along else numbers, orientation="h" if along else "v",
            marker={"color": theme.colour(answer.attends), "opacity": 0.5}, width=0.72, showlegend=False,
            name=f"entropy of the {answer.attends}'s attention",
            hovertext=[f"{layer} of the {answer.attends}: entropy {value:.2f} nats, {word} of ln {_options(answer)}"
                       for layer, value, word in zip(whose, numbers, words, strict=True)],
            hoverinfo="text", **error, **on(number),
        ),
        trace(
            "scatter", x=[0.03 * most] * len(places) if along else [place - 0.36 for place in places],
            y=places if along else [0.72 * most] * len(places), mode="text", text=words, textposition="middle right",
            textfont={"size": 11, "color": ink}, hoverinfo="skip", showlegend=False, cliponaxis=False,
            name="share of the largest entropy", **on(number),
        ),
    ]  # fmt: skip


def _similarity(answer: LayerAttention, limits: Sequence[float], *, dark: bool) -> list[dict[str, Any]]:
    alone = answer.similarity_alone
    told = [
        [f"{value:.2f}" + (f", of the student alone {alone[row, column]:.2f}" if alone.size else "")
         for column, value in enumerate(line)]
        for row, line in enumerate(answer.similarity)
    ]  # fmt: skip
    heat = trace(
        "heatmap", z=answer.similarity, zmin=limits[0], zmax=limits[1], xgap=2, ygap=2, colorscale=theme.SEQUENTIAL,
        text=[[_with_alone(answer, row, column) for column in range(len(answer.columns))]
              for row in range(len(answer.rows))],
        texttemplate="%{text}", textfont={"size": 12}, name=answer.measure, hovertext=told,
        colorbar={
            "title": {"text": answer.measure, "side": "right", "font": {"size": 12}},
            "tickfont": {"size": 11}, "thickness": 10, "outlinewidth": 0,
            "x": RIGHT[1] + 0.005, "y": sum(UPPER) / 2, "len": UPPER[1] - UPPER[0], "lenmode": "fraction",
        },
        customdata=_pairs(answer), hovertemplate=f"%{{customdata}}<br>{answer.measure} %{{hovertext}}<extra></extra>",
        **on(ALIKE),
    )  # fmt: skip
    return [heat, *_marks(answer, number=ALIKE, dark=dark, legend=False)]


def _with_alone(answer: LayerAttention, row: int, column: int) -> str:
    """What stands in a field of the similarity: the student's and, where there is room, the student alone's."""
    said = f"{answer.similarity[row, column]:.2f}"
    if not _alone_stands_there(answer):
        return said
    return f"{said}<br><span style='font-size:10px'>alone {answer.similarity_alone[row, column]:.2f}</span>"


def _alone_stands_there(answer: LayerAttention) -> bool:
    return answer.similarity_alone.size > 0 and len(answer.columns) <= NARROW


def _against_axes(answer: LayerAttention, ranges: Scales) -> dict[str, Any]:
    low, high = ranges["reached"]
    margin = max(0.02, 0.08 * (high - low))
    shared = {"automargin": False, "zeroline": False}
    across = {
        **shared, "domain": RIGHT, "range": [low - margin, high + margin],
        "title": {"text": answer.measure, "standoff": 4, "font": {"size": 12}},
    }  # fmt: skip
    up = {
        **shared, "domain": LOWER, "range": [-0.03, min(1.0, ranges["attention"][1]) + 0.05],
        "title": {"text": "mean attention", "standoff": 4, "font": {"size": 12}},
    }  # fmt: skip
    return axes(AGAINST, across, up)


def _against(answer: LayerAttention, *, dark: bool) -> list[dict[str, Any]]:
    """Mean attention against similarity: a line for each attending layer, rising where attention follows likeness."""
    along = answer.attends == "student"
    others, side = (answer.columns, "teacher") if along else (answer.rows, "student")
    traces = []
    for number, name in enumerate(answer.rows if along else answer.columns):
        attention = answer.mean[number] if along else answer.mean[:, number]
        alike = answer.similarity[number] if along else answer.similarity[:, number]
        order = numpy.argsort(alike, kind="stable")
        traces.append(
            trace(
                "scatter", x=alike[order].tolist(), y=attention[order].tolist(), mode="lines+markers",
                name=f"{answer.attends}'s {name}", line={"color": theme.colour(answer.attends), "width": 1},
                marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 9},
                hovertext=[f"{answer.attends}'s {name} with the {side}'s {others[place]}" for place in order],
                hovertemplate=f"%{{hovertext}}<br>{answer.measure} %{{x:.2f}}<br>attention %{{y:.2f}}<extra></extra>",
                **on(AGAINST),
            )
        )  # fmt: skip
    even = trace(
        "scatter", x=[-1.5, 1.5], y=[answer.even, answer.even], mode="lines", name=f"even share ({answer.even:.2f})",
        line={"dash": "dot", "width": 1.5, "color": faint(dark=dark, strong=True)}, hoverinfo="skip", **on(AGAINST),
    )  # fmt: skip
    return [*traces, even]


def _texts(answer: LayerAttention, named: str, ink: str) -> list[dict[str, Any]]:
    adds = "each row adds up to 1" if answer.attends == "student" else "each column adds up to 1"
    known = "" if answer.correlation is None else f"; rank correlation {answer.correlation:.2f}".replace("-", "−")
    beside = 0.032 if answer.picture.size else 0.0
    below = "small: of the student alone" if _alone_stands_there(answer) else "of the same inputs"
    said = (
        (LEFT[0], UPPER, f"<b>Attention, mean ± deviation over {answer.count:,} inputs</b><br>{adds}"),
        (MIDDLE[0], UPPER, "<b>The same as a flow</b><br>band width = share of all attention"),
        (RIGHT[0], UPPER, f"<b>Are these layers alike? ({answer.measure})</b><br>{below}"),
        (LEFT[0] + beside, LOWER, f"<b>Attention for {named}</b><br>{adds}"),
        (MIDDLE[0], LOWER, f"<b>Its flow</b><br>for {named}"),
        (RIGHT[0], LOWER, f"<b>Does attention follow likeness?</b><br>lines rise where it does{known}"),
    )
    found = [
        {
            "text": text, "x": x, "y": place[1] + 0.008, "xref": "paper", "yref": "paper", "xanchor": "left",
            "yanchor": "bottom", "showarrow": False, "align": "left", "font": {"size": 12.5},
        }
        for x, place, text in said
    ]  # fmt: skip
    for place in (UPPER, LOWER):
        for x, anchor, part in ((MIDDLE[0], "left", "teacher"), (MIDDLE[1], "right", "student")):
            found.append(
                {
                    "text": f"<b>{part}</b>", "x": x, "y": place[0] - 0.004, "xref": "paper", "yref": "paper",
                    "xanchor": anchor, "yanchor": "top", "showarrow": False, "font": {"size": 12.5,
                                                                                  "color": theme.colour(part)},
                }
            )  # fmt: skip
    return found


def _thumbnail(answer: LayerAttention) -> list[dict[str, Any]]:
    """The chosen picture beside its title."""
    if not answer.picture.size:
        return []
    return [{
        "source": address_of(answer.picture), "xref": "paper", "yref": "paper", "x": LEFT[0], "y": LOWER[1] + 0.012,
        "sizex": 0.026, "sizey": 0.062, "xanchor": "left", "yanchor": "bottom", "sizing": "contain",
    }]  # fmt: skip


def _options(answer: LayerAttention) -> int:
    return answer.mean.shape[1 if answer.attends == "student" else 0]


def _most(answer: LayerAttention) -> float:
    return float(numpy.log(_options(answer)))
