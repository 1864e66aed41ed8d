"""Schemes with several teachers: who they are, what each of them saw, and pictures of what each is worth."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.answer import Answer
from kdcore.answers.matrix import Matrix
from kdcore.data import Data, Split
from kdcore.network import Network
from kdcore.recipe import Pick
from kdcore.response import at_least_float, label_mean
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn, alone
from kdcore.scoring import logits_of
from kdcore.sizes import between_sizes
from kdcore.spec import knob

SHOWN = 512
"""Training pictures over which weights are averaged for a picture of them."""
UNEVEN = 12
"""Pictures shown on which the teachers' weights differ most."""


class Ensemble(Scheme):
    """A student with two to five teachers."""

    kind = "multi-teacher"
    uses_methods = False
    teachers: int = knob(3, 2, 5, help="How many teachers there are.", unit="teachers")
    differ: str = knob(
        "seed",
        choices=("seed", "size", "pictures", "classes"),
        help="In what they differ beside their start: size, from the teacher's down towards the student's; the share "
        "of the pictures, or of the classes, that each learned from.",
    )
    share: float = knob(0.8, 0.1, 1.0, help="The share of pictures or classes that each saw, where they differ in it.")
    weak: float = knob(
        0.0,
        0.0,
        1.0,
        help="Share of the last teacher's labels that are redrawn at random: one weak teacher among them.",
    )
    temperature: float = knob(4.0, 1.0, 20.0, help="Softness of the teachers' and the student's answers.")
    labels: float = knob(1.0, 0.0, 10.0, help="Weight of the labels beside the teachers, who together have 1.")

    def names(self) -> list[str]:
        """The teachers' roles."""
        return ["teacher", *(f"teacher {number}" for number in range(2, self.teachers + 1))]

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {}
        for number, name in enumerate(self.names()):
            small = self.differ == "size" and number
            pick = between_sizes(teacher, student, number / self.teachers) if small else teacher
            roles[name] = Casting(pick, "teacher")
        roles["student"] = Casting(student, "student")
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        for number, name in enumerate(self.names()):
            yield self._schooled(number, name, between)
        if self.baseline:
            yield alone(between)
        yield self.student_phase(cast, between)

    @abstractmethod
    def student_phase(self, cast: Mapping[str, Network], between: Between) -> Phase:
        """How the student learns from its teachers."""

    def _schooled(self, number: int, name: str, between: Between) -> Phase:
        turn = Turn(name, (between.alone(name),))
        phase = Phase(name, f"The {name} learns from the labels", (turn,), budget="teacher", pictures="teacher")
        last = number == self.teachers - 1
        if self.differ in ("pictures", "classes") or (last and self.weak > 0.0):
            phase = replace(phase, split=lambda: self._lesson_of(number, name, between))
        if self.differ == "classes":
            names = between.data().class_names
            seen = sorted(self._classes(number, len(names)))
            phase = replace(phase, title=f"The {name} learns {', '.join(names[label] for label in seen)}")
        elif self.differ == "pictures":
            phase = replace(phase, title=f"The {name} learns from {100 * self.share:.0f} % of the pictures")
        if last and self.weak > 0.0:
            phase = replace(phase, title=f"{phase.title}, {100 * self.weak:.0f} % of its labels redrawn")
        return phase

    def _classes(self, number: int, classes: int) -> set[int]:
        """The classes that a teacher saw: neighbours in a ring, each teacher's beginning further on."""
        count = max(2, round(self.share * classes))
        return {(number * classes // self.teachers + place) % classes for place in range(count)}

    def _lesson_of(self, number: int, name: str, between: Between) -> Split:
        """The pictures that this teacher learns from."""
        data = between.data()
        split = data.teacher_train
        with between.seeded(f"pictures of the {name}"):
            order = torch.randperm(len(split))
            redrawn, labels = torch.rand(len(split)), torch.randint(data.classes, (len(split),))
        if number == self.teachers - 1 and self.weak > 0.0:
            wrong = (redrawn < self.weak).to(split.labels.device)
            split = replace(split, labels=torch.where(wrong, labels.to(split.labels), split.labels))
        if self.differ == "pictures":
            return split.of(order[: max(1, round(self.share * len(order)))].sort().values.to(split.labels.device))
        if self.differ == "classes":
            seen = torch.tensor(sorted(self._classes(number, data.classes)), device=split.truth.device)
            return split.of(torch.isin(split.truth, seen).nonzero().flatten())
        return split


def told(moment: Moment, names: Sequence[str]) -> Tensor:
    """What the teachers say of the step's pictures, (M, N, C) logits."""
    return torch.stack([moment.see(name).logits for name in names])


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, (N, C) x (N,) -> (N,); pictures without a label (-1) do not count."""
    return label_mean(F.cross_entropy(at_least_float(logits), labels, ignore_index=-1, reduction="none"), labels)


def eyes(split: Split) -> Tensor:
    """The pictures as a teacher sees them, who may have a sensor of its own."""
    return split.images if split.partner is None else split.partner


def answers_of(cast: Mapping[str, Network], names: Sequence[str], split: Split) -> Tensor:
    """(M, N, C) logits of the teachers on a split."""
    return torch.stack([logits_of(cast[name], eyes(split)) for name in names])


class Report:
    """What to see of the teachers; they are frozen by then, so each looks at the pictures but once."""

    def __init__(self, cast: Mapping[str, Network], names: Sequence[str], data: Data) -> None:
        self._cast, self._names, self._data = cast, list(names), data
        self._said: dict[str, Tensor] = {}
        self.pictures = data.train.of(torch.arange(min(SHOWN, len(data.train)), device=data.train.labels.device))

    def said(self, which: str) -> Tensor:
        """(M, N, C) logits on "train" (the shown training pictures) or "validation"."""
        if which not in self._said:
            split = self.pictures if which == "train" else self._data.validation
            self._said[which] = answers_of(self._cast, self._names, split)
        return self._said[which]

    def knowledge(self, all_of_them: Tensor) -> Matrix:
        """How often each teacher is right on each class of the validation pictures, and all together, (N, C)."""
        truth = self._data.validation.truth
        right = torch.cat([self.said("validation"), all_of_them[None]]).argmax(dim=2) == truth
        columns = [*self._names, "together"]
        known = torch.stack([right[:, truth == label].float().mean(dim=1) for label in range(self._data.classes)])
        best = float(right[:-1].float().mean(dim=1).max())
        return Matrix(
            "What each teacher knows",
            f"Together the teachers are right on {100 * float(right[-1].float().mean()):.1f} % of the validation "
            f"pictures; the best of them alone on {100 * best:.1f} %.",
            {"right": known.nan_to_num().cpu().numpy().astype(numpy.float32)},
            list(self._data.class_names), columns, "class", "teacher", "share right", 0.0, 1.0, {}, {},
        )  # fmt: skip

    def weights(self, panels: Mapping[str, Tensor]) -> list[Answer]:
        """Each teacher's weight on each class, and on the pictures on which they differ most; (M, N) for each panel."""
        truth = self.pictures.truth
        classes = [label for label in range(self._data.classes) if bool((truth == label).any())]
        even = 1.0 / len(self._names)
        per_class = {
            title: torch.stack([weights[:, truth == label].mean(dim=1) for label in classes])
            for title, weights in panels.items()
        }
        first, values = next(iter(per_class.items()))
        row, column = divmod(int((values - even).abs().argmax()), len(self._names))
        names = self._data.class_names
        by_class = Matrix(
            "How much each teacher counts",
            f"Least even for class {names[classes[row]]}: {self._names[column]} has {float(values[row, column]):.2f} "
            f"of the weight ({first}), where {even:.2f} would be even.",
            {title: values.cpu().numpy().astype(numpy.float32) for title, values in per_class.items()},
            [names[label] for label in classes], self._names, "class", "teacher", "weight", 0.0, 1.0, {},
            dict.fromkeys(per_class, even),
        )  # fmt: skip
        weights = next(iter(panels.values()))
        places = (weights - even).abs().amax(dim=0).argsort(descending=True, stable=True)[:UNEVEN]
        spread = float((weights.max(dim=0).values - weights.min(dim=0).values).mean())
        rows = [f"picture {int(self.pictures.index[place])}: {names[int(truth[place])]}" for place in places.tolist()]
        by_picture = Matrix(
            "The pictures on which their weights differ most",
            f"On average over all pictures the teacher that counts most has {spread:.2f} more weight than the one that "
            "counts least.",
            {title: one[:, places].T.cpu().numpy().astype(numpy.float32) for title, one in panels.items()},
            rows, self._names, "training picture and its class", "teacher", "weight", 0.0, 1.0, {},
            dict.fromkeys(panels, even),
        )  # fmt: skip
        return [by_class, by_picture]
