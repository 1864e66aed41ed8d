"""Every method on one pair at equal budget, with paired seeds. The teacher is trained once for each seed."""

from __future__ import annotations

import copy
import gc
import math
import os
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.profiler import ProfilerActivity, profile

from kdcore.catalog import METHODS
from kdcore.dataset import DataError
from kdcore.engine import refuse
from kdcore.memory import forget
from kdcore.processes import cores
from kdcore.recipe import Part, Pick, Recipe, RecipeError, code_version
from kdcore.scheme import Phase
from kdcore.scoring import score
from kdcore.stage import Losses, Stage, seeded, set_stage
from kdcore.standings import ALONE, PLAIN, Row, Standings
from kdcore.training import PhaseRun

SHARED = ("teacher", "baseline")
"""Phases that are the same for all contenders of a seed."""
TRIAL = 5
"""Steps after which the time of a whole training is foretold."""

T = TypeVar("T")


class OutOfTheQuestion(ValueError):
    """A contender that cannot take part; the message says why."""


def contenders() -> list[str]:
    """The methods that compare with a teacher, plain KD first: the others are measured against it."""
    return [PLAIN, *(key for key, kind in METHODS.items() if kind.needs_teacher and key != PLAIN)]


def fresh(name: str, base: Recipe, *, seeds: int, limit: float) -> Standings:
    """Standings of a tournament that is about to begin. Raises RecipeError for a pair that cannot be used."""
    if base.scheme.key != "offline" or not base.scheme.settings.get("baseline", True):
        raise RecipeError("scheme", "a tournament is held with scheme=offline and its baseline")
    base = replace(base, training={**base.training, "device": "cpu"})  # its clock counts CPU seconds
    refuse(entry(base, PLAIN, 0))
    return Standings(name, base, seeds, limit, begun(), rows=[Row(key) for key in (ALONE, *contenders())])


def begun() -> dict[str, Any]:
    """With what a measurement is made that begins now: versions, machine, time."""
    return {
        "code": code_version(), "torch": torch.__version__, "python": platform.python_version(),
        "system": platform.system(), "processor": processor(), "cores": cores(), "threads": torch.get_num_threads(),
        "started": time.time(), "ended": None,
    }  # fmt: skip


def entry(base: Recipe, key: str, seed: int) -> Recipe:
    """What a contender trains with: cross-entropy and the method at its own weight."""
    return replace(base, methods=(Part(Pick("ce")), Part(Pick(key))), seed=seed)


def hold(
    standings: Standings, *, said: Callable[[Standings], None], turn: Callable[[], AbstractContextManager[None]]
) -> None:
    """Train what is missing, seed after seed; `said` hears of the standings after every change.

    Each training is done within a `turn()`, which may wait for a free core. Raises DataError where there are no
    pictures.
    """
    for seed in range(standings.seeds):
        missing = [row for row in standings.rows if len(row.accuracy) <= seed and not row.refusal]
        if not missing:
            continue
        standings.now = f"seed {seed}: the teacher and the student alone"
        said(standings)
        with turn():
            ground = Ground(standings.base, seed)
        if len(standings.teacher) <= seed:
            standings.teacher.append(ground.teacher)
        for row in missing:
            standings.now = f"seed {seed}: {row.key}"
            said(standings)
            with turn():
                ground.measure(row, standings.limit)
            said(standings)
    standings.now, standings.finished = "", True
    standings.made["ended"] = time.time()
    said(standings)


class Ground:
    """One seed: its data, trained teacher and trained student alone, on which every contender starts afresh."""

    def __init__(self, base: Recipe, seed: int) -> None:
        self.base, self.seed = base, seed
        self._stage = set_stage(entry(base, PLAIN, seed), torch.device("cpu"))
        self._start = copy.deepcopy(self._stage.cast["student"])
        for phase in self._stage.scheme.phases(self._stage.cast, Losses(self._stage)):
            if phase.name not in SHARED:
                break
            if phase.name == "baseline":
                self._alone_bytes = held_by(copied(self._stage), phase.name)
            before = time.process_time()
            train(PhaseRun(self._stage, phase), math.inf)
            self._alone_seconds = time.process_time() - before
        self.teacher = accuracy(self._stage, "teacher")
        self.alone = accuracy(self._stage, "baseline")

    def measure(self, row: Row, limit: float) -> None:
        """Train the contender on this seed and write down what came out, also that it cannot take part."""
        if row.key == ALONE:
            row.accuracy.append(self.alone)
            row.seconds.append(self._alone_seconds)
            row.bytes = self._alone_bytes
            return
        recipe = entry(self.base, row.key, self.seed)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seeded(recipe, "tournament"))
                if not row.bytes:
                    row.bytes = held_by(self._contest(recipe), "student")
                stage, seconds = self._contest(recipe), 0.0
                for phase in stage.scheme.phases(stage.cast, Losses(stage)):
                    if phase.name not in SHARED:
                        began = time.process_time()
                        train(PhaseRun(stage, phase), limit - seconds)
                        seconds += time.process_time() - began
        except DataError:
            raise
        except ValueError as error:  # RecipeError, layers that do not fit, losses that are no numbers, too slow
            row.refusal = getattr(error, "text", str(error))[:300]
            return
        row.accuracy.append(accuracy(stage, "student"))
        row.seconds.append(seconds)

    def _contest(self, recipe: Recipe) -> Stage:
        """The same teacher, and the student as it starts."""
        return replace(self._stage, recipe=recipe, cast={**self._stage.cast, "student": copy.deepcopy(self._start)})


def copied(stage: Stage) -> Stage:
    """The same stage with networks of its own."""
    return replace(stage, cast={role: copy.deepcopy(network) for role, network in stage.cast.items()})


def train(running: PhaseRun, limit: float) -> None:
    """All steps of a phase. Raises OutOfTheQuestion where it would take more CPU seconds, or ends in no number."""
    began = time.process_time()
    for step in range(1, running.steps + 1):
        taken = running.step()
        if step == TRIAL:
            foretold = (time.process_time() - began) / TRIAL * running.steps
            if foretold > limit:
                raise OutOfTheQuestion(f"it would take about {foretold:.0f} s of {limit:.0f} s that are allowed")
        if step % running.epoch_steps == 0:
            for learner, one in taken.items():
                if not math.isfinite(float(one.loss)):
                    raise OutOfTheQuestion(f"the loss of the {learner} became {float(one.loss)} at step {step}")


def accuracy(stage: Stage, role: str) -> float:
    """On all test pictures, in [0, 1]."""
    split = stage.data.test
    return score(stage.cast[role], stage.eyes(role, split), split, classes=stage.data.classes).accuracy


def held_by(stage: Stage, name: str) -> int:
    """Bytes of tensors that training the phase of that name holds at most, beside pictures and networks.

    What is kept all along (teacher outputs, memory banks, learned parts, the optimiser's state) and the peak within
    the second and third step, counted from what torch's allocator gives out and takes back: the same on every run. The
    libraries' own scratch space is not in it. Trains the stage by three steps.
    """

    def begin() -> PhaseRun:
        running = PhaseRun(stage, _phase(stage, name))
        running.step()
        return running

    forget()  # what is kept of the teacher counts, even if an earlier run has kept the same
    running, kept, _ = counted(begin)
    _, _, peak = counted(lambda: [running.step() for _ in range(2)] and None)
    return kept + peak


def _phase(stage: Stage, name: str) -> Phase:
    """The phase of that name, without training those before it."""
    return next(phase for phase in stage.scheme.phases(stage.cast, Losses(stage)) if phase.name == name)


def counted(do: Callable[[], T]) -> tuple[T, int, int]:
    """What `do` gives back, the bytes that it leaves allocated on the CPU, and the most it had at once."""
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=False) as watched:
        result = do()
        gc.collect()
    now = most = 0
    assert watched.profiler is not None
    assert watched.profiler.kineto_results is not None
    for event in watched.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return result, now, most


def processor() -> str:
    """The processor's name where the system says it, else its kind."""
    told = Path("/proc/cpuinfo")
    if told.is_file():
        for line in told.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()[:80]
    return platform.processor() or platform.machine() or os.name
