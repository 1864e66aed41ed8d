"""What the live component draws: a history as plain series of at most 400 points each. No Streamlit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from app import theme
from kdcore.history import History, PhaseTrace, Series

DASHED = ("dash", "dot", "dashdot", "longdash")
"""For the terms of each of several learners."""
MOST = 400
"""Points of a trace."""


def live_data(history: History, *, run: str, running: bool, ancestors: Sequence[History] = ()) -> dict[str, Any]:
    """Everything the component needs; JSON-ready. Accuracies in percent, x in epochs of the phase.

    `ancestors`: the runs that this one goes on from, its parent first. The phases that a fork skips are theirs; in the
    phase in which it begins their curves stand behind its own, faint.
    """
    pasts = [_past(phase, number, ancestors) for number, phase in enumerate(history.phases)]
    phases = _phases(history, pasts)
    begun = [phase for phase in phases if phase["begun"]]
    whole = sum(phase["share"] for phase in phases) or 1.0
    for phase in phases:
        phase["share"] = round(phase["share"] / whole, 5)
    reached = sum(phase["share"] for phase in begun[:-1])
    if begun:
        now = begun[-1]
        reached += now["share"] * (min(1.0, now["step"] / now["steps"]) if now["steps"] else 0.0)
    validation = history.started.data.get("validation") if history.started else None
    return {
        "run": run,
        "running": running,
        "reached": 1.0 if history.outcome == "finished" else round(reached, 5),
        "phases": phases,
        "losses": _branches(history, pasts, _losses),
        "scores": _told_apart(_branches(history, pasts, _scores)),
        "score_title": f"Accuracy on {validation:,} validation {inputs_called(history)}"
        if validation
        else "Validation accuracy",
    }


def role_name(role: str, history: History) -> str:
    """What a role or view is called on screen: "student alone", "teacher", "student, exit 2" for "student:1"."""
    base, _, way_out = role.partition(":")
    name = "student alone" if part_of(role, history) == "baseline" else base.replace("_", " ")
    return f"{name}, exit {int(way_out) + 1}" if way_out.isdecimal() else name


def part_of(role: str, history: History) -> str:
    """The part that a role or view plays: teacher, student, baseline, assistant or peer."""
    roles = history.started.roles if history.started else {}
    return str(roles.get(role.partition(":")[0], {}).get("part", role))


def inputs_called(history: History) -> str:
    """What the networks of a run look at: "pictures", or "points" in a plane."""
    shape = history.started.data.get("shape", ()) if history.started else ()
    return "points" if len(shape) == 1 else "pictures"


def role_colour(role: str, history: History) -> str:
    """The colour of a role: its part's, and others for further roles of the same part."""
    roles = list(history.started.roles) if history.started else []
    base = role.partition(":")[0]
    part = part_of(role, history)
    same = [name for name in roles if part_of(name, history) == part]
    return theme.colour(part, same.index(base) if base in same else 0)


def hidden_class(history: History) -> str:
    """The name of the class that the student never saw, or ""."""
    data = history.started.data if history.started else {}
    number, names = data.get("hidden", -1), data.get("class_names") or []
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        return ""
    return str(names[number]) if number < len(names) else str(number)


Past = tuple[PhaseTrace, History]


def _past(phase: PhaseTrace, number: int, ancestors: Sequence[History]) -> list[Past]:
    """The same phase of the ancestors that trained in it, the nearest first."""
    return [
        (one.phases[number], one)
        for one in ancestors
        if number < len(one.phases) and one.phases[number].name == phase.name and one.phases[number].steps
    ]


def _branches(
    history: History, pasts: list[list[Past]], drawn: Callable[[PhaseTrace, int, History], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """The traces of every phase: a skipped one's are its ancestor's, others have the ancestors' faint behind them."""
    found = []
    for number, (phase, past) in enumerate(zip(history.phases, pasts, strict=True)):
        if not phase.steps and past:
            found += drawn(past[0][0], number, past[0][1])
            continue
        for generation, (before, whole) in enumerate(past):
            who = "parent: " if not generation else f"{generation + 1} forks before: "
            found += [{**trace, "name": who + trace["name"], "faint": True} for trace in drawn(before, number, whole)]
        found += drawn(phase, number, history)
    return found


def _told_apart(traces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with the phase in the name of whoever learned in several."""
    where: dict[str, set[int]] = {}
    for trace in traces:
        where.setdefault(trace["name"], set()).add(trace["phase"])
    return [
        {**trace, "name": f"{trace['name']}, phase {trace['phase'] + 1}"} if len(where[trace["name"]]) > 1 else trace
        for trace in traces
    ]


def _phases(history: History, pasts: list[list[Past]]) -> list[dict[str, Any]]:
    shown = [
        past[0][0] if past and not phase.steps else phase for phase, past in zip(history.phases, pasts, strict=True)
    ]
    found: list[dict[str, Any]] = [
        {
            "title": phase.title,
            "steps": phase.steps,
            "epochs": phase.epochs,
            "step": phase.step,
            "begun": True,
            "share": float(max(1, phase.steps)),
            "colour": role_colour(phase.learners[0], history) if phase.learners else theme.CATEGORICAL[0],
        }
        for phase in shown
    ]
    planned = history.started.phases if history.started else 0
    usual = sum(phase["share"] for phase in found) / len(found) if found else 1.0
    for _ in range(planned - len(found)):
        found.append({
            "title": "to come", "steps": 0, "epochs": 0, "step": 0, "begun": False, "share": usual,
            "colour": theme.CATEGORICAL[-1],
        })  # fmt: skip
    return found


def _losses(phase: PhaseTrace, number: int, history: History) -> list[dict[str, Any]]:
    """The losses of each learner. Where several learn, a curve's colour is whose it is and its dash which term."""
    found = []
    several = len(phase.loss) > 1
    for learner, series in phase.loss.items():
        who = role_name(learner, history)
        terms = phase.terms.get(learner, {})
        prefix = f"{who}: " if several else ""
        colour = role_colour(learner, history)
        if len(terms) != 1:
            found.append({
                **_trace(series, number), "name": f"{prefix}sum of all terms", "kind": "weighted", "total": True,
                "colour": colour, "dash": "solid",
            })  # fmt: skip
        for kind, curves in (("weighted", phase.weighted.get(learner, {})), ("raw", terms)):
            for term, curve in curves.items():
                alone = len(terms) == 1
                found.append({
                    **_trace(curve, number), "name": prefix + term_name(term), "kind": kind, "total": alone,
                    "colour": colour if alone or several else term_colour(term, phase),
                    "dash": "solid" if alone or not several else DASHED[list(terms).index(term) % len(DASHED)],
                })  # fmt: skip
    return found


def _scores(phase: PhaseTrace, number: int, history: History) -> list[dict[str, Any]]:
    found = []
    for kept, hidden in ((phase.scores, False), (phase.hidden, True)):
        for role, series in kept.items():
            part = part_of(role, history)
            if hidden and part in ("teacher", "assistant"):  # it was shown that class: nothing to find out
                continue
            name = role_name(role, history)
            found.append({
                **_trace(series, number, factor=100.0), "hidden": hidden,
                "name": f"{name}, unseen class “{hidden_class(history)}”" if hidden else name,
                "level": part in ("teacher", "assistant"), "colour": role_colour(role, history),
                "dash": "dashdot" if hidden else theme.DASHES.get(part, "solid"),
            })  # fmt: skip
    return found


def term_colour(term: str, phase: PhaseTrace) -> str:
    """The colour of a loss term, the same wherever this phase's terms are drawn."""
    names = sorted({name for terms in phase.terms.values() for name in terms})
    return theme.TERMS[names.index(term) % len(theme.TERMS)] if term in names else theme.CATEGORICAL[-1]


def term_name(term: str) -> str:
    """ "kd.kd" as "kd", "ce.ce" as "ce"; a method with several terms keeps both names."""
    who, arrow, rest = term.rpartition(": ")
    method, _, inner = rest.partition(".")
    return who + arrow + (method if inner in ("", method) else f"{method} {inner}")


def _trace(series: Series, number: int, *, factor: float = 1.0) -> dict[str, Any]:
    """At most MOST points: every 2nd, 4th, … as the curve grows, so that those drawn stay where they are."""
    stride = 1
    while len(series.steps) > stride * (MOST - 1):
        stride *= 2
    places = list(range(0, len(series.steps), stride))
    if series.steps and places[-1] != len(series.steps) - 1:
        places.append(len(series.steps) - 1)
    return {
        "phase": number,
        "step": [series.steps[place] for place in places],
        "x": [round(series.epochs[place], 3) for place in places],
        "y": [_short(series.values[place], factor) for place in places],
    }


def _short(value: float | None, factor: float) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value * factor:.5g}")
