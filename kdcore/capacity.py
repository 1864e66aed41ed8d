"""What the capacity-gap experiment has come to: teacher size by student size by temperature by arm. No torch."""

from __future__ import annotations

import json
import math
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
