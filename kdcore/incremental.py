"""Class-incremental learning: what all schemes have in common in which classes come task after task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import cache

import torch

from kdcore.answer import Answer
from kdcore.data import Split
from kdcore.exemplars import Remembering, check_memory, drawn_rows
from kdcore.network import Network
from kdcore.recipe import Pick, RecipeError
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn
from kdcore.spec import knob
from kdcore.tasks import Record, Tasks, drawn, measured, picture, restricted

WHO = {
    "student": "student",
    "rehearsal": "same memory, no distillation",
    "baseline": "student alone",
}
"""Roles that go through the tasks, in the words of the picture."""


class Incremental(Scheme):
    """A student that meets its classes task after task, with a frozen copy of its own self from before each task."""

    kind = "lifelong"
    uses_teacher = False
    uses_methods = False
    tasks: int = knob(5, 2, 10, help="In how many tasks the classes come, as evenly as can be.", unit="tasks")
    memory: int = knob(
        0, 0, 20_000, unit="pictures",
        help="Pictures of earlier classes that may be kept, all classes together. 0 keeps none.",
    )  # fmt: skip
    baseline: bool = knob(True, help="Also train the student alone: task after task, nothing kept, nothing distilled.")
    rehearsal: bool = knob(True, help="With a memory: also train a twin on the same number of kept pictures alone.")
    joint: bool = knob(True, help="Also train a twin on all classes at once, the most that could be hoped for.")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {"before": Casting(student, "teacher", twin_of="student"), "student": Casting(student, "student")}
        if self.rehearsal and self.memory:
            roles["rehearsal"] = Casting(student, "peer", twin_of="student")
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        if self.joint:
            roles["joint"] = Casting(student, "peer", twin_of="student")
        return roles

    def most(self, classes: int) -> int:
        """Pictures of one class that may be kept at most: after the first task."""
        return self.memory // max(1, -(-classes // self.tasks))

    def among(self, tasks: Tasks, task: int) -> list[int]:
        """The classes among which the labels' loss chooses in a task."""
        return tasks.seen(task)

    @abstractmethod
    def turn(self, cast: Mapping[str, Network], between: Between, tasks: Tasks, task: int) -> Turn:
        """The student's turn in a task; in task 0 there is nothing before."""

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        data = between.data()
        if data.train.partner is not None:
            raise RecipeError(
                "data", "the copy of the student looks as a teacher does, and teachers see other pictures"
            )
        if data.mix != "none" and not self.uses_methods:
            raise RecipeError("data.mix", f"mix={data.mix!r}: losses on single tasks take pictures as they are, 'none'")
        check_memory(self.memory, data.classes)
        tasks = drawn(between, self.tasks)
        if self.joint:
            title = "A twin learns all classes at once"
            yield Phase("joint", title, (Turn("joint", (between.alone("joint"),)),))
        records = {role: Record(len(tasks)).to(between.device()) for role in WHO if role in cast}
        last: tuple[str, int] | None = None
        for role in [one for one in reversed(WHO) if one in cast]:
            for task in range(len(tasks)):
                yield self._phase(role, task, cast, between, tasks, records, last)
                last = role, task

    def _phase(
        self, role: str, task: int, cast: Mapping[str, Network], between: Between, tasks: Tasks,
        records: dict[str, Record], last: tuple[str, int] | None,
    ) -> Phase:  # fmt: skip
        """One role in one task; `last` is who learned what before, which is measured when this begins."""
        data = between.data()
        held = role == "student"

        def begins() -> None:
            if last is not None:
                records[last[0]].note(last[1], *measured(cast[last[0]], data.validation, tasks, last[1]))
            if held and task:
                self._step_back(cast, data.train, tasks, task)

        @cache
        def split() -> Split:
            rows = [tasks.rows(data.train, task)]
            if task and self.memory and role != "baseline":
                rows.append(self._kept(role, cast, between, tasks.old(task)))
            return data.train.of(torch.cat(rows))

        def shows() -> list[Answer]:
            found = {WHO[name]: record for name, record in records.items() if name == role or record.done()}
            found[WHO[role]] = records[role].with_row(task, *measured(cast[role], data.validation, tasks, task))
            return [picture(found, tasks, WHO[role])]

        if held:
            turn = self.turn(cast, between, tasks, task)
            does = "its old self teaches the student" if task else "the student learns from the labels"
        else:
            among = tasks.seen(task) if role == "rehearsal" else self.among(tasks, task)
            turn = Turn(role, (restricted(between.alone(role), among, between),))
            does = "the twin learns from labels and kept pictures" if role == "rehearsal" and task else (
                "the twin learns from the labels" if role == "rehearsal" else "the student alone learns from the labels"
            )  # fmt: skip
        return Phase(
            f"{role} {task + 1}", f"Task {task + 1} of {len(tasks)} ({tasks.says(task)}): {does}", (turn,),
            split=split, begins=begins, after=self.after(cast, between, tasks, task, split) if held else None,
            moving=("before",) if held else (),
            keeps={f"record of {name}": record for name, record in records.items()}, shows=shows,
        )  # fmt: skip

    def after(
        self, cast: Mapping[str, Network], between: Between, tasks: Tasks, task: int, split: Callable[[], Split]
    ) -> Callable[[Moment], None] | None:
        """What is done after each step of the student's phases."""
        return None

    def _step_back(self, cast: Mapping[str, Network], train: Split, tasks: Tasks, task: int) -> None:
        """The student as it stands becomes what it was before; where the kept pictures are chosen, chooses them first.

        Those belong to the networks, and a run that goes on comes by here with the copy made already.
        """
        student, before = cast["student"], cast["before"]
        if not isinstance(student, Remembering) or not isinstance(before, Remembering):
            before.load_state_dict(student.state_dict())
        elif int(before.stands) != task:
            student.remember(train, tasks, task - 1, self.memory)
            before.become(student, task)

    def _kept(self, role: str, cast: Mapping[str, Network], between: Between, old: list[int]) -> torch.Tensor:
        before = cast["before"]
        if role == "student" and isinstance(before, Remembering):
            return before.kept(old)
        return drawn_rows(between, old, self.memory // len(old))


class AmongOwn(Incremental):
    """A scheme in which cross-entropy may leave the old classes alone, and other terms keep them alive."""

    tasks: int = 2
    labels: str = knob(
        "new", choices=("new", "seen"),
        help="Among which classes cross-entropy chooses: the task's own, or all seen so far (always, with a memory). "
        "It goes for the student alone too.",
    )  # fmt: skip

    def among(self, tasks: Tasks, task: int) -> list[int]:
        return list(tasks.groups[task]) if self.labels == "new" and not self.memory else tasks.seen(task)
