"""Sweeps: settings of a recipe searched for what is best on validation pictures. What is asked for and what came of it.

No torch, no Optuna: whoever only looks at a sweep needs neither.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from kdcore.cards import Catalog
from kdcore.check import faults
from kdcore.files import read_up_to, write_whole
from kdcore.grid import GridError, parsed, settings_of, usual, value_of
from kdcore.recipe import Recipe, RecipeError
from kdcore.registry import UnknownKey
from kdcore.spec import Knob, KnobError

VERSION = 1
LONGEST = 20_000_000
"""Bytes that a file of a sweep may have."""
MOST_RUNS = 500
MOST_SETTINGS = 6
"""Settings that one sweep varies."""
DIGITS = 4
"""Significant digits of a number that is tried."""
SAMPLERS = ("tpe", "random")
PRUNERS = ("median", "none")
MISSING = "Sweeps need Optuna, which is not installed here: pip install optuna (into the environment of KD Lab)."
KEPT_OUT = {
    "seed": "the seed: the best of several seeds is luck, not a setting",
    "data.validation": "the share of validation pictures: tries would be measured on different pictures",
    "data.hidden_class": "which class is never shown: every try would have another task",
    "scheme.baseline": "whether the student alone is trained: it changes nothing about the student",
    "training.snapshot_every": "how often a snapshot is kept: it changes nothing about the student",
    "training.device": "where it runs: it changes nothing about the student",
}
"""Settings that no sweep varies, and why."""

State = Literal["running", "finished", "pruned", "refused", "failed"]
STATES: tuple[State, ...] = ("running", "finished", "pruned", "refused", "failed")


class SweepError(ValueError):
    """A sweep that cannot be; the message says what would be right."""


@dataclass(frozen=True)
class Span:
    """One setting and the range, or the values, in which it is searched."""

    path: str
    """As `Recipe.with_setting` takes it."""
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    """Whether equal factors are equally likely, instead of equal differences."""
    whole: bool = False
    """Whether it is a whole number."""
    choices: tuple[Any, ...] = ()
    """Values instead of a range."""

    @property
    def text(self) -> str:
        """As `span` reads it."""
        if self.choices:
            return f"{self.path}={', '.join(_written(value) for value in self.choices)}"
        return f"{self.path}={_written(self.low)}..{_written(self.high)}{':log' if self.log else ':linear'}"

    def settle(self, value: Any) -> Any:
        """The value as it is tried: numbers with a few digits, inside the range."""
        if self.choices:
            return value
        assert self.low is not None
        assert self.high is not None
        if self.whole:
            return int(min(max(int(value), self.low), self.high))
        return min(max(float(f"{value:.{DIGITS}g}"), float(self.low)), float(self.high))


@dataclass(frozen=True)
class Plan:
    """What is searched, and how. How many tries there are is no part of it: a sweep can go on."""

    recipe: Recipe
    spans: tuple[Span, ...]
    sampler: str
    seed: int
    """Of the search; the recipe's own seed stays as it is."""
    pruner: str
    code: str
    """Version of the code that the runs are made with."""

    @property
    def id(self) -> str:
        """Sixteen hexadecimal letters that follow from the content."""
        told = json.dumps(self.to_json(), sort_keys=True, allow_nan=False)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "recipe": self.recipe.to_json(), "spans": [asdict(span) for span in self.spans]}

    def with_values(self, values: dict[str, Any]) -> Recipe:
        """The recipe of a try. Raises RecipeError."""
        recipe = self.recipe
        for path, value in values.items():
            recipe = recipe.with_setting(path, value)
        return recipe


@dataclass
class Try:
    """One recipe of a sweep, and what became of it."""

    number: int
    """From 0; -1 is the recipe as it stands."""
    values: dict[str, Any]
    """Path -> value."""
    state: State = "running"
    run: str = ""
    """Id of its run; "" for a recipe that was refused."""
    accuracy: float | None = None
    """Validation accuracy of the student in [0, 1]: at the end, or the last one of a run that was stopped."""
    curve: list[tuple[int, float]] = field(default_factory=list)
    """(epochs of the student, validation accuracy) as far as they decide about pruning."""
    why: str = ""
    """Why it was refused, failed or pruned."""


@dataclass
class Sweep:
    """A sweep, also one that still goes on."""

    plan: Plan
    runs: int
    """Tries that there are to be."""
    start: Try = field(default_factory=lambda: Try(-1, {}))
    """The recipe as it stands."""
    tries: list[Try] = field(default_factory=list)
    importance: dict[str, float] = field(default_factory=dict)
    """Path -> its share in what decides the accuracy, as Optuna estimates it; they add up to 1."""
    now: str = ""
    """What it is doing, or the trouble that ended it."""
    finished: bool = False
    began: float = 0.0
    """Seconds since the epoch."""

    @property
    def best(self) -> Try | None:
        """The finished try with the highest validation accuracy, the first of equal ones."""
        done = [one for one in self.tries if one.state == "finished" and one.accuracy is not None]
        return max(done, key=lambda one: (one.accuracy or 0.0, -one.number), default=None)

    def count(self, *states: State) -> int:
        """How many tries are in one of these states."""
        return sum(one.state in states for one in self.tries)

    @property
    def ended(self) -> int:
        """Tries that are over, in whichever way."""
        return len(self.tries) - self.count("running")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, which `from_json` reads back to an equal sweep."""
        return {"version": VERSION, **asdict(self), "plan": self.plan.to_json()}

    @staticmethod
    def from_json(found: Any) -> Sweep:
        """What JSON says, which may come from anywhere. Raises SweepError."""
        try:
            if found["version"] != VERSION:
                raise SweepError(f"version {found['version']!r} of a sweep; this KD Lab reads version {VERSION}")
            told = {key: value for key, value in found.items() if key != "version"}
            plan = dict(told.pop("plan"))
            spans = tuple(Span(**{**one, "choices": tuple(one["choices"])}) for one in plan.pop("spans"))
            recipe = Recipe.from_json(plan.pop("recipe"))
            sweep = Sweep(Plan(recipe=recipe, spans=spans, **plan), **told)
            sweep.start = _try(told["start"])
            sweep.tries = [_try(one) for one in told["tries"]]
            _sound(sweep)
        except SweepError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SweepError(f"this is no sweep: {error}") from error
        return sweep

    @staticmethod
    def read(path: Path) -> Sweep:
        """The sweep in a file. Raises SweepError, FileNotFoundError."""
        try:
            return Sweep.from_json(json.loads(read_up_to(path, LONGEST)))
        except SweepError as error:
            raise SweepError(f"{path.name} is damaged: {error}") from error
        except FileNotFoundError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            raise SweepError(f"{path.name} is damaged: it holds no sweep") from error

    def write(self, path: Path) -> None:
        """Keep it; a reader sees the old one or the new, never a part. Raises OSError."""
        write_whole(path, json.dumps(self.to_json(), separators=(",", ":"), allow_nan=False).encode())


def _try(found: Any) -> Try:
    one = Try(**found)
    one.curve = [(int(epoch), float(value)) for epoch, value in one.curve]
    numbers = [value for _, value in one.curve] + ([] if one.accuracy is None else [one.accuracy])
    if not all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers):
        raise SweepError("an accuracy is no number")
    fits = one.state in STATES and isinstance(one.values, dict) and isinstance(one.run, str)
    fits = fits and all(isinstance(value, (bool, int, float, str)) for value in one.values.values())
    if not fits or not isinstance(one.why, str) or not isinstance(one.number, int):
        raise SweepError(f"try {str(one.number)[:10]} makes no sense")
    return one


def _sound(sweep: Sweep) -> None:
    """Raises SweepError for what has the right parts and makes no sense."""
    plan, paths = sweep.plan, {span.path for span in sweep.plan.spans}
    if not paths or plan.sampler not in SAMPLERS or plan.pruner not in PRUNERS:
        raise SweepError("its plan makes no sense")
    if not isinstance(plan.seed, int) or not isinstance(plan.code, str):
        raise SweepError("its plan makes no sense")
    for span in plan.spans:
        if not _can_be(span, plan.recipe):
            raise SweepError(f"the range of {str(span.path)[:60]!r} makes no sense")
    if not isinstance(sweep.runs, int) or not isinstance(sweep.now, str) or not math.isfinite(sweep.began):
        raise SweepError("it makes no sense")
    checked_runs(sweep.runs)
    if any(not set(one.values) <= paths for one in sweep.tries):
        raise SweepError("a try has other settings than its plan")
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in sweep.importance.values()):
        raise SweepError("an importance is no number")


def _can_be(span: Span, recipe: Recipe) -> bool:
    """Whether the recipe has such a place, and the range an inside."""
    part, *rest = span.path.split(".")
    if part == "methods":
        there = len(rest) == 2 and rest[0].isdecimal() and int(rest[0]) < len(recipe.methods)
    else:
        there = len(rest) == 1 and part in ("data", "teacher", "student", "scheme", "training")
    if span.choices:
        return there and all(isinstance(value, (bool, int, float, str)) for value in span.choices)
    if not isinstance(span.low, (int, float)) or not isinstance(span.high, (int, float)):
        return False
    inside = math.isfinite(span.low) and math.isfinite(span.high) and span.low < span.high
    return there and inside and not (span.log and span.low <= 0)


def installed() -> bool:
    """Whether Optuna is at hand; it is not imported."""
    importlib.invalidate_caches()
    try:
        return importlib.util.find_spec("optuna") is not None
    except ValueError:  # taken out of reach
        return False


def searchable(recipe: Recipe, catalog: Catalog) -> dict[str, Knob]:
    """Every setting of the recipe that a sweep can vary, by its path. Raises UnknownKey."""
    known = settings_of(recipe, catalog)
    return {path: knob for path, knob in known.items() if path not in KEPT_OUT and (knob.kind != "str" or knob.choices)}


def usual_span(recipe: Recipe, path: str, knob: Knob) -> Span:
    """A range worth searching around the present value: from half of it to four times it, or all there is."""
    if knob.kind == "bool" or knob.choices:
        return Span(path, choices=usual(knob, knob.default))
    tried = usual(knob, value_of(recipe, path, knob))
    low, high = min(tried), max(tried)
    if low == 0 and knob.high is not None:
        high = type(low)(knob.high)
    if low == high:
        low, high = (low, low + 1) if knob.high is None or low + 1 <= knob.high else (low - 1, low)
    return Span(path, low, high, log=low > 0 and high / low >= 4, whole=knob.kind == "int")


def span(text: str, recipe: Recipe, catalog: Catalog) -> Span:
    """The setting and range that "student.width=8..64", "training.rate=1e-4..1e-1:log" or
    "training.optimizer=adamw, sgd" say. Raises SweepError.

    Without ":log" or ":linear" a range of positive numbers whose end is twenty times its beginning or more is searched
    by factors.
    """
    path, equals, said = (part.strip() for part in text.partition("="))
    if not equals or not path:
        raise SweepError(f"{text[:60]!r}: PATH=low..high is right, for instance student.width=8..64")
    if path in KEPT_OUT:
        raise SweepError(f"a sweep does not vary {KEPT_OUT[path]}")
    knob = searchable(recipe, catalog).get(path)
    if knob is None:
        raise SweepError(f"{path[:60]!r} is no setting of this recipe that can be searched")
    if ".." not in said:
        try:
            values = parsed(said, knob)
        except GridError as error:
            raise SweepError(f"{path}: {error}") from error
        if len(values) < 2:
            raise SweepError(f"{path}: one value leaves nothing to search; low..high, or several with commas, is right")
        return Span(path, choices=values)
    if knob.kind in ("bool", "str"):
        raise SweepError(f"{path}: it has no range; values with commas between them are right")
    ends, _, how = said.partition(":")
    first, _, last = ends.partition("..")
    low, high = _end(path, knob, first), _end(path, knob, last)
    if how.strip() not in ("", "log", "linear"):
        raise SweepError(f"{path}: {how.strip()[:20]!r} is no way to search a range; log or linear is right")
    if low > high:
        raise SweepError(f"{path}: the range goes from {low:g} down to {high:g}; {high:g}..{low:g} is right")
    if low == high:
        raise SweepError(f"{path}: from {low:g} to {high:g} there is nothing to search")
    if how.strip() == "log" and low <= 0:
        raise SweepError(f"{path}: a range searched by factors begins above 0, not at {low:g}")
    log = how.strip() == "log" or (not how.strip() and low > 0 and high / low >= 20)
    return Span(path, low, high, log=log, whole=knob.kind == "int")


def _end(path: str, knob: Knob, word: str) -> Any:
    try:
        return knob.check(int(word) if knob.kind == "int" else float(word))
    except KnobError as error:
        raise SweepError(f"{path}: {error}") from error
    except ValueError as error:
        kind = "a whole number" if knob.kind == "int" else "a number"
        raise SweepError(f"{path}: {word.strip()[:20]!r} is not {kind}; low..high is right") from error


def plan(recipe: Recipe, spans: Sequence[str], catalog: Catalog, *, sampler: str, seed: int, pruner: str) -> Plan:
    """The plan that these words mean. Raises SweepError for whatever is wrong with it, also with the recipe."""
    try:
        wrong = faults(recipe, catalog)
        if wrong:
            raise SweepError(f"the recipe cannot be run: {wrong[0].where}: {wrong[0].text}")
        read = tuple(span(text, recipe, catalog) for text in spans)
    except (RecipeError, UnknownKey) as error:
        raise SweepError(str(error)) from error
    if not read:
        raise SweepError("nothing is varied; choose a setting, for instance methods.0.weight=0.1..10")
    if len(read) > MOST_SETTINGS:
        raise SweepError(f"{len(read)} settings are varied; {MOST_SETTINGS} at most")
    paths = [one.path for one in read]
    twice = next((path for path in paths if paths.count(path) > 1), "")
    if twice:
        raise SweepError(f"{twice} is varied twice; once is right")
    if sampler not in SAMPLERS or pruner not in PRUNERS:
        raise SweepError(f"sampler {sampler!r}, pruner {pruner!r}: {' or '.join(SAMPLERS)}, {' or '.join(PRUNERS)}")
    if not 0 <= seed < 2**31:
        raise SweepError(f"seed={seed} of the search: 0 to {2**31 - 1} is right")
    return Plan(recipe, read, sampler, seed, pruner, catalog.version)


def checked_runs(runs: int) -> int:
    """The number of tries. Raises SweepError."""
    if not 1 <= runs <= MOST_RUNS:
        raise SweepError(f"{runs} tries; 1 to {MOST_RUNS} is right")
    return runs


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
