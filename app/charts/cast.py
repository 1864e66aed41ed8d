"""The cast of a scheme as a small diagram: a column for each network, a row for each phase, arrows for who teaches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from app.charts.drawn import drawn, trace
from app.charts.panels import FAMILY
from app.charts.scales import faint
from app.theme import colour, count

ROWS = 12
"""Phases that are drawn; of more it is said how many follow."""
ROW, LINE = 94, 15
"""Pixels of a phase, and of a line of the names above."""
WIDE = 5
"""Networks up to which each has room for its kind beside its size; of more the kind is left to whoever points at it."""
ARC = 0.22
"""How high an arrow rises at most, in phases: its words stand between it and the phase's title."""
EDGE = 0.065
"""Half of what the words under a network take, as a share of the figure's width."""
NODE = 0.64
"""How far below a row's upper edge its networks stand."""


@dataclass
class Step:
    """What one phase makes of each network."""

    title: str
    learns: dict[str, list[str]] = field(default_factory=dict)
    """Learner -> what it learns from besides its teachers: "labels" or nothing."""
    teaches: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """(teacher, learner) -> titles of the methods; none where the scheme brings its own losses."""
    exits: dict[str, list[str]] = field(default_factory=dict)
    """Network that teaches itself -> its views that are taught."""
    follows: list[str] = field(default_factory=list)
    """Networks that are changed without learning: moving averages."""

    def frozen(self) -> list[str]:
        """Who teaches and stays as it is."""
        still = {teacher for teacher, _ in self.teaches} - set(self.learns) - set(self.follows)
        return sorted(still)


def steps_of(phases: list[dict[str, Any]]) -> list[Step]:
    """What happens in each phase of a plan, as `kdcore.preview.Preview.phases` has them.

    Terms that a scheme writes itself are told by their names alone: "ce" and "labels" are the labels'.
    """
    return [_step(phase) for phase in phases]


def draw(roles: dict[str, dict[str, Any]], phases: list[dict[str, Any]], *, dark: bool) -> go.Figure:
    """Roles and phases as in `kdcore.preview.Preview`."""
    steps = steps_of(phases)
    others = dict.fromkeys(name for step in steps for name in step.learns if name not in roles)
    columns = {name: place for place, name in enumerate([*roles, *others])}
    colours = _colours(roles, list(others))
    heads = {name: _head(name, roles, colours, narrow=len(columns) > WIDE) for name in columns}
    edge = max(0.5, EDGE * len(columns))
    head = LINE * max(map(len, heads.values())) + 14
    traces, rules = [], []
    texts = [
        {
            "x": place, "y": 0.08, "yanchor": "bottom", "showarrow": False, "font": {"size": 12},
            "text": "<br>".join(heads[name]), "hovertext": _title(name, roles),
        }
        for name, place in columns.items()
    ]  # fmt: skip
    for row, step in enumerate(steps[:ROWS]):
        texts.append({**_corner(row, edge, f"<b>{row + 1}</b>  {_safe(step.title)}"), "font": {"size": 12}})
        rules.append({
            "type": "line", "x0": -edge, "x1": len(columns) - 1 + edge, "y0": -row, "y1": -row,
            "line": {"color": faint(dark=dark), "width": 1},
        })  # fmt: skip
        traces += _networks(step, row, columns, colours, roles, dark=dark)
        said: set[tuple[str, str]] = set()
        for (teacher, learner), methods in step.teaches.items():
            new = (learner, str(methods)) not in said  # what several teachers say alike is written once
            said.add((learner, str(methods)))
            arrows, words = _arrow(step, row, columns, colours, teacher, learner, methods, written=new)
            traces += arrows
            texts += words
    more = len(steps) - ROWS
    if more > 0:
        texts.append(_corner(ROWS, edge, f"… and {more} more phase{'s' if more > 1 else ''}"))
    shown = min(len(steps), ROWS) + (0.3 if more > 0 else 0.0)
    hidden = {"visible": False, "fixedrange": True}
    layout = {
        "height": round(head + ROW * shown), "margin": {"l": 4, "r": 4, "t": 4, "b": 4}, "showlegend": False,
        "hovermode": "closest", "font": {"family": FAMILY}, "annotations": texts,
        "shapes": rules, "xaxis": {**hidden, "range": [-edge, len(columns) - 1 + edge]},
        "yaxis": {**hidden, "range": [-shown, head / ROW]},
    }  # fmt: skip
    return drawn(traces, layout, dark=dark)


def _corner(row: int, edge: float, text: str) -> dict[str, Any]:
    """Words in a row's upper left corner."""
    return {
        "x": 0.02 - edge, "y": -row - 0.02, "xanchor": "left", "yanchor": "top", "showarrow": False, "text": text,
    }  # fmt: skip


def said(steps: list[Step]) -> str:
    """The same in a sentence: how many phases, who is frozen where."""
    still: dict[str, list[int]] = {}
    for number, step in enumerate(steps, 1):
        for name in step.frozen():
            still.setdefault(name, []).append(number)
    told = [f"{name} is frozen in phase{'s' if len(where) > 1 else ''} {_runs(where)}" for name, where in still.items()]
    return "; ".join([f"{len(steps)} phase{'s' if len(steps) != 1 else ''}", *told]) + "."


def _runs(numbers: list[int]) -> str:
    """Rising numbers with rows of three and more drawn together.

    >>> _runs([1, 3, 4, 5, 7, 8])
    '1, 3 to 5, 7, 8'
    """
    rows: list[list[int]] = []
    for number in numbers:
        if rows and number == rows[-1][-1] + 1:
            rows[-1].append(number)
        else:
            rows.append([number])
    return ", ".join(f"{row[0]} to {row[-1]}" if len(row) > 2 else ", ".join(map(str, row)) for row in rows)


def _step(phase: dict[str, Any]) -> Step:
    found = Step(str(phase["title"]), follows=list(phase.get("moving", ())))
    for learner in phase.get("learners", ()):
        found.learns[learner] = []
    for lesson in phase["lessons"]:
        view, told = lesson["student"], lesson["teacher"]
        learner = view.split(":")[0]
        sources = found.learns.setdefault(learner, [])
        if told is None:
            if "labels" not in sources:
                sources.append("labels")
            continue
        teacher = told.split(":")[0]
        titles = found.teaches.setdefault((teacher, learner), [])
        titles += [part["title"] for part in lesson["parts"] if part["title"] not in titles]
        if teacher == learner and ":" in view:
            found.exits.setdefault(learner, []).append(view.split(":")[1])
    for learner, terms in phase.get("terms", {}).items():
        sources = found.learns.setdefault(learner, [])
        if not {"ce", "labels"}.isdisjoint(terms) and "labels" not in sources:
            sources.append("labels")
    return found


def _colours(roles: dict[str, dict[str, Any]], others: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    seen: dict[str, int] = {}
    for name, what in roles.items():
        part = what["part"]
        found[name] = colour(part, seen.get(part, 0))
        seen[part] = seen.get(part, 0) + 1
    return {**found, **{name: colour("", 4 + place) for place, name in enumerate(others)}}


def _head(name: str, roles: dict[str, dict[str, Any]], colours: dict[str, str], *, narrow: bool) -> list[str]:
    """The lines above a network. `narrow`: as little as tells it apart, a word a line."""
    what = roles.get(name)
    who = "student alone" if what is not None and what["part"] == "baseline" else name
    named = [f"<b><span style='color:{colours[name]}'>{_safe(one)}</span></b>" for one in _parts(who, narrow)]
    if what is None:
        return [*named, *_parts("no classifier", narrow)]
    twin = what.get("twin_of") or ("student" if what["part"] == "baseline" and "student" in roles else "")
    begins = [f"<i>{_safe(one)}</i>" for one in _parts(f"starts as {twin}", narrow)] if twin else []
    size = count(what["parameters"])
    return [*named, size if narrow else f"{_safe(what['title'])}, {size}", *begins]


def _parts(text: str, narrow: bool) -> list[str]:
    """A line, or two where there is little room."""
    before, _, last = text.rpartition(" ")
    return [before, last] if narrow and before else [text]


def _title(name: str, roles: dict[str, dict[str, Any]]) -> str:
    return f"{name}: {roles[name]['title']}, {count(roles[name]['parameters'])} parameters" if name in roles else name


def _networks(
    step: Step, row: int, columns: dict[str, int], colours: dict[str, str], roles: dict[str, dict[str, Any]], *,
    dark: bool,
) -> list[dict[str, Any]]:  # fmt: skip
    traces = []
    taught = {learner for _, learner in step.teaches}
    teachers = {teacher for teacher, _ in step.teaches}
    for name, place in columns.items():
        learns, follows = name in step.learns, name in step.follows
        if learns:
            what = "learns, teaches" if name in teachers and len(step.learns) > 1 else "learns"
            what += (" + labels" if name in taught else " from labels") if "labels" in step.learns[name] else ""
            symbol, size = "circle" if name in roles else "square", 26
        elif follows:
            what, symbol, size = "follows slowly", "circle-dot", 24
        elif name in teachers:
            what, symbol, size = "frozen", "circle-open", 24
        else:
            what, symbol, size = "", "circle", 6
        tint = colours[name] if what else faint(dark=dark)
        traces.append(trace(
            "scatter", x=[place], y=[-row - NODE], mode="markers+text" if what else "markers", text=[what],
            textposition="bottom center", textfont={"size": 11}, hoverinfo="text", cliponaxis=False,
            hovertext=f"{name}: {what or 'takes no part in this phase'}",
            marker={"symbol": symbol, "size": size, "color": tint, "line": {"width": 3 if "open" in symbol else 0}},
        ))  # fmt: skip
    return traces


def _arrow(
    step: Step, row: int, columns: dict[str, int], colours: dict[str, str], teacher: str, learner: str,
    methods: list[str], *, written: bool,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:  # fmt: skip
    """From left to right above the networks, from right to left below them, and around one that teaches itself: traces
    and words.

    `written`: with what is taught beside it, where few arrows cross.
    """
    if teacher not in columns or learner not in columns:
        return [], []
    start, end, level = columns[teacher], columns[learner], -row - NODE
    reach = 0.6 / max(6, len(columns)) + 0.02  # so that an arrow ends beside its circle, not in it
    what = " + ".join(methods) or "the scheme's own losses"
    if teacher == learner:
        taught = step.exits.get(learner, [])
        what = f"its deepest exit teaches exit {', '.join(str(int(one) + 1) for one in taught)}" if taught else "itself"
        x = [start + reach * 0.5, start + reach * 2.2, start + reach * 2.2, start + reach * 0.7]
        y = [level + 0.16, level + 0.16, level - 0.04, level - 0.04]
        named = (start + reach * 2.4, level + 0.06, "left")
    else:
        side = 1 if end > start else -1
        lift = side * min(0.12 + 0.04 * abs(end - start), ARC)
        first, last = start + side * reach * 0.8, end - side * reach
        places = [number / 12 for number in range(13)]
        x = [first + (last - first) * place for place in places]
        y = [level + side * 0.03 + 4 * lift * place * (1 - place) * 0.9 for place in places]
        named = ((first + last) / 2, level + side * 0.05 + 0.9 * lift, "center")
    arrow = trace(
        "scatter", x=x, y=y, mode="lines+markers", hoverinfo="text", hovertext=f"{teacher} → {learner}: {what}",
        cliponaxis=False,
        line={"color": colours[teacher], "width": 2, "shape": "spline" if teacher == learner else "linear"},
        marker={"symbol": "arrow", "size": [0] * (len(x) - 1) + [13], "angleref": "previous",
                "opacity": 1, "line": {"width": 0}, "color": colours[teacher]},
    )  # fmt: skip
    alike = len({str(one) for one in step.teaches.values()}) == 1
    if teacher != learner and not (written and (alike or len(step.teaches) <= 2)):
        return [arrow], []
    return [arrow], [{
        "x": named[0], "y": named[1], "text": _safe(what if len(what) < 48 else what[:45] + "…"), "showarrow": False,
        "xanchor": named[2], "yanchor": "middle" if teacher == learner else "bottom" if end > start else "top",
        "font": {"size": 11},
    }]  # fmt: skip


def _safe(text: str) -> str:
    """Text without what plotly would take for mark-up."""
    return str(text).replace("<", "‹").replace(">", "›")
