"""Classes that come task after task: which come when, lessons on some of them, and how well each is still known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy
import torch
from torch import Tensor, nn

from kdcore.answers.matrix import Matrix
from kdcore.data import Split
from kdcore.objective import Objective
from kdcore.recipe import RecipeError
from kdcore.scheme import Between, Lesson
from kdcore.scoring import logits_of
from kdcore.vocabulary import Batch, Classifier, Seen

NOT_YET = -1.0
"""Stands in a record where nothing has been measured; a NaN would not equal itself when a run goes on."""

NARROW = 12
"""Letters that fit under a column of the picture."""


@dataclass(frozen=True)
class Tasks:
    """Which classes come in which task."""

    groups: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    """Of the classes."""

    def __len__(self) -> int:
        return len(self.groups)

    def old(self, task: int) -> list[int]:
        """The classes of all tasks before this one (counted from 0), in the order in which they came."""
        return [label for group in self.groups[:task] for label in group]

    def seen(self, task: int) -> list[int]:
        """The classes of all tasks up to this one."""
        return self.old(task + 1)

    def says(self, task: int) -> str:
        """The names of a task's classes, at most six of them."""
        names = [self.names[label] for label in self.groups[task]]
        return ", ".join(names if len(names) <= 6 else [*names[:5], "…"])

    def rows(self, split: Split, task: int) -> Tensor:
        """The rows of a split whose class comes in this task; a picture without a label comes with its true class."""
        known = split.labels.where(split.labels >= 0, split.truth)
        group = torch.tensor(self.groups[task], device=known.device)
        return torch.isin(known, group).nonzero().flatten()


def drawn(between: Between, count: int) -> Tasks:
    """The classes in an order drawn by the recipe's seed, in so many tasks, as even as can be.

    Raises RecipeError for tasks without a class, or without a picture to learn from.
    """
    data = between.data()
    if count > data.classes:
        raise RecipeError(
            "scheme.tasks", f"tasks={count} leaves tasks without a class: there are {data.classes} classes here"
        )
    with between.seeded("order of classes"):
        order = torch.randperm(data.classes)
    groups = tuple(tuple(part.tolist()) for part in order.tensor_split(count))
    tasks = Tasks(groups, tuple(data.class_names))
    for task in range(count):
        if len(tasks.rows(data.train, task)) == 0:
            raise RecipeError(
                "scheme.tasks",
                f"task {task + 1} of {count} ({tasks.says(task)}) has no training picture; fewer tasks, more pictures, "
                "or no hidden class",
            )
    return tasks


class OfClasses(Objective):
    """A lesson that knows some classes alone: others' logits, rows of the classifier and labels are not there."""

    def __init__(self, objective: Objective, classes: Sequence[int], total: int) -> None:
        super().__init__(
            list(objective.methods.values()),  # type: ignore[arg-type]
            list(objective.shares.values()),
            terms=objective.which,
        )
        places = torch.full((total + 1,), -1)  # the last one is for withheld labels, which are -1
        places[list(classes)] = torch.arange(len(classes))
        self.register_buffer("classes", torch.tensor(list(classes)), persistent=False)
        self.register_buffer("places", places, persistent=False)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> dict[str, Tensor]:
        places: Tensor = self.places  # type: ignore[assignment]
        other = None if batch.other is None else places[batch.other]
        known = replace(batch, labels=places[batch.labels], other=other)
        return super().forward(self._of(student), self._of(teacher), known)

    def _of(self, seen: Seen) -> Seen:
        chosen: Tensor = self.classes  # type: ignore[assignment]
        classifier = seen.classifier
        return replace(
            seen,
            logits=seen.logits[:, chosen],
            classifier=None if classifier is None else Classifier(classifier.weight[chosen], classifier.bias[chosen]),
            second=None if seen.second is None else self._of(seen.second),
        )


def restricted(lesson: Lesson, classes: Sequence[int], between: Between) -> Lesson:
    """The lesson on these classes alone."""
    objective = OfClasses(lesson.objective, classes, between.data().classes).to(between.device())
    return replace(lesson, objective=objective)


class Record(nn.Module):
    """How well one role has known each task after each task; kept in snapshots, so that it outlives an interruption."""

    accuracy: Tensor
    """(T, T): row after task, column of task, in [0, 1]; NOT_YET where nothing was measured."""
    overall: Tensor
    """(T,) accuracy on all classes seen by then."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.register_buffer("accuracy", torch.full((tasks, tasks), NOT_YET))
        self.register_buffer("overall", torch.full((tasks,), NOT_YET))

    def note(self, task: int, each: Tensor, overall: float) -> None:
        """Keep what was measured after a task."""
        self.accuracy[task] = each.to(self.accuracy.device)
        self.overall[task] = overall

    def with_row(self, task: int, each: Tensor, overall: float) -> Record:
        """A copy with that row in it and nothing after it."""
        found = Record(len(self.overall))
        found.accuracy[:task], found.overall[:task] = self.accuracy[:task].cpu(), self.overall[:task].cpu()
        found.note(task, each.cpu(), overall)
        return found

    def done(self) -> int:
        """How many tasks are behind it."""
        return int((self.overall > NOT_YET).sum())

    def average(self) -> float:
        """Average incremental accuracy: the mean over tasks of the accuracy on all classes seen by then."""
        return float(self.overall[self.overall > NOT_YET].mean())

    def forgetting(self) -> float:
        """Mean over the earlier tasks of their best accuracy in the past less their accuracy now; 0 after the first."""
        done = self.done()
        if done < 2:
            return 0.0
        past, now = self.accuracy[: done - 1, : done - 1].max(dim=0).values, self.accuracy[done - 1, : done - 1]
        known = (past > NOT_YET) & (now > NOT_YET)
        return float((past - now)[known].mean()) if bool(known.any()) else 0.0


def measured(network: nn.Module, split: Split, tasks: Tasks, task: int) -> tuple[Tensor, float]:
    """Accuracy on each task so far, (T,), and on all their classes together, choosing among the classes seen so far."""
    seen = torch.tensor(tasks.seen(task), device=split.truth.device)
    there = torch.isin(split.truth, seen)
    each = torch.full((len(tasks),), NOT_YET)
    if not bool(there.any()):
        return each, NOT_YET
    logits = logits_of(network, split.images[there])  # type: ignore[arg-type]
    truth = split.truth[there]
    right = (seen[logits[:, seen].argmax(dim=1)] == truth).float()
    for number in range(task + 1):
        mine = torch.isin(truth, torch.tensor(tasks.groups[number], device=truth.device))
        if bool(mine.any()):
            each[number] = right[mine].mean().cpu()
    return each, float(right.mean())


def picture(records: dict[str, Record], tasks: Tasks, now: str) -> Matrix:
    """The accuracy matrices, task by time, of those who have been through a task; `now` names the one who learns."""
    panels = {}
    for title, record in records.items():
        values = record.accuracy.cpu().numpy().astype(numpy.float32)
        panels[title] = numpy.where(values > NOT_YET, values, numpy.float32("nan"))
    says = [
        f"{title}: average incremental accuracy {100 * one.average():.0f} %, forgetting {100 * one.forgetting():.0f} "
        f"points after task {one.done()} of {len(tasks)}"
        for title, one in sorted(records.items(), key=lambda item: item[0] != now)
    ]
    return Matrix(
        title="Which tasks are still known, among all classes seen so far",
        says=". ".join(says) + ".",
        panels=panels,
        rows=[f"after task {number + 1}" for number in range(len(tasks))],
        columns=[_short(tasks, number) for number in range(len(tasks))],
        row_axis="time",
        column_axis="task and its classes",
        value_axis="validation accuracy",
        low=0.0,
        high=1.0,
        spread={},
        centre={},
    )


def _short(tasks: Tasks, task: int) -> str:
    """A task's number, with its classes where they fit under a column."""
    names = tasks.says(task)
    return f"{task + 1}: {names}" if len(names) <= NARROW else f"{task + 1}"
