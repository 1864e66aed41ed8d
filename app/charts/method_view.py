"""Draws a MethodView: what a method compares of teacher, student and student alone, and how far they are apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy
import plotly.graph_objects as go

from app import theme
from app.charts.drawn import trace
from app.charts.map_grid import GAP
from app.charts.panels import NAMES, named
from app.charts.pixels import address_of
from app.charts.scales import calm, diverging, round_out
from app.charts.sheet import Sheet
from kdcore.answers.method_view import MethodView

ANSWER = MethodView

LEFT, BAR, SPACE, HEAD = 0.85, 0.5, 0.09, 0.27
"""In widths of a panel: room for picture or names, for a colour bar, between panels, and above a row."""
FLAT = ("classes", "numbers")
"""Kinds drawn as bars or lines over the whole width."""
LARGE = 400
"""Numbers from which on a matrix is large."""
Scales = dict[str, list[float]]


def scales(answers: Sequence[MethodView]) -> Scales:
    """Place in the drawing -> [lowest value, highest value, largest difference] over all answers."""
    found: Scales = {}
    for answer in answers:
        for number, about in enumerate(answer.drawn):
            arrays = {part: _counted(values, about["kind"]) for part, values in _of(answer, number).items()}
            differences = [values - arrays["teacher"] for part, values in arrays.items() if part != "teacher"]
            ends = [_ends(values, about["kind"]) for values in arrays.values()]
            low, high = min(low for low, _ in ends), max(high for _, high in ends)
            apart = max(_ends(numpy.abs(values), about["kind"])[1] for values in differences)
            before = found.get(str(number), [low, high, 0.0])
            found[str(number)] = [min(low, before[0]), max(high, before[1]), max(apart, before[2], 1e-9)]
    return {number: [*calm(low, high), round_out(far)] for number, (low, high, far) in found.items()}


def draw(answer: MethodView, *, dark: bool, fixed: Scales | None = None) -> go.Figure:
    """The figure. Its `layout.meta["aspect"]` is the height of the plot over its width at which maps are square."""
    ranges = fixed or scales([answer])
    networks = max(len(_of(answer, number)) for number in range(len(answer.drawn)))
    panels = 2 * networks - 1
    size = 1.0 if panels == 5 else 1.25
    wide = LEFT + panels * size + (panels - 1) * SPACE + 2 * BAR
    heights = [(_flat_height(answer) if about["kind"] in FLAT else size) + _below(about) for about in answer.drawn]
    tall = sum(heights) + len(heights) * HEAD + 0.02
    sheet = Sheet(wide, tall, dark=dark)
    top = 0.0
    for number, (about, height) in enumerate(zip(answer.drawn, heights, strict=True)):
        layers = f", {about['layers']}" if about["layers"] else ""
        note = "; ".join(filter(None, (about["note"], _which(about))))
        sheet.text(
            f"<b>{about['name']}{layers}</b>" + (f"  <span style='font-size:11px'>{note}</span>" if note else ""),
            x=LEFT, y=top + HEAD - 0.1,
        )  # fmt: skip
        if about["kind"] in FLAT:
            _flat(sheet, answer, number, top + HEAD, ranges[str(number)])
        else:
            _maps(sheet, answer, number, top + HEAD, size, ranges[str(number)])
        top += height + HEAD
    if answer.picture.size and any(about["kind"] != "images" for about in answer.drawn):
        side = 0.62
        sheet.text("the picture", x=0.0, y=HEAD)
        sheet.images.append({
            "source": address_of(answer.picture), "xref": "paper", "yref": "paper", "x": 0.0, "y": 1 - HEAD / tall,
            "sizex": side / wide, "sizey": side / tall, "xanchor": "left", "yanchor": "top", "sizing": "contain",
        })  # fmt: skip
    return sheet.finished()


def _maps(sheet: Sheet, answer: MethodView, number: int, y: float, size: float, fixed: list[float]) -> None:
    """A row of pictures: teacher, student, student alone, and what is left between each and the teacher."""
    about, arrays = answer.drawn[number], _of(answer, number)
    low, high, far = fixed
    signed = low < -0.01 * max(high, 1e-12)
    low = low if signed or about["kind"] == "images" else min(low, 0.0)
    usual = diverging(dark=sheet.dark, low=low, high=high) if signed and low < high else theme.SEQUENTIAL
    learned = [part for part in ("student", "baseline") if part in arrays]
    shown = [(part, arrays[part], False) for part in ("teacher", *learned)]
    shown += [(part, arrays[part] - arrays["teacher"], True) for part in learned]
    x = LEFT
    for place, (part, values, difference) in enumerate(shown):
        if difference and not shown[place - 1][2]:
            x += BAR
        axes = sheet.axes(x, y, size, size, *_sides(answer, about, values, first=place == 0))
        away = "" if part == "teacher" else f": {100 * answer.distance[part][about['part']]:.0f} % away"
        name = f"{NAMES[part]} − teacher" if difference else NAMES[part]
        colour = theme.COLOURS[part]
        sheet.text(
            f"<span style='color:{colour}'>{name}</span>" if difference else named(part) + away, x=x, y=y, size=11
        )
        ends = (-far, far) if difference else (low, max(high, low + 1e-9))
        last = place == len(shown) - 1 or shown[place + 1][2] != difference
        title = "difference" if difference else about["value"]
        edges_x, edges_y, z = _square(values, about["kind"])
        sheet.traces.append(
            trace(
                "heatmap", x=edges_x, y=edges_y, z=z, zmin=ends[0], zmax=ends[1], name=name, showscale=last,
                colorscale=diverging(dark=sheet.dark, low=-far, high=far) if difference else usual,
                colorbar=sheet.bar(_broken(title), x + size + 0.03, y, size),
                hovertemplate=f"{about['value']} %{{z:.3g}}<extra>{name}</extra>", **axes,
            )
        )  # fmt: skip
        x += size + SPACE


def _sides(answer: MethodView, about: dict[str, Any], values: numpy.ndarray, *, first: bool) -> tuple[dict, dict]:  # type: ignore[type-arg]
    """The axes of a picture: none for maps, names of classes for all inputs with all, numbers for matrices."""
    if about["kind"] in ("plane", "channels"):
        hidden = {"visible": False, "fixedrange": True}
        return hidden, hidden
    font = {"font": {"size": 10}, "standoff": 3}
    if about["kind"] == "matrix":
        bare = {"showticklabels": False, "ticks": "", "showgrid": False}
        across = {**bare, "title": {"text": about["columns"], **font}}
        return across, {**bare, "title": {"text": about["rows"] if first else "", **font}}
    labels = numpy.array(answer.labels)
    starts = [0, *(numpy.flatnonzero(numpy.diff(labels)) + 1).tolist(), len(labels)]
    middles = [(one + other) / 2 for one, other in pairwise(starts)]
    words = [_short(answer.class_names[labels[start]]) for start in starts[:-1]]
    ticks = {"tickmode": "array", "tickfont": {"size": 9}, "ticks": "", "showticklabels": True, "showgrid": False}
    what = f"{answer.inputs}, by class"
    across = {**ticks, "title": {"text": what, **font}, "tickvals": middles, "ticktext": words, "tickangle": -90}
    up = {
        **ticks, "title": {"text": what if first else "", **font}, "tickvals": [len(labels) - m for m in middles],
        "ticktext": words, "showticklabels": first,
    }  # fmt: skip
    return across, up


def _square(values: numpy.ndarray, kind: str) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Edges x and y and values with the first row at the top; channels as a square of small maps with gaps."""
    if kind == "channels":
        count, height, width = values.shape
        side = int(numpy.ceil(numpy.sqrt(count)))
        z = numpy.full((side * (height + 1), side * (width + 1)), numpy.nan, dtype=numpy.float32)
        for number, one in enumerate(values):
            row, column = divmod(number, side)
            z[row * (height + 1) : row * (height + 1) + height, column * (width + 1) : column * (width + 1) + width] = (
                one
            )
        return _edges(side, width, from_end=False), _edges(side, height, from_end=True), z[::-1]
    rows, columns = values.shape
    return numpy.arange(columns + 1.0), numpy.arange(rows + 1.0), values[::-1]


def _edges(maps: int, places: int, *, from_end: bool) -> numpy.ndarray:
    edges = [0.0]
    for number in range(maps):
        edges += [number + (1 - GAP) * (place + 1) / places for place in range(places)] + [number + 1.0]
    found = numpy.array(edges)
    return maps - found[::-1] if from_end else found


def _flat(sheet: Sheet, answer: MethodView, number: int, y: float, fixed: list[float]) -> None:
    """A row of bars, one group for each class or named number; lines where the numbers are many and have no names."""
    about, arrays = answer.drawn[number], _of(answer, number)
    names = answer.class_names if about["kind"] == "classes" else about["names"]
    low, high, _ = fixed
    margin = 0.06 * max(high - low, 1e-9)
    bars = bool(names) or len(arrays["teacher"]) <= 2
    ends = [min(0.0, low - margin * (low < 0)), max(0.0, high + margin)] if bars else [low - margin, high + margin]
    font = {"font": {"size": 11}, "standoff": 4}
    across: dict[str, Any] = {
        "showgrid": False,
        "title": {"text": "class" if about["kind"] == "classes" else "", **font},
    }
    if bars:
        across |= {"type": "category", "tickfont": {"size": 10}, "tickangle": 0 if len(names) <= 12 else -45}
    else:
        across["title"] = {"text": f"{about['rows'] or 'number'}, in the teacher's order", **font}
    up = {"title": {"text": _broken(about["value"]), **font}, "range": ends, "nticks": 5, "showgrid": True}
    axes = sheet.axes(LEFT + 0.35, y, sheet.wide - LEFT - 0.4, _flat_height(answer), across, up)
    order = numpy.argsort(-arrays["teacher"], kind="stable")
    told = []
    for part, values in arrays.items():
        away = "" if part == "teacher" else f": {100 * answer.distance[part][about['part']]:.0f} % away"
        told.append(f"{named(part)}{away}")
        hover = f"%{{x}}: %{{y:.3g}}<extra>{NAMES[part]}</extra>"
        if bars:
            words = [_short(name) for name in names] or [str(place + 1) for place in range(len(values))]
            sheet.traces.append(trace(
                "bar", x=words, y=values, name=NAMES[part], marker={"color": theme.COLOURS[part]},
                hovertemplate=hover, **axes,
            ))  # fmt: skip
        else:
            line = {"color": theme.COLOURS[part], "width": 3 if part == "teacher" else 1.5}
            sheet.traces.append(trace(
                "scatter", x=numpy.arange(1, len(values) + 1), y=values[order], name=NAMES[part], mode="lines",
                line=line, hovertemplate=hover, **axes,
            ))  # fmt: skip
    sheet.text(" &nbsp; ".join(told), x=LEFT + 0.35, y=y, size=11)


def rows(answer: MethodView) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield "compared", "network", "first place", "second place", "third place", "value"
    for number, about in enumerate(answer.drawn):
        for part, values in _of(answer, number).items():
            for place, value in numpy.ndenumerate(values):
                yield answer.parts[about["part"]], NAMES[part], *(*place, "", "")[:3], f"{value:.6g}"


def _of(answer: MethodView, number: int) -> dict[str, numpy.ndarray]:
    """part -> array of what stands at that place of the drawing."""
    return {part: answer.values[f"{number}/{part}"] for part in NAMES if f"{number}/{part}" in answer.values}


def _counted(values: numpy.ndarray, kind: str) -> numpy.ndarray:
    """The values that make the colours' range: what an input is to itself would outshine the rest."""
    if kind != "images" or len(values) < 2:
        return values
    return values[~numpy.eye(len(values), dtype=bool)]


def _ends(values: numpy.ndarray, kind: str) -> tuple[float, float]:
    """Lowest and highest value; of a large matrix without the outermost hundredth, which would darken all others."""
    share = 1.0 if kind == "matrix" and values.size >= LARGE else 0.0
    low, high = numpy.percentile(values, [share, 100.0 - share])
    return float(low), float(high)


def _below(about: dict[str, Any]) -> float:
    """Room for what stands under a row, in widths of a panel."""
    return {"images": 0.46, "matrix": 0.16, "classes": 0.3, "numbers": 0.3}.get(about["kind"], 0.04)


def _flat_height(answer: MethodView) -> float:
    """Of bars and lines: more where they are alone."""
    return 1.3 if len(answer.drawn) == 1 else 0.9


def _which(about: dict[str, Any]) -> str:
    return f"channels {', '.join(str(one) for one in about['channels'])}" if about["channels"] else ""


def _short(name: str) -> str:
    return name if len(name) <= 11 else f"{name[:10]}…"


def _broken(words: str) -> str:
    """In two lines where it is long."""
    if len(words) <= 24:
        return words
    cut = words.rfind(" ", 0, len(words) // 2 + 6)
    return f"{words[:cut]}<br>{words[cut + 1 :]}" if cut > 0 else words
