"""The same distillation by the loop that public repositories use and by this lab's, in one run, block by block."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import torch

from kdcore.dataset import DataError
from kdcore.machine import Watch, described, peak
from kdcore.memory import forget
from kdcore.network import macs_of
from kdcore.plain_loop import PlainLoop
from kdcore.recipe import Recipe
from kdcore.scoring import score
from kdcore.speed import FAST, Speed
from kdcore.stage import Losses, Stage, place, set_stage
from kdcore.tournament import counted
from kdcore.training import PhaseRun

LARGE = 256
"""Pictures in a step of the row with larger batches."""
ORDERS = 5
"""Of the training pictures, in which both are trained to their end."""
CASES: dict[str, dict[str, Any]] = {
    "digits": {},
    "fashion": {
        "data": {"is": "fashion_mnist", "train_size": 2000},
        "teacher": {"is": "plain", "width": 32},
        "student": {"is": "plain", "width": 8},
        "methods": [{"is": "ce"}, {"is": "kd"}],
        "training": {"batch": 64, "epochs": 10, "teacher_epochs": 3},
    },
    "fashion-mlp": {
        "data": {"is": "fashion_mnist", "train_size": 2000},
        "teacher": {"is": "plain", "width": 32},
        "methods": [{"is": "ce"}, {"is": "kd"}],
        "training": {"epochs": 20, "teacher_epochs": 3},
    },
    "fashion-resnet": {
        "data": {"is": "fashion_mnist", "train_size": 2000},
        "teacher": {"is": "resnet", "blocks": 3},
        "student": {"is": "plain", "width": 8},
        "methods": [{"is": "ce"}, {"is": "kd"}],
        "training": {"batch": 64, "epochs": 10, "teacher_epochs": 2},
    },
    "fashion-two-views": {
        "data": {"is": "fashion_mnist", "train_size": 2000, "augmentation": "shift", "views": 2},
        "teacher": {"is": "plain", "width": 32},
        "student": {"is": "plain", "width": 8},
        "methods": [{"is": "ce"}, {"is": "kd"}],
        "training": {"batch": 64, "epochs": 20, "teacher_epochs": 10},
    },
}
"""Name -> what its recipe sets. The first is the lab's first experiment; none trains the student alone.

With a short budget the number of steps decides, so on Fashion-MNIST both loops take batches of 64.
"""


class Steps(Protocol):
    """Something that trains step by step."""

    batch: int
    steps: int

    def step(self) -> Any: ...


@dataclass
class Row:
    """One way to do it."""

    name: str
    batch: int
    looks: bool
    """Whether the teacher looks at every batch."""
    begin: Callable[[], Steps]
    microseconds: list[float] = field(default_factory=list)
    """Of each block, for one picture."""


def benchmark(
    recipes: Mapping[str, Recipe], *, pairs: int, block: float, scaling: bool, said: Callable[[str], object]
) -> dict[str, Any]:
    """Everything measured, as plain JSON, with machine and versions. Cases without their pictures are left out."""
    from kdcore.scaling import curves

    found: dict[str, Any] = {"machine": {}, "cases": {}, "left_out": {}, "scaling": {}}
    for name, recipe in recipes.items():
        try:
            found["cases"][name] = measure(
                recipe, pairs=pairs, block=block, said=lambda words, name=name: said(f"{name}: {words}")  # type: ignore[misc]
            )  # fmt: skip
        except DataError as error:
            found["left_out"][name] = str(error)
            said(f"{name} is left out: {error}")
    if scaling:
        found["scaling"] = curves(said)
    device = place(next(iter(recipes.values())))
    found["machine"] = {**described(device), "day": datetime.now(UTC).date().isoformat()}
    return found


def case(name: str) -> Recipe:
    """The recipe of a case."""
    settings = {**Recipe().to_json(), **CASES[name]}
    return Recipe.from_json({**settings, "scheme": {"is": "offline", "baseline": False}})


def measure(recipe: Recipe, *, pairs: int, block: float, said: Callable[[str], object]) -> dict[str, Any]:
    """Everything about one recipe, as plain JSON. `block` is in seconds; `said` hears where it is.

    Raises RecipeError, DataError.
    """
    said("the teacher learns")
    stage = with_teacher(recipe)
    watch = Watch(stage.device)
    before = peak(stage.device)
    rows = rows_of(stage)
    for number, row in enumerate(rows):
        said(f"row {number} of {len(rows)} begins: {row.name}")
        row.begin().step()
    running = [row.begin() for row in rows]
    counts = [_steps_in(watch, one, block) for one in running]
    for pair in range(pairs):
        said(f"block {pair + 1} of {pairs}")
        for row, one, count in zip(rows, running, counts, strict=True):
            spent = watch.seconds(lambda one=one, count=count: _go(one, count))  # type: ignore[misc]
            row.microseconds.append(1e6 * spent / count / one.batch)
    after = peak(stage.device)
    best = {name: max(before[name], after[name]) for name in before}
    macs = {role: macs_of(network, stage.data.shape) for role, network in stage.cast.items()}
    said("memory, and both to their end")
    return {
        "recipe": recipe.to_json(),
        "pictures": len(stage.data.train),
        "macs": macs,
        "peak": best,
        "rows": [_row_json(row, rows[0], macs, best["gflops"]) for row in rows],
        "memory": memory(stage),
        "whole": whole(stage, watch),
    }


def rows_of(stage: Stage) -> list[Row]:
    """Public loop, what is added to it one after another, and the lab's with each part switched off again."""
    small, own = min(64, stage.batch_of(stage.data.train)), stage.batch_of(stage.data.train)
    cached = stage.data.augmentation == "none" or stage.data.views > 0
    rows = [
        Row("public loop", small, True, lambda: PlainLoop(stage)),
        Row("+ tensors resident", small, True, lambda: PlainLoop(stage, batches="resident")),
    ]
    if cached:
        rows.append(
            Row("+ teacher cached", small, False, lambda: PlainLoop(stage, batches="resident", teacher="cached"))
        )

    def lab(name: str, batch: int, speed: Speed) -> Row:
        keeps = cached and speed.cached_teacher

        def begin() -> PhaseRun:
            """With all views seen, where they are kept; else no row is to find what another one has kept."""
            running = begun(stage, batch=batch, speed=replace(speed, cached_teacher=keeps))
            _go(running, stage.data.views * running.epoch_steps if keeps else 0)
            return running

        return Row(name, batch, not keeps, begin)

    bare = replace(FAST, channels_last=False, fused=False, lean=False)
    rows += [
        lab("the lab's own loop", small, bare),
        lab("+ channels last", small, replace(bare, channels_last=True)),
        lab("+ fused optimiser", small, replace(bare, channels_last=True, fused=True)),
        *([lab("+ lean steps", small, FAST)] if small < own else []),
        lab(f"the lab as it is: batch {own}", own, FAST),
    ]
    if own < LARGE <= len(stage.data.train):
        rows.append(lab(f"+ batch {LARGE}", LARGE, FAST))
    rows += [
        lab(f"without {name}", own, speed)
        for name, speed in (
            ("cached teacher", replace(FAST, cached_teacher=False)),
            ("channels last", replace(FAST, channels_last=False)),
            ("fused optimiser", replace(FAST, fused=False, lean=False)),
            ("lean steps", replace(FAST, lean=False)),
        )
        if cached or name != "cached teacher"
    ]
    return rows


def with_teacher(recipe: Recipe) -> Stage:
    """The recipe's stage with its teacher trained and its student as it starts."""
    stage = set_stage(recipe)
    torch.manual_seed(recipe.seed)
    teaching = PhaseRun(stage, next(iter(stage.scheme.phases(stage.cast, Losses(stage)))))
    _go(teaching, teaching.steps)
    return stage


def begun(stage: Stage, *, batch: int | None = None, speed: Speed = FAST) -> PhaseRun:
    """The lab's own student phase on networks of its own, with what is kept of the teacher made."""
    budget = stage.budget
    if batch is not None:
        budget = stage.recipe.with_setting("training.batch", batch).budget()
    own = replace(stage, budget=budget, cast={role: copy.deepcopy(network) for role, network in stage.cast.items()})
    return PhaseRun(own, list(own.scheme.phases(own.cast, Losses(own)))[-1], speed=speed)


def whole(stage: Stage, watch: Watch, *, orders: int = ORDERS) -> dict[str, Any]:
    """Both trained to their end from the same start, making the cache counted in, and scored on test, in so many
    orders of the training pictures.

    Where pictures have so many views, the lab too with another view in every epoch ("endless").
    """
    begins: dict[str, Callable[[Stage], Steps]] = {"public": PlainLoop, "lab": begun}
    if stage.data.views:
        begins["endless"] = lambda one: begun(replace(one, data=replace(one.data, views=0)))
    found: dict[str, Any] = {name: {"seconds": [], "test_accuracy": []} for name in begins}
    for number in range(orders):
        ordered = replace(stage, recipe=replace(stage.recipe, seed=stage.recipe.seed + number))
        for name, begin in begins.items():
            kept: list[Any] = []
            forget()

            def train(begun_on: Callable[[Stage], Steps], on: Stage, kept: list[Any]) -> None:
                kept.append(begun_on(on))
                _go(kept[0], kept[0].steps)

            found[name]["seconds"].append(watch.seconds(partial(train, begin, ordered, kept)))
            student = kept[0].student if isinstance(kept[0], PlainLoop) else kept[0].stage.cast["student"]
            tested = score(student, stage.data.test.images, stage.data.test, classes=stage.data.classes)
            found[name]["test_accuracy"].append(tested.accuracy)
            found[name]["steps"] = kept[0].steps
    for name in begins:
        found[name]["times"] = ratios(found[name]["seconds"], found["lab"]["seconds"])
    return found


def memory(stage: Stage) -> dict[str, float]:
    """Name -> MiB of tensors at the most beside pictures and networks: what is kept, and the peak of two steps.

    The libraries' own scratch space, and pictures kept as bytes outside torch, are not in it.
    """
    found = {}
    for name, begin in (("public", lambda: PlainLoop(stage)), ("lab", lambda: begun(stage))):
        forget()
        if stage.device.type == "cuda":
            before = torch.cuda.memory_allocated(stage.device)
            torch.cuda.reset_peak_memory_stats(stage.device)
            _go(begin(), 3)
            found[name] = (torch.cuda.max_memory_allocated(stage.device) - before) / 2**20
            continue
        running, kept, _ = counted(lambda begin=begin: _after_one(begin()))  # type: ignore[misc]
        _, _, peak = counted(lambda running=running: _go(running, 2))  # type: ignore[misc]
        found[name] = (kept + peak) / 2**20
    return found


def _after_one(running: Steps) -> Steps:
    running.step()
    return running


def _go(running: Steps, count: int) -> None:
    for _ in range(count):
        running.step()


def _steps_in(watch: Watch, running: Steps, block: float) -> int:
    """How many steps take about so many seconds."""
    done, spent = 0, 0.0
    while done < 2 or spent < block / 4:
        spent += watch.seconds(running.step)
        done += 1
    return max(1, round(block * done / spent))


def ratios(slow: list[float], fast: list[float]) -> dict[str, float]:
    """How many times less the second takes, pair by pair."""
    found = [one / other for one, other in zip(slow, fast, strict=True)]
    return {"median": statistics.median(found), "low": min(found), "high": max(found)}


def _row_json(row: Row, public: Row, macs: dict[str, int], gflops: float) -> dict[str, Any]:
    typical = statistics.median(row.microseconds)
    work = 2.0 * (3 * macs["student"] + (macs["teacher"] if row.looks else 0))
    return {
        "name": row.name,
        "batch": row.batch,
        "microseconds": row.microseconds,
        "pictures_per_second": 1e6 / typical,
        "times": ratios(public.microseconds, row.microseconds),
        "share_of_peak": work / typical / 1e3 / gflops,
    }
