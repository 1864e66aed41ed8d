"""Densely guided distillation: every larger network of a chain teaches each smaller one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from kdcore.gated import gated
from kdcore.recipe import RecipeError
from kdcore.scheme import Between, Phase, Turn
from kdcore.sizes import EXAMPLE, Assisted
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper


class DenselyGuided(Assisted):
    """Teacher and assistants all teach whoever is smaller, the student last.

    In a chain of assistants an error is handed down from each to the next. Here each learner also hears those above its
    teacher, and some of them fall silent at random, so that it cannot lean on one. The direct way from the teacher to
    the student is trained beside it, because the detour must beat it.
    """

    title = "Capacity gap: densely guided"
    paper = Paper(
        "Son, Na, Choi, Hwang", 2021, "https://arxiv.org/abs/2009.08825",
        "Densely Guided Knowledge Distillation using Multiple Teacher Assistants",
    )  # fmt: skip
    provenance = (
        "Paper only: all larger networks teach, each silent at random in a step. Our decision: their lessons share the "
        "weight that one teacher has, and at least labels or one teacher are always heard."
    )
    pitfalls = (
        "It trains every assistant too: count their epochs before you call it better than plain distillation.",
        "Methods with stages of their own cannot be given by several teachers at once.",
    )
    example = {**EXAMPLE, "scheme": {"is": "dgkd", "assistants": 2}}
    assistants: int = 2
    heard: float = knob(0.75, 0.1, 1.0, help="Chance in each step that one of the teachers is heard.")

    def down(self, between: Between) -> Iterator[Phase]:
        above = ["teacher"]
        for name in (*self.middle(), "student"):
            yield self._guided(name, above, between)
            above.append(name)

    def _guided(self, name: str, above: list[str], between: Between) -> Phase:
        """A learner with all larger networks as its teachers."""
        labels = between.labels(name)
        heard = Heard(len(above), self.heard, always=0 if labels is None else -1)
        lessons = []
        for number, teacher in enumerate(above):
            lesson = between.knowledge(name, teacher, share=1.0 / len(above))
            stages, _ = between.own_stages(lesson)
            if stages:
                raise RecipeError(
                    "methods",
                    f"{stages[0].title} has a stage of its own, for which there is no place here; "
                    "set its own_stage to 0",
                )
            lessons.append(gated(lesson, heard.gate(number)) if len(above) > 1 and self.heard < 1.0 else lesson)
        said = " and ".join(above) if len(above) < 3 else f"{', '.join(above[:-1])} and {above[-1]}"
        turn = Turn(name, (*([labels] if labels else []), *lessons))
        return Phase(name, f"The {name} learns from the {said}", (turn,))


class Heard:
    """Who is heard in a step: each teacher by chance, drawn from torch's global state, which checkpoints keep."""

    def __init__(self, teachers: int, chance: float, *, always: int) -> None:
        self._teachers, self._chance, self._always = teachers, chance, always
        self._batch: Batch | None = None
        self._open: list[bool] = []

    def gate(self, number: int) -> Callable[[Batch], bool]:
        """Whether this teacher is heard for a batch; the draw is made once for each batch."""

        def opens(batch: Batch) -> bool:
            if batch is not self._batch:
                self._batch = batch
                self._open = (torch.rand(self._teachers) < self._chance).tolist()
                if self._always >= 0 and not any(self._open):
                    self._open[self._always] = True
            return self._open[number]

        return opens
