"""The capacity gap, measured: teacher size by student size by temperature, alone, distilled and by an assistant."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor

from kdcore.capacity import (
    ARMS,
    BASE,
    MOST_SEEDS,
    SEEDS,
    STUDENTS,
    TEACHERS,
    TEMPERATURES,
    Capacity,
    CapacityError,
    Cell,
    planned,
)  # fmt: skip
from kdcore.capacity_board import CapacityBoard
from kdcore.capacity_table import markdown
from kdcore.commands import changed
from kdcore.engine import refuse, run
from kdcore.events import Failed, Finished, Foundation, PhaseStarted, Snapshot, Started
from kdcore.foundation import Laid
from kdcore.listing import FAILED, FINE, STOPPED, WRONG, say
from kdcore.processes import SCRIBE
from kdcore.recipe import Recipe, RecipeError
from kdcore.runs import Shelf, default_root
from kdcore.scoring import logits_of
from kdcore.stage import set_stage
from kdcore.tournament import begun
from kdcore.worker import slots_for, step_aside


def fresh(
    base: Recipe, teachers: Sequence[int], students: Sequence[int], temperatures: Sequence[float], seeds: int
) -> Capacity:
    """A grid that is about to be measured. Raises CapacityError or RecipeError for one that cannot be."""
    grid = planned(base, teachers, students, temperatures, seeds)
    grid.made = begun()
    for cell in grid.cells:
        refuse(grid.run_of(cell, 0))
    return grid


def measure(
    grid: Capacity, *, said: Callable[[Capacity], None],
    turn: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
) -> None:  # fmt: skip
    """Run what is missing, seed after seed; `said` hears of the grid before and after every run.

    Each run is done within a `turn()`, which may wait for a free core. Teachers and students alone are trained once for
    each seed. Raises CapacityError with the reason of a run that
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
            with turn():
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
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"runs of each cell, 1 to {MOST_SEEDS} ({SEEDS})")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", dest="changes",
                        help="change what all runs share, for instance data.train_size=500")  # fmt: skip
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="where it is kept (capacity_gap.json beside the runs)"
    )
    parser.add_argument("--go-on", action="store_true", help="with the grid that stands in that file")
    parser.add_argument("--to", type=Path, metavar="FILE.md", help="write the page here, not to standard output")
    chosen = parser.parse_args(arguments)
    board = CapacityBoard(default_root(), path=chosen.json)
    try:
        if chosen.go_on:
            kept = Capacity.read(board.path)
            meant = fresh(kept.base, kept.teachers, kept.students, kept.temperatures, kept.seeds)
        else:
            base = changed(BASE, chosen.changes)
            meant = fresh(base, chosen.teachers, chosen.students, chosen.temperatures, chosen.seeds)
    except (CapacityError, RecipeError, OSError) as error:
        return say(str(error), WRONG)

    def held(grid: Capacity, keep: Callable[[Capacity], None]) -> None:
        def said(now: Capacity) -> None:
            keep(now)
            done, whole = now.steps()
            say(f"{done}/{whole} {now.now}".rstrip(), FINE)

        measure(grid, said=said, turn=slots_for(grid.base, Shelf(board.root)).turn)

    step_aside(SCRIBE)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        grid = board.hold(meant, held)
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
