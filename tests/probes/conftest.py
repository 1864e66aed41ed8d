"""Small runs, really trained, brought back as a probe sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kdcore.catalog import METHODS
from kdcore.engine import run as train
from kdcore.recalled import recalled
from kdcore.recipe import Recipe
from kdcore.revive import Revived, revive
from kdcore.runs import Run, Shelf

PICTURES = {
    "data": {"is": "digits", "train_size": 200},
    "teacher": {"is": "plain", "width": 6},
    "student": {"is": "plain", "width": 4, "stage_count": 2},
    "training": {"epochs": 1, "teacher_epochs": 1, "batch": 64},
}
POINTS = {
    "data": {"is": "toy2d", "figure": "gaussians", "classes": 3, "size": 150},
    "teacher": {"is": "mlp", "width": 12, "depth": 2},
    "student": {"is": "mlp", "width": 6},
    "methods": [{"is": "ce"}, {"is": "kd"}],
    "training": {"epochs": 2, "teacher_epochs": 3, "batch": 32},
}
SHAPES = {
    "data": {"is": "shapes", "size": 120, "classes": 3, "clutter": 0},
    "teacher": {"is": "plain", "width": 4, "stage_count": 2},
    "student": {"is": "plain", "width": 2, "stage_count": 2},
    "training": {"epochs": 1, "teacher_epochs": 1, "batch": 64},
}


def beside(method: str) -> dict[str, object]:
    """The method without a stage of its own, so that the last phase has them all."""
    staged = "own_stage" in METHODS[method].knobs
    return {"is": method, "own_stage": 0.0} if staged else {"is": method}


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """Each test computes for itself."""
    recalled.forget()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Trains a recipe once and gives its run: `trained("pictures", "kd", "ab")`, `trained("points")`."""
    shelf = Shelf(tmp_path_factory.mktemp("runs"))
    made: dict[tuple[str, ...], Run] = {}

    def of(data: str, *methods: str, **more: Any) -> Run:
        key = (data, *methods, *(f"{name}={value}" for name, value in more.items()))
        if key not in made:
            found = {**{"points": POINTS, "shapes": SHAPES}.get(data, PICTURES), **more}
            if methods:
                found = {**found, "methods": [beside(method) for method in methods]}
            recipe = Recipe.from_json(found)
            made[key], _ = shelf.create(recipe)
            for event in train(recipe):
                made[key].append(event)
        return made[key]

    return of


@pytest.fixture(scope="session")
def revived(trained: Callable[..., Run]) -> Callable[..., Revived]:
    """The end of such a run, as `revive` gives it."""

    def of(*key: str, last: int = -1, **more: Any) -> Revived:
        run = trained(*key, **more)
        return revive(run, [snapshot.name for snapshot in run.history().snapshots][last])

    return of
