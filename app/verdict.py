"""What a finished run says: the student against itself alone and its teacher, and how sure that is. No Streamlit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from app.live.series import inputs_called, part_of
from app.theme import count, percent, points
from kdcore.history import History

Z = 1.959964
"""Half-width of a 95 % interval in standard errors."""


@dataclass(frozen=True)
class Difference:
    """The student's test accuracy minus another's, as fractions, with its 95 % interval."""

    other: str
    """The role compared with."""
    value: float
    low: float
    high: float
    pictures: int
    paired: bool
    """Whether it is known on which pictures the two disagree; else they are taken as independent."""
    inputs: str = "pictures"
    """What was tested on, as it is called."""

    @property
    def word(self) -> str:
        """helps, hurts or unclear."""
        return "helps" if self.low > 0 else "hurts" if self.high < 0 else "unclear"

    @property
    def sentence(self) -> str:
        """The finding in plain words."""
        size, way = points(abs(self.value)).lstrip("+"), "more" if self.word == "helps" else "less"
        if self.word == "unclear":
            return f"No difference that {count(self.pictures)} test {self.inputs} can show."
        return f"Distillation {self.word} here: {size} {way} than the student alone."

    @property
    def without_pictures(self) -> str:
        """The finding where only the student alone had the data: it is no yardstick of equal means then."""
        what = f"without a real {self.inputs.rstrip('s')}"
        if self.word == "unclear":
            return f"As good {what} as the student alone, which had them and their labels."
        way = "more" if self.value > 0 else "less"
        size = points(abs(self.value)).lstrip("+")
        return f"Learned {what}: {size} {way} than the student alone, which had them and their labels."

    @property
    def interval(self) -> str:
        """The interval in words."""
        paired = f"paired, on the {self.inputs} where the two disagree"
        how = paired if self.paired else "taking the two as independent"
        tested = f"{count(self.pictures)} test {self.inputs}"
        return (
            f"95 % interval {points(self.low)} to {points(self.high)} ({how}; {tested}, "
            "one seed: other seeds move it further)"
        )


def paired(won: int, lost: int, pictures: int) -> tuple[float, float]:
    """95 % interval of (won - lost) / pictures.

    Adjusted Wald interval for paired proportions (Bonett and Price 2012): one is added to either count, so that no
    disagreement at all still leaves an interval.
    """
    gain, loss, total = (won + 1) / (pictures + 2), (lost + 1) / (pictures + 2), pictures + 2
    error = math.sqrt(max(0.0, gain + loss - (gain - loss) ** 2) / total)
    return max(-1.0, gain - loss - Z * error), min(1.0, gain - loss + Z * error)


def independent(first: float, second: float, pictures: int) -> tuple[float, float]:
    """95 % interval of the difference of two accuracies on as many pictures each (Newcombe 1998, from Wilson's)."""
    (low, high), (other_low, other_high) = wilson(first, pictures), wilson(second, pictures)
    value = first - second
    return (
        value - math.hypot(first - low, other_high - second),
        value + math.hypot(high - first, second - other_low),
    )


def wilson(share: float, pictures: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share in [0, 1]."""
    if pictures < 1:
        return 0.0, 1.0
    middle = (share + Z * Z / (2 * pictures)) / (1 + Z * Z / pictures)
    reach = Z * math.sqrt(share * (1 - share) / pictures + Z * Z / (4 * pictures**2)) / (1 + Z * Z / pictures)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def against(history: History, part: str) -> Difference | None:
    """The student against the role of that part ("baseline", "teacher"), or None where either is missing."""
    return _difference(_tested(history, "student"), _tested(history, part))


@dataclass(frozen=True)
class _Tested:
    """What a role came to on test pictures."""

    role: str
    accuracy: float
    pictures: int
    result: dict[str, Any]
    inputs: str


def _tested(history: History, part: str) -> _Tested | None:
    """The first role of that part, or None where there is none that was tested."""
    role = next((role for role in history.results if part_of(role, history) == part), None)
    if role is None:
        return None
    result = history.results[role]
    accuracy = result.get("test_accuracy")
    if accuracy is None:
        return None
    return _Tested(role, accuracy, _pictures(history, result), result, inputs_called(history))


def _difference(student: _Tested | None, other: _Tested | None, *, name: str = "") -> Difference | None:
    """The one less the other, paired where it is known how; `name` for whoever is no role of the same run."""
    if student is None or other is None or not student.pictures:
        return None
    value, pictures = student.accuracy - other.accuracy, student.pictures
    won, lost = other.result.get("won"), other.result.get("lost")
    if not name and isinstance(won, int) and isinstance(lost, int):
        return Difference(other.role, value, *paired(won, lost, pictures), pictures, paired=True, inputs=student.inputs)
    low, high = independent(student.accuracy, other.accuracy, pictures)
    return Difference(name or other.role, value, low, high, pictures, paired=False, inputs=student.inputs)


def weak_teacher(history: History) -> str:
    """A sentence where the teacher is surely worse than the student alone, and so has little to teach; else ""."""
    teacher, alone = _tested(history, "teacher"), _tested(history, "baseline")
    if teacher is None or alone is None or not teacher.pictures or not alone.pictures:
        return ""
    if independent(teacher.accuracy, alone.accuracy, teacher.pictures)[1] >= 0:
        return ""
    theirs, own = (percent(one.accuracy, of=teacher.pictures) for one in (teacher, alone))
    return (
        f"The teacher itself reaches only {theirs}, less than the student alone with {own}: it has little to teach. "
        "Give it more epochs or more room before blaming the method."
    )


def against_parent(history: History, parent: History) -> Difference | None:
    """A fork's student against that of the run that it goes on from, or None where either is missing."""
    return _difference(_tested(history, "student"), _tested(parent, "student"), name="parent")


def _pictures(history: History, result: dict[str, Any]) -> int:
    if isinstance(result.get("count"), int):
        return result["count"]
    return int(history.started.data.get("test") or 0) if history.started else 0


def ranked(history: History) -> list[str]:
    """The roles with results: the student, then itself alone, then its teacher, then others."""
    order = {"student": 0, "baseline": 1, "teacher": 2}
    return sorted(history.results, key=lambda role: order.get(part_of(role, history), len(order)))


def hidden_rows(history: History) -> list[dict[str, str]]:
    """How each role knows the class that the student never saw: raw and with its bias set right; [] without one."""
    rows = []
    for role in ranked(history):
        result = history.results[role]
        found = result.get("hidden") or {}
        if "raw" in found:
            rows.append({
                "role": role, "as it is": percent(found["raw"]), "bias set right": percent(found.get("corrected")),
            })  # fmt: skip
    return rows
