"""Settings that are varied, and the runs of recipes: what What if and Sweep share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import state
from kdcore.recipe import Recipe
from kdcore.run import Run
from kdcore.spec import Knob

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
