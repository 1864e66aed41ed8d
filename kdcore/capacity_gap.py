"""The capacity gap, measured: teacher size by student size by temperature, alone, distilled and by an assistant."""

from __future__ import annotations

import argparse
import contextlib
import platform
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from kdcore.capacity import ARMS, Capacity, CapacityError, Cell, kept_in
from kdcore.capacity_table import markdown
from kdcore.commands import changed
from kdcore.engine import refuse, run
from kdcore.events import Failed, Finished, Foundation, PhaseStarted, Snapshot, Started
from kdcore.foundation import Laid
from kdcore.listing import FAILED, FINE, STOPPED, WRONG, say
from kdcore.processes import cores
from kdcore.recipe import Recipe, RecipeError, code_version
from kdcore.runs import default_root
from kdcore.scoring import logits_of
from kdcore.stage import set_stage
from kdcore.tournament import processor
from kdcore.worker import step_aside

TEACHERS, STUDENTS, TEMPERATURES, SEEDS = (20, 48, 144, 432), (8, 16), (1.0, 4.0), 10
BASE = Recipe.from_json(
    {
        "data": {"is": "digits", "train_size": 300},
        "teacher": {"is": "mlp", "depth": 2},
        "student": {"is": "mlp", "depth": 2},
        "methods": [{"is": "kd"}],
        "scheme": {"is": "takd", "assistants": 1},
        "training": {
            "epochs": 60, "teacher_epochs": 40, "teacher_rate": 0.003, "batch": 32, "snapshot_every": 0,
            "device": "cpu",
        },
    }
)  # fmt: skip
"""Few pictures with all their labels: enough to learn from, few enough that a student gains by soft targets.

Chosen after a look at a few seeds of other settings (300 to 1,300 digits, 1,000 of MNIST, 1,200 of Fashion-MNIST,
spirals; one and two hidden layers). At T = 1 an assistant was clearly ahead in some, by up to one point; at a higher
temperature by no more than a third of one.
"""


def fresh(
    base: Recipe, teachers: Sequence[int], students: Sequence[int], temperatures: Sequence[float], seeds: int
) -> Capacity:
    """A grid that is about to be measured. Raises CapacityError or RecipeError for one that cannot be."""
    sizes, small, heats = sorted(set(teachers)), sorted(set(students)), sorted(set(temperatures))
    if not 1 <= seeds <= 20:
        raise CapacityError(f"seeds={seeds}: 1 to 20 is right")
    if small[-1] >= sizes[0]:
        raise CapacityError(
            f"a teacher of width {sizes[0]} is not wider than a student of width {small[-1]}: every teacher must be "
            "wider than every student, or there is no place for an assistant"
        )
    if base.scheme.key != "takd" or base.scheme.settings.get("assistants", 1) != 1:
        raise RecipeError("scheme", "the experiment runs with scheme=takd and one assistant")
    if not base.scheme.settings.get("direct", True) or not base.scheme.settings.get("baseline", True):
        raise RecipeError("scheme", "the experiment needs the direct way and the student alone beside the assistant")
    made = {
        "code": code_version(), "torch": torch.__version__, "python": platform.python_version(),
        "system": platform.system(), "processor": processor(), "cores": cores(), "threads": torch.get_num_threads(),
        "started": time.time(), "ended": None,
    }  # fmt: skip
    cells = [Cell(size, width, heat) for width in small for heat in heats for size in sizes]
    grid = Capacity(base, sizes, small, heats, seeds, made, cells)
    for cell in cells:
        refuse(grid.run_of(cell, 0))
    return grid


def measure(grid: Capacity, *, said: Callable[[Capacity], None]) -> None:
    """Run what is missing, seed after seed; `said` hears of the grid before and after every run.

    Teachers and students alone are trained once for each seed. Raises CapacityError with the reason of a run that
    fails; what was measured before stays in the grid.
    """
    grid.finished = False
    for seed in range(grid.seeds):
        shared = Shared()
        for cell in grid.cells:
            if cell.done() > seed:
                continue
            grid.now = f"seed {seed}: teacher {cell.teacher}, student {cell.student}, T {cell.temperature:g}"
            said(grid)
            began = time.process_time()
            one_run(grid, cell, seed, shared)
            grid.seconds = round(grid.seconds + time.process_time() - began, 2)
    grid.now, grid.finished = "", True
    grid.made["ended"] = time.time()
    said(grid)


class Shared:
    """Phases that runs of one seed have in common, kept in memory: teachers, and students alone."""

    def __init__(self) -> None:
        self._known: dict[str, Laid] = {}

    def find(self, key: str) -> Laid | None:
        """What `engine.run` asks."""
        return self._known.get(key)

    def keep(self, key: str, learner: str, last: Snapshot) -> None:
        """A phase has ended, with this as its last snapshot, which is all that is told of it again."""
        self._known[key] = Laid("before", lambda: iter((last,)), weights_of(last, learner))


def weights_of(snapshot: Snapshot, role: str) -> dict[str, Tensor]:
    """A role's network in a snapshot."""
    prefix = f"role/{role}/"
    return {
        name.removeprefix(prefix): value for name, value in snapshot.tensors.items() if name.startswith(prefix)
    }  # fmt: skip


def one_run(grid: Capacity, cell: Cell, seed: int, shared: Shared) -> None:
    """Run the cell with this seed and write what came out into it. Raises CapacityError."""
    recipe = grid.run_of(cell, seed)
    last: dict[str, Snapshot] = {}
    taken: dict[str, float] = {}
    learner, since = "", 0.0
    for event in run(recipe, laid=shared.find):
        if isinstance(event, Started):
            cell.parameters = {ARMS[role]: int(facts["parameters"]) for role, facts in event.roles.items()}
        elif isinstance(event, PhaseStarted):
            learner, since = event.learners[0], time.process_time()
        elif isinstance(event, Snapshot):
            last.update(dict.fromkeys(event.roles, event))
            if learner:
                taken[learner] = time.process_time() - since
        elif isinstance(event, Foundation) and not event.taken:
            shared.keep(event.key, event.learner, last[event.learner])
        elif isinstance(event, Failed):
            raise CapacityError(
                f"teacher {cell.teacher}, student {cell.student}, T {cell.temperature:g}, seed {seed}: {event.reason}"
            )
        elif isinstance(event, Finished):
            sure = {role: sureness(recipe, role, last[role]) for role in ("teacher", "assistant 1")}
            for role, arm in ARMS.items():  # all lists grow together, so that a stop leaves none behind
                cell.test.setdefault(arm, []).append(event.results[role]["test_accuracy"])
                if role in sure:
                    cell.sure.setdefault(arm, []).append(sure[role])
                if role in ("direct", "assistant 1", "student"):
                    cell.seconds.setdefault(arm, []).append(round(taken[role], 3))


def sureness(recipe: Recipe, role: str, snapshot: Snapshot) -> float:
    """Mean of the largest probability that the role gives on the pictures that the student learns from, at T = 1."""
    stage = set_stage(recipe, torch.device("cpu"))
    stage.cast[role].load_state_dict(weights_of(snapshot, role))
    logits = logits_of(stage.cast[role], stage.eyes(role, stage.data.train))
    return float(logits.softmax(dim=1).amax(dim=1).mean())


def main(arguments: Sequence[str]) -> int:
    """Measure the grid, or go on with it; its table. The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m kdcore.capacity_gap",
        description="Measure the capacity gap: teacher size by student size by temperature. What is measured is kept "
        "after every run; after a stop the same command goes on, also with more seeds.",
    )  # fmt: skip
    parser.add_argument("--teachers", type=int, nargs="+", default=list(TEACHERS), metavar="WIDTH")
    parser.add_argument("--students", type=int, nargs="+", default=list(STUDENTS), metavar="WIDTH")
    parser.add_argument("--temperatures", type=float, nargs="+", default=list(TEMPERATURES), metavar="T")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"runs of each cell, 1 to 20 ({SEEDS})")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", dest="changes",
                        help="change what all runs share, for instance data.train_size=500")  # fmt: skip
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="where it is kept (capacity_gap.json beside the runs)"
    )
    parser.add_argument("--to", type=Path, metavar="FILE.md", help="write the page here, not to standard output")
    chosen = parser.parse_args(arguments)
    path = chosen.json or kept_in(default_root())
    try:
        base = changed(BASE, chosen.changes)
        grid = fresh(base, chosen.teachers, chosen.students, chosen.temperatures, chosen.seeds)
    except (CapacityError, RecipeError) as error:
        return say(str(error), WRONG)
    with contextlib.suppress(OSError, CapacityError):
        before = Capacity.read(path)
        if before.same_as(grid):
            before.seeds = max(before.seeds, grid.seeds)
            grid = before

    def said(now: Capacity) -> None:
        now.write(path)
        done, whole = now.steps()
        say(f"{done}/{whole} {now.now}".rstrip(), FINE)

    step_aside(10)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        measure(grid, said=said)
    except KeyboardInterrupt:
        return say("stopped; the same command goes on", STOPPED)
    except (CapacityError, OSError) as error:
        return say(str(error), FAILED)
    if chosen.to is None:
        print(markdown(grid))
    else:
        chosen.to.write_text(markdown(grid), encoding="utf-8")
    return FINE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
