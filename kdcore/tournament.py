"""Every method on one pair at equal budget, with paired seeds: what each is worth, and which do not beat plain KD."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from scipy.stats import t as student_t

from kdcore.catalog import METHODS
from kdcore.engine import run
from kdcore.events import Event, Failed, Finished, PhaseStarted
from kdcore.recipe import Part, Pick, Recipe, code_version

BASE = Recipe(
    data=Pick("digits", {"labelled": 0.09}),
    teacher=Pick("plain", {"width": 32}),
    student=Pick("plain", {"width": 8}),
    training={"teacher_rate": 0.005},
)
"""A small pair of convolutional networks and ten labels a class for the student."""


PAIR = ("data", "teacher", "student", "scheme", "training")
"""The parts of a recipe that all contenders share."""


@dataclass
class Row:
    """One method's results: fractions in [0, 1], one for each seed; CPU seconds of the student's phase."""

    key: str
    student: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    refusal: str = ""

    def gain(self) -> tuple[float, float]:
        """Mean of student minus student alone over the seeds, and half its 95 % interval (Student's t)."""
        return mean_and_half([one - other for one, other in zip(self.student, self.alone, strict=True)])

    def over(self, other: Row) -> tuple[float, float]:
        """The same against another method's student, seed by seed."""
        return mean_and_half([one - two for one, two in zip(self.student, other.student, strict=False)])


def mean_and_half(values: list[float]) -> tuple[float, float]:
    """Mean of paired differences and half the width of its 95 % interval; infinite for one value.

    >>> mean_and_half([1.0, 3.0])
    (2.0, 12.706204736174694)
    """
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, math.inf
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return mean, float(student_t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))


def contenders() -> list[str]:
    """The methods that compare with a teacher, plain KD first: the others are measured against it."""
    return ["kd", *(key for key, kind in METHODS.items() if kind.needs_teacher and key != "kd")]


def tournament(base: Recipe, seeds: int, *, said: Callable[[str], None]) -> Iterator[Row]:
    """One row for each method: cross-entropy and the method at its own weight, every seed. `said` hears of progress."""
    for number, key in enumerate(contenders(), start=1):
        row = Row(key)
        for seed in range(seeds):
            said(f"{number}/{len(contenders())} {key}, seed {seed}")
            recipe = base.replace(methods=(Part(Pick("ce")), Part(Pick(key))), seed=seed)
            finished, seconds = _through(run(recipe))
            if isinstance(finished, Failed):
                row.refusal = finished.reason
                break
            row.student.append(finished.results["student"]["test_accuracy"])
            row.alone.append(finished.results["baseline"]["test_accuracy"])
            row.seconds.append(seconds)
        yield row


def _through(events: Iterator[Event]) -> tuple[Finished | Failed, float]:
    """The last event, and the CPU seconds of the student's phase with its scoring."""
    began = ended = 0.0
    for event in events:
        if isinstance(event, PhaseStarted) and event.name == "student":
            began = time.process_time()
        if isinstance(event, (Finished, Failed)):
            ended = time.process_time()
            return event, ended - began
    raise ValueError("the run ended without a result")


def markdown(base: Recipe, rows: list[Row], seeds: int) -> str:
    """The table, best first, with what it was measured on."""
    plain = next(row for row in rows if row.key == "kd")
    fine = sorted((row for row in rows if not row.refusal), key=lambda row: -row.gain()[0])
    alone = mean_and_half(plain.alone)[0]
    lines = [
        f"Cross-entropy and one method at its own weight; {seeds} paired seeds (0 to {seeds - 1}); test accuracy of "
        f"the last epoch; 95 % intervals over seeds. Student alone: {100 * alone:.1f} %.",
        "",
        "| method | student, % | over alone, points | over KD, points | CPU s |",
        "|---|---|---|---|---|",
    ]
    for row in fine:
        gain, half = row.gain()
        over, over_half = row.over(plain)
        lines.append(
            f"| `{row.key}` | {100 * sum(row.student) / len(row.student):.1f} | {_points(gain, half)} | "
            f"{'–' if row is plain else _points(over, over_half)} | {sum(row.seconds) / len(row.seconds):.1f} |"
        )
    beats = [row.key for row in fine if row is not plain and row.over(plain)[0] > row.over(plain)[1]]
    loses = [row.key for row in fine if row is not plain and -row.over(plain)[0] > row.over(plain)[1]]
    lines += [
        "",
        f"Clearly better than plain KD here: {', '.join(f'`{key}`' for key in beats) or 'none'}. "
        f"Clearly worse: {', '.join(f'`{key}`' for key in loses) or 'none'}. Each interval stands alone: of "
        f"{len(fine) - 1} comparisons about {max(1, round((len(fine) - 1) / 20))} would look clear by chance.",
    ]
    lines += [f"\n`{row.key}` does not go with this pair: {row.refusal}." for row in rows if row.refusal]
    lines += [
        "",
        f"Pair: `{json.dumps({key: value for key, value in base.to_json().items() if key in PAIR})}`.",
        "",
        f"Code {code_version()}, torch {torch.__version__}, Python {platform.python_version()}, "
        f"{torch.get_num_threads()} thread on {platform.machine()}; CPU seconds are of the student's phase.",
    ]
    return "\n".join(lines) + "\n"


def _points(value: float, half: float) -> str:
    return f"{100 * value:+.1f} ± {100 * half:.1f}"
