"""Noisy student: each generation labels the pictures without labels for the next, which learns under noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F

from kdcore.answer import Answer
from kdcore.augmentation import stronger
from kdcore.data import Split
from kdcore.network import Network
from kdcore.pseudo_labels import balanced, sure, trust
from kdcore.recipe import Pick
from kdcore.response import soft_kl
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn
from kdcore.schooling import label_loss
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms


class NoisyStudent(Scheme):
    """A network labels the pictures that have no label; an equal one learns from them all under noise, and takes over.

    The teacher sees clean pictures, the student disturbed ones: to say the same it must learn what does not change
    under the noise, and so it can get better than its teacher. The first teacher learned from the labels alone and is
    the yardstick.
    """

    title = "Semi-supervised: noisy student"
    kind = "semi-supervised"
    uses_teacher = False
    uses_methods = False
    paper = Paper(
        "Xie, Luong, Hovy, Le", 2020, "https://arxiv.org/abs/1911.04252",
        "Self-training with Noisy Student improves ImageNet classification",
    )  # fmt: skip
    provenance = (
        "Paper and authors' code: soft answers at temperature 1, pictures of confidence 0.3 and more, even classes, "
        "three rounds. Our decisions: the noise is a moved picture of other contrast with a square hidden, without "
        "dropout and stochastic depth, and all generations are of one size."
    )
    pitfalls = (
        "A class that the first teacher does not know stays unknown: generations agree with each other, not the truth.",
        "Where every label is known, the teacher labels the labelled pictures: little can be gained.",
    )
    example = {
        "data": {"is": "digits", "labelled": 0.05},
        "student": {"is": "plain", "width": 16, "stage_count": 2},
        "methods": [],
        "training": {"epochs": 40},
        "scheme": {"is": "noisy_student", "rounds": 2, "noise": 1.0},
    }
    rounds: int = knob(1, 1, 4, help="How many generations learn from the one before.", unit="generations")
    confidence: float = knob(
        0.3, 0.0, 0.99, help="Leave out pictures on which the teacher is less sure; a tenth stays."
    )
    answers: str = knob("soft", choices=("soft", "hard"), help="What of the teacher's answer is learned.")
    noise: float = knob(0.5, 0.0, 1.0, help="Chance that a picture is disturbed each time a student learns from it.")
    baseline: bool = knob(True, help="Show the first teacher, which learns from the labels alone, as the yardstick.")

    def _names(self) -> list[str]:
        return ["baseline", *(f"generation {number}" for number in range(1, self.rounds)), "student"]

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        first, *middle, last = self._names()
        roles = {first: Casting(student, "baseline" if self.baseline else "teacher")}
        roles.update({name: Casting(student, "assistant") for name in middle})
        roles[last] = Casting(student, "student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        first, *later = self._names()
        yield Phase(first, "The first teacher learns from the labels", (Turn(first, (between.alone(first),)),))
        teacher = first
        for number, name in enumerate(later, start=1):
            turn = Turn(name, own=self._own(name, teacher), told_by=(teacher,), hears=("logits",))
            title = f"Generation {number} learns under noise what generation {number - 1} says of clean pictures"
            yield Phase(
                name,
                title,
                (turn,),
                split=self._split(cast, teacher, between),
                shows=self._shows(cast, teacher, between),
            )
            teacher = name

    def _own(self, name: str, teacher: str) -> Callable[[Moment], Terms]:
        def own(moment: Moment) -> Terms:
            images, labels = moment.batch.images, moment.batch.labels
            draw = int(torch.randint(2**31, (1,), generator=moment.generator))
            noisy = stronger(images, torch.arange(len(images), device=images.device), seed=draw, epoch=0)
            hit = (torch.rand(len(images), generator=moment.generator) < self.noise).to(images.device)
            images = torch.where(hit.view(-1, *[1] * (images.ndim - 1)), noisy, images)
            student, told = moment.see(name, images).logits, moment.see(teacher).logits
            if self.answers == "soft":
                errors = soft_kl(student, told, 1.0)
            else:
                errors = F.cross_entropy(student, told.argmax(dim=1), reduction="none")
            free = labels < 0
            if bool(free.any()):
                errors = errors * free * (len(free) / free.sum())
            return {"ce": label_loss(student, labels), "pseudo": errors}

        return own

    def _split(self, cast: Mapping[str, Network], teacher: str, between: Between) -> Callable[[], Split]:
        def split() -> Split:
            """The labelled pictures, and those without a label as often as is even between classes."""
            data = between.data()
            rows, said = sure(cast[teacher], data.train, self.confidence)
            free = data.train.labels[rows] < 0
            known = (data.train.labels >= 0).nonzero().flatten()
            even = balanced(rows[free], said[free], data.classes) if bool(free.any()) else rows[:0]
            return data.train.of(torch.cat([known, even]))

        return split

    def _shows(self, cast: Mapping[str, Network], teacher: str, between: Between) -> Callable[[], Sequence[Answer]]:
        return lambda: trust(cast[teacher], teacher, between.data(), self.confidence)
