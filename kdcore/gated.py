"""Lessons that are given only at times: while a gate is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from kdcore.objective import Objective
from kdcore.scheme import Lesson
from kdcore.vocabulary import Batch, Seen


class Gated(Objective):
    """An objective whose terms are zero, without gradient to speak of, in batches for which its gate is closed."""

    steady = False

    def __init__(self, objective: Objective, opens: Callable[[Batch], bool]) -> None:
        super().__init__(
            [objective.methods[name] for name in objective.shares],  # type: ignore[misc]
            list(objective.shares.values()),
            terms=objective.which,
        )
        self._opens = opens

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> dict[str, Tensor]:
        terms = super().forward(student, teacher, batch)
        return terms if self._opens(batch) else {name: 0.0 * values for name, values in terms.items()}


def gated(lesson: Lesson, opens: Callable[[Batch], bool]) -> Lesson:
    """The lesson, given only in batches for which the gate opens; its learned parts are the same ones."""
    return replace(lesson, objective=Gated(lesson.objective, opens))
