"""What the capacity-gap experiment has come to: teacher size by student size by temperature by arm. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kdcore.files import read_up_to, write_whole
from kdcore.recipe import Recipe, RecipeError
from kdcore.standings import mean_and_half

VERSION = 1
LONGEST = 2_000_000
"""Bytes that such a file may have."""
SHIPPED = Path(__file__).absolute().parent.parent / "assets" / "measured" / "capacity_gap.json"
"""What was measured for the lab."""
ARMS = {
    "teacher": "teacher", "baseline": "student alone", "direct": "distilled", "assistant 1": "assistant",
    "student": "by an assistant",
}  # fmt: skip
"""Role in a run of the scheme of assistants -> the name of the arm that it stands for."""
ALONE, DISTILLED, ASSISTED = "student alone", "distilled", "by an assistant"
ENOUGH = 3
"""Seeds from which on an interval is taken for a verdict."""
MOST_SEEDS = 20
MOST_RUNS = 2000
"""Of a whole grid."""
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


class CapacityError(ValueError):
    """A file that holds no such measurement, or a grid that cannot be measured; the message says why."""


@dataclass
class Cell:
    """One teacher, one student, one temperature; every list has one entry for each seed."""

    teacher: int
    """Neurons in each of its hidden layers."""
    student: int
    temperature: float
    parameters: dict[str, int] = field(default_factory=dict)
    """Arm -> parameters of its network."""
    test: dict[str, list[float]] = field(default_factory=dict)
    """Arm -> test accuracies of the last epoch, in [0, 1]."""
    sure: dict[str, list[float]] = field(default_factory=dict)
    """Who teaches -> mean of the largest probability (T = 1) on the pictures that the student learns from."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Arm -> CPU seconds of its training."""

    def done(self) -> int:
        """Seeds that have been measured."""
        return len(self.test.get(DISTILLED, ()))

    def mean(self, arm: str) -> tuple[float, float]:
        """Mean test accuracy over the seeds, and half its 95 % interval."""
        return mean_and_half(self.test[arm])

    def over(self, arm: str, other: str) -> tuple[float, float]:
        """Mean of one arm's accuracy less another's, seed by seed, and half the 95 % interval of that."""
        return mean_and_half([one - two for one, two in zip(self.test[arm], self.test[other], strict=True)])

    def clear(self, arm: str, other: str) -> int:
        """1 where the arm is clearly better (the paired interval leaves zero), -1 where worse, else 0."""
        if self.done() < ENOUGH:
            return 0
        mean, half = self.over(arm, other)
        return 0 if abs(mean) <= half else 1 if mean > 0 else -1

    def sureness(self, who: str = "teacher") -> float:
        """How sure of itself a teacher is on the training pictures: mean over the seeds."""
        return sum(self.sure[who]) / len(self.sure[who])


@dataclass
class Capacity:
    """The whole grid, also one that still goes on."""

    base: Recipe
    """Data, method and budget; widths, temperature and seed are the grid's own."""
    teachers: list[int]
    students: list[int]
    temperatures: list[float]
    seeds: int
    made: dict[str, Any] = field(default_factory=dict)
    """With what: code, torch, python, processor, cores, threads, system, started and ended (seconds since 1970)."""
    cells: list[Cell] = field(default_factory=list)
    seconds: float = 0.0
    """CPU seconds of everything so far."""
    now: str = ""
    """What it is doing, or the trouble that ended it."""
    finished: bool = False

    def run_of(self, cell: Cell, seed: int) -> Recipe:
        """One run of that cell, with all arms: the direct way and the student alone stand beside the assistant."""
        sized = self.base.with_setting("teacher.width", cell.teacher).with_setting("student.width", cell.student)
        return sized.with_setting("methods.0.temperature", cell.temperature).replace(seed=seed)

    def panel(self, student: int, temperature: float) -> list[Cell]:
        """The measured cells of one student at one temperature, smallest teacher first."""
        found = [cell for cell in self.cells if (cell.student, cell.temperature) == (student, temperature)]
        return sorted((cell for cell in found if cell.done()), key=lambda cell: cell.teacher)

    def steps(self) -> tuple[int, int]:
        """How many runs are done, and how many there are."""
        return sum(min(cell.done(), self.seeds) for cell in self.cells), self.seeds * len(self.cells)

    def any(self) -> bool:
        """Whether anything has been measured."""
        return any(cell.done() for cell in self.cells)

    def same_as(self, other: Capacity) -> bool:
        """Whether both are the same grid with the same code: one can go on where the other stopped, with more seeds."""
        return all(
            getattr(self, name) == getattr(other, name) for name in ("base", "teachers", "students", "temperatures")
        ) and self.made.get("code") == other.made.get("code")  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, which `from_json` reads back to an equal measurement."""
        return {"version": VERSION, **asdict(self), "base": self.base.to_json()}

    @staticmethod
    def from_json(found: Any) -> Capacity:
        """What JSON says. Raises CapacityError."""
        try:
            if found["version"] != VERSION:
                raise CapacityError(f"version {found['version']!r} of it; this KD Lab reads version {VERSION}")
            told = {key: value for key, value in found.items() if key != "version"}
            told["base"] = Recipe.from_json(told["base"])
            told["cells"] = [Cell(**cell) for cell in told["cells"]]
            measured = Capacity(**told)
            for cell in measured.cells:
                _sound(cell)
        except CapacityError:
            raise
        except (KeyError, TypeError, AttributeError, RecipeError) as error:
            raise CapacityError(f"this is no measurement of the capacity gap: {error}") from error
        return measured

    @staticmethod
    def read(path: Path) -> Capacity:
        """The measurement in a file. Raises OSError, CapacityError."""
        try:
            return Capacity.from_json(json.loads(read_up_to(path, LONGEST)))
        except CapacityError:
            raise
        except ValueError as error:
            raise CapacityError(f"{path.name} holds no measurement of the capacity gap") from error

    def write(self, path: Path) -> None:
        """Keep it; a reader sees the old one or the new, never a part. Raises OSError."""
        write_whole(path, json.dumps(self.to_json(), indent=1).encode() + b"\n")


def planned(
    base: Recipe, teachers: Sequence[int], students: Sequence[int], temperatures: Sequence[float], seeds: int
) -> Capacity:
    """A grid of which nothing is measured yet. Raises CapacityError or RecipeError for one that cannot be."""
    if not (teachers and students and temperatures):
        raise CapacityError("at least one width of a teacher, one of a student and one temperature are right")
    sizes, small, heats = sorted(set(teachers)), sorted(set(students)), sorted(set(temperatures))
    if not 1 <= seeds <= MOST_SEEDS:
        raise CapacityError(f"seeds={seeds}: 1 to {MOST_SEEDS} is right")
    if small[-1] >= sizes[0]:
        raise CapacityError(
            f"a teacher of width {sizes[0]} is not wider than a student of width {small[-1]}: every teacher must be "
            "wider than every student, or there is no place for an assistant"
        )
    if base.scheme.key != "takd" or base.scheme.settings.get("assistants", 1) != 1:
        raise RecipeError("scheme", "the experiment runs with scheme=takd and one assistant")
    if not base.scheme.settings.get("direct", True) or not base.scheme.settings.get("baseline", True):
        raise RecipeError("scheme", "the experiment needs the direct way and the student alone beside the assistant")
    cells = [Cell(size, width, heat) for width in small for heat in heats for size in sizes]
    if len(cells) * seeds > MOST_RUNS:
        raise CapacityError(f"{len(cells) * seeds:,} runs are too many; {MOST_RUNS:,} at most is right")
    return Capacity(base, sizes, small, heats, seeds, cells=cells)


def kept_in(root: Path) -> Path:
    """Where what is measured on this machine stands, beside the runs in `root`."""
    return root / "capacity_gap.json"


def _sound(cell: Cell) -> None:
    """Raise CapacityError where a cell has no numbers, or not as many for each arm."""
    lists = [*cell.test.values(), *cell.sure.values()]
    if not all(isinstance(n, (int, float)) and math.isfinite(n) for values in lists for n in values):
        raise CapacityError("the measurement holds something that is no number")
    if lists and (set(cell.test) != set(ARMS.values()) or len({len(values) for values in lists}) != 1):
        raise CapacityError(f"teacher {cell.teacher}, student {cell.student}: not as many results for every arm")
