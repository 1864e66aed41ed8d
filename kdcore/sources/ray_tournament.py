"""A tournament on a Ray cluster: its trainings spread over the workers, each with a teacher of its own for a seed."""

from __future__ import annotations

import importlib
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kdcore.recipe import Recipe
from kdcore.sources.cluster import REACHED, ClusterError, Worker, WorkerLost, count, first
from kdcore.sources.trainer import hide_gpus
from kdcore.standings import Row, Standings

if TYPE_CHECKING:
    from kdcore.tournament import Ground

TRIES = 3
"""Workers that one training may lose before the tournament ends early."""


class Ring:
    """On the worker: trains one contender after another, on the teacher and the student alone of their seed."""

    def __init__(self, base: str, *, gpu: bool) -> None:
        """`base` is the pair's recipe as text. A tournament is held on cores, never on a GPU."""
        hide_gpus()
        self._base = base
        self._ground: Ground | None = None

    def warm(self) -> None:
        """Import what training needs."""
        importlib.import_module("kdcore.tournament")

    def measure(self, row: str, seed: int, limit: float) -> str:
        """{"row": the same with this seed, "teacher": its accuracy, "processor": which it was} as JSON."""
        import torch

        from kdcore.tournament import Ground, processor

        torch.set_num_threads(1)
        if self._ground is None or self._ground.seed != seed:
            self._ground = Ground(Recipe.from_text(self._base), seed)
        found = Row(**json.loads(row))
        self._ground.measure(found, limit)
        return json.dumps({"row": asdict(found), "teacher": self._ground.teacher, "processor": processor()})


class Crew:
    """The workers of a tournament. A training whose worker is lost goes to another one."""

    def __init__(self, base: Recipe, most: int) -> None:
        self.processors: set[str] = set()
        """Those on which something was measured."""
        self._base, self._most = base, most
        self._free: list[Worker] = []
        self._busy: dict[Any, tuple[Worker, Row | None]] = {}
        """What they will answer -> the worker, and the row that it measures; None while it warms up."""
        self._lost: Counter[str] = Counter()

    def measured(self, rows: list[Row], seed: int, limit: float) -> Iterator[tuple[Row, dict[str, Any]]]:
        """(row, what the worker told), as they come. Raises ClusterError, and RuntimeError for what broke there."""
        line = deque(rows)
        while line or self._measuring():
            while len(self._busy) + len(self._free) < min(self._most, len(line) + self._measuring()):
                worker = Worker(Ring, self._base.to_text(), gpu=False)
                self._busy[worker.tell("warm")] = worker, None
            while line and self._free:
                worker, row = self._free.pop(), line.popleft()
                self._busy[worker.tell("measure", json.dumps(asdict(row)), seed, limit)] = worker, row
            told = first(list(self._busy), 1.0)
            if told is None:
                continue
            worker, done = self._busy.pop(told)
            try:
                answer = worker.answer(told, REACHED)
            except WorkerLost as error:
                worker.end()
                name = "the teacher" if done is None else done.key
                self._lost[name] += 1
                if self._lost[name] == TRIES:
                    raise ClusterError(f"{TRIES} Ray workers were lost at {name}; the last: {error}.") from error
                if done is not None:
                    line.appendleft(done)
                continue
            except BaseException:
                worker.end()
                raise
            self._free.append(worker)
            if done is not None:
                found = json.loads(answer)
                self.processors.add(str(found["processor"]))
                yield done, found

    def end(self) -> None:
        """Let all workers go."""
        for worker in [*self._free, *(worker for worker, _ in self._busy.values())]:
            worker.end()

    def _measuring(self) -> int:
        return sum(row is not None for _, row in self._busy.values())


def hold(standings: Standings, *, said: Callable[[Standings], None]) -> None:
    """Train what is missing as `tournament.hold` does, on as many workers as the cluster has cores.

    Raises ClusterError, and RuntimeError for what broke on a worker.
    """
    cores = count()["cpu"]
    crew = Crew(standings.base, cores)
    try:
        for seed in range(standings.seeds):
            missing = [row for row in standings.rows if len(row.accuracy) <= seed and not row.refusal]
            if missing:
                standings.now = f"seed {seed}: on up to {min(cores, len(missing))} Ray workers"
                said(standings)
            for row, told in crew.measured(missing, seed, standings.limit):
                vars(row).update(told["row"])
                if len(standings.teacher) <= seed:
                    standings.teacher.append(told["teacher"])
                standings.made["processor"] = " and ".join(sorted(crew.processors))
                said(standings)
    finally:
        crew.end()
    standings.now, standings.finished = "", True
    standings.made["ended"] = time.time()
    said(standings)
