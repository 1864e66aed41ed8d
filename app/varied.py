"""Settings that are varied, and the runs of recipes: what What if and Sweep share."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, TypeGuard

import streamlit as st

from app import state
from app.rows import Row
from app.views.run_head import can_go_on
from kdcore.launch import LaunchError
from kdcore.recipe import Recipe
from kdcore.run import Run
from kdcore.spec import Knob

Field = tuple[Recipe, Run | None]
"""What is to be trained, and its last attempt."""
FROM_START = (
    "The recipe on Begin is a fork. Runs here begin at the beginning, with its settings: seeds that go on from one "
    "run's weights would not be independent of one another."
)


def from_start(recipe: Recipe) -> Recipe:
    """The recipe as a run from its first step; of a fork that is said."""
    if recipe.parent is not None:
        st.info(FROM_START, icon=":material/fork_right:")
    return recipe.replace(parent=None)


def called(path: str, recipe: Recipe) -> str:
    """ "methods.0.temperature" as "kd: temperature"."""
    parts = path.split(".")
    if parts[0] == "methods":
        return f"{recipe.methods[int(parts[1])].method.key}: {parts[2].replace('_', ' ')}"
    return " · ".join(part.replace("_", " ") for part in parts)


def joined(values: Sequence[Any]) -> str:
    """Values as a person would write them in a row."""
    words = []
    for value in values:
        plainly = str(value).lower() if isinstance(value, bool) else str(value)
        words.append(f"{value:g}" if isinstance(value, float) else plainly)
    return ", ".join(words)


def likely(known: dict[str, Knob]) -> list[str]:
    """What people ask about first: temperature, then weights."""
    paths = [path for path in known if path.startswith("methods.")]
    return sorted(paths, key=lambda path: (not path.endswith("temperature"), not path.endswith("weight")))


def runs_of(rows: Sequence[Sequence[Recipe]]) -> list[list[Run | None]]:
    """Each recipe's newest attempt that did not end badly, or else the newest; the shelf is read once for all."""
    attempts: dict[str, list[Run]] = {}
    for run in state.shelf().runs():
        attempts.setdefault(run.id[:16], []).append(run)

    def best(recipe: Recipe) -> Run | None:
        found = attempts.get(recipe.id, [])
        good = (run for run in found if run.state() in ("finished", "running", "waiting"))
        return next(good, next(iter(found), None))

    return [[best(one) for one in row] for row in rows]


def untrained(
    rows: Sequence[Sequence[Recipe]], runs: Sequence[Sequence[Run | None]], told: Sequence[Sequence[Row | None]]
) -> list[Field]:
    """The fields that have no run, or only one that ended badly: each with that run."""
    return [
        (recipe, run)
        for fields in zip(rows, runs, told, strict=True)
        for recipe, run, one in zip(*fields, strict=True)
        if one is None or one.state in ("failed", "stopped", "lost")
    ]


def goes_on(run: Run | None) -> TypeGuard[Run]:
    """Whether it was stopped or lost and kept a checkpoint to go on from. What failed there would fail there again."""
    return run is not None and run.state() in ("stopped", "lost") and can_go_on(run)


def resumed(fields: Sequence[Field]) -> int:
    """How many of them will go on."""
    return sum(goes_on(run) for _, run in fields)


def plan_of(fields: Sequence[Field], on: int) -> str:
    """That `on` of them will go on and how many begin, in words; "" where none was interrupted."""
    if not any(run is not None and run.state() in ("stopped", "lost") for _, run in fields):
        return ""
    anew = len(fields) - on
    going = f"{on} {'goes on from its' if on == 1 else 'go on from their'} last checkpoint" if on else ""
    begun = f"{anew} {'begins' if anew == 1 else 'begin'} at the beginning" if anew else ""
    return f"{', '.join(filter(None, (going, begun)))}."


def train(fields: Sequence[Field]) -> None:
    """Start them: what can goes on from its last checkpoint, under its own id; all else begins. Raises LaunchError."""
    for recipe, run in fields:
        if goes_on(run):
            with contextlib.suppress(LaunchError):  # another tab was faster, or its files are damaged
                state.desk().go_on(run.id)
                continue
        state.desk().launch(recipe)
