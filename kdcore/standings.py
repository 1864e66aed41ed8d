"""What a tournament has come to: who took part on which pair, how well, in what time and memory. No torch."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scipy.special import stdtrit

from kdcore.files import read_up_to, write_whole
from kdcore.recipe import Pick, Recipe, RecipeError

VERSION = 1
LONGEST = 2_000_000
"""Bytes that a file of standings may have."""
ALONE, PLAIN = "alone", "kd"
"""The two that all others are measured against: the student alone, and plain soft targets."""
COSTS = {"seconds": "CPU seconds of one run", "megabytes": "peak extra memory of training, MB"}
"""What an accuracy can be paid with -> the words on the axis."""

PAIRS: dict[str, Recipe] = {
    "digits": Recipe(
        data=Pick("digits", {"labelled": 0.09}),
        teacher=Pick("plain", {"width": 32}),
        student=Pick("plain", {"width": 8}),
        training={"teacher_rate": 0.005},
    ),
    "fashion": Recipe(
        data=Pick("fashion_mnist", {"train_size": 2000, "labelled": 0.06}),
        teacher=Pick("plain", {"width": 16}),
        student=Pick("plain", {"width": 8}),
        training={"epochs": 10, "teacher_epochs": 10, "teacher_rate": 0.005},
    ),
}
"""Small pairs of convolutional networks, with ten labels a class for the student; the teacher knows all labels."""


class StandingsError(ValueError):
    """A file that holds no standings; the message says why."""


@dataclass
class Row:
    """One contender: test accuracies in [0, 1] and CPU seconds of its training, one for each seed."""

    key: str
    accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    bytes: int = 0
    """Most that its training holds at once beside pictures and networks; 0 before it is measured."""
    refusal: str = ""
    """Why it does not take part, or no further."""

    def mean(self) -> tuple[float, float]:
        """Mean accuracy over the seeds, and half its 95 % interval."""
        return mean_and_half(self.accuracy)

    def over(self, other: Row) -> tuple[float, float]:
        """Mean accuracy less another's, seed by seed, and half the 95 % interval of that."""
        return mean_and_half([one - two for one, two in zip(self.accuracy, other.accuracy, strict=False)])

    def cost(self, kind: str) -> float:
        """Mean CPU seconds, or megabytes. `kind` is a key of COSTS."""
        return sum(self.seconds) / len(self.seconds) if kind == "seconds" else self.bytes / 1e6


@dataclass
class Standings:
    """A tournament, also one that still goes on."""

    name: str
    base: Recipe
    """The pair and its budget; seed and methods are the tournament's own."""
    seeds: int
    limit: float
    """CPU seconds that one training may take; contenders beyond stay out."""
    made: dict[str, Any] = field(default_factory=dict)
    """With what: code, torch, python, processor, cores, threads, started and ended (seconds since 1970)."""
    teacher: list[float] = field(default_factory=list)
    """The teacher's test accuracy, one for each seed."""
    rows: list[Row] = field(default_factory=list)
    """The student alone, plain KD, then the others."""
    now: str = ""
    """What it is doing, or the trouble that ended it."""
    finished: bool = False

    def row(self, key: str) -> Row | None:
        """The contender of that key, or None."""
        return next((row for row in self.rows if row.key == key), None)

    def fine(self) -> list[Row]:
        """Those that have a result, best first."""
        return sorted((row for row in self.rows if row.accuracy), key=lambda row: -row.mean()[0])

    def frontier(self, cost: str) -> list[Row]:
        """Those that no other beats for the same cost or less, cheapest first. `cost` is a key of COSTS."""
        found: list[Row] = []
        for row in sorted(self.fine(), key=lambda row: (row.cost(cost), -row.mean()[0])):
            if not found or row.mean()[0] > found[-1].mean()[0]:
                found.append(row)
        return found

    def verdict(self, row: Row) -> str:
        """Against plain KD: better or worse where the interval of the difference leaves zero, else level.

        Two seeds give no verdict: accuracies are counts of pictures, and two equal differences are no certainty.
        """
        plain = self.row(PLAIN)
        if plain is None or row is plain or min(len(plain.accuracy), len(row.accuracy)) < 3:
            return "level"
        mean, half = row.over(plain)
        return "better" if mean > half else "worse" if -mean > half else "level"

    def steps(self) -> tuple[int, int]:
        """How many trainings are done (or need not be), and how many there are."""
        done = sum(self.seeds if row.refusal else len(row.accuracy) for row in self.rows)
        return done, self.seeds * len(self.rows)

    def same_as(self, other: Standings) -> bool:
        """Whether both are the same tournament with the same code, so that one can go on where the other stopped."""
        return all(
            getattr(self, name) == getattr(other, name) for name in ("name", "base", "seeds", "limit")
        ) and self.made.get("code") == other.made.get("code")  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, which `from_json` reads back to equal standings."""
        return {"version": VERSION, **asdict(self), "base": self.base.to_json()}

    @staticmethod
    def from_json(found: Any) -> Standings:
        """What JSON says. Raises StandingsError."""
        try:
            if found["version"] != VERSION:
                raise StandingsError(f"version {found['version']!r} of standings; this KD Lab reads version {VERSION}")
            told = {key: value for key, value in found.items() if key != "version"}
            told["base"] = Recipe.from_json(told["base"])
            told["rows"] = [Row(**row) for row in told["rows"]]
            standings = Standings(**told)
            numbers = [*standings.teacher, *(n for row in standings.rows for n in [*row.accuracy, *row.seconds])]
            if not all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers):
                raise StandingsError("standings hold something that is no number")
            if any(len(row.accuracy) != len(row.seconds) for row in standings.rows):
                raise StandingsError("standings have not as many times as accuracies")
        except (KeyError, TypeError, AttributeError, RecipeError) as error:
            raise StandingsError(f"these are no standings of a tournament: {error}") from error
        return standings

    @staticmethod
    def read(path: Path) -> Standings:
        """The standings in a file. Raises OSError, StandingsError."""
        try:
            return Standings.from_json(json.loads(read_up_to(path, LONGEST)))
        except StandingsError:
            raise
        except ValueError as error:
            raise StandingsError(f"{path.name} holds no standings of a tournament") from error

    def write(self, path: Path) -> None:
        """Keep them; a reader sees the old ones or the new, never a part. Raises OSError."""
        write_whole(path, json.dumps(self.to_json(), indent=1).encode())


def mean_and_half(values: list[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval (Student's t); infinite for one value.

    >>> mean, half = mean_and_half([1.0, 3.0])
    >>> mean, round(half, 4)
    (2.0, 12.7062)
    """
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, math.inf
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return mean, spread * half_width(len(values))


def half_width(count: int) -> float:
    """Half the 95 % interval of a mean of so many values, 2 or more, in standard deviations of one (Student's t)."""
    return float(stdtrit(count - 1, 0.975)) / math.sqrt(count)
