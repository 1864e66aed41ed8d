"""A discriminator tells a teacher's answers or features from a student's; the student learns to pass for the teacher.

The discriminator's target is 1 for the teacher and 0 for the student; the student's own target is 1. The two never
learn in the same step of an optimiser: each is still while the other learns.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.looking import frozen
from kdcore.network import Network
from kdcore.scheme import Between, Moment, Phase, Scheme, Turn, alone, distilled, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Seen, Terms

LOOKED_AT = 512
"""Validation pictures at most on which the discriminator is watched."""
NAME = "discriminator"
Sees = Callable[[Seen], Tensor]
"""What of a network's Seen the discriminator is shown, (N, …)."""


@dataclass(frozen=True)
class Court:
    """Who judges, and what it is shown of either network."""

    judge: nn.Module
    real: Sees
    """Of the teacher."""
    made: Sees
    """Of the student."""
    also: Mapping[str, nn.Module] = field(default_factory=dict)
    """What learns with the student and stands between it and the judge."""


class Adversarial(Scheme):
    """A discriminator beside the recipe's methods; a subclass says what it is shown."""

    kind = "adversarial"
    shown: ClassVar[str]
    """What it is shown, as a viewer should read it."""
    example = {
        "data": {"is": "digits", "label_noise": 0.6},
        "teacher": {"is": "plain", "width": 32, "stage_count": 2},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "methods": [{"is": "kd", "temperature": 2.0}],
        "training": {"epochs": 30},
    }
    adversarial: float = knob(0.1, 0.0, 10.0, help="Weight of the student's adversarial term.")
    judge_rate: float = knob(
        0.1, 0.001, 10.0, help="The discriminator's learning rate, as a multiple of the student's.", scale="log"
    )

    @abstractmethod
    def court(self, cast: Mapping[str, Network], between: Between) -> Court:
        """The discriminator and what it is shown."""

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        yield taught_by_labels(between)
        if self.baseline:
            yield alone(between)
        court = self.court(cast, between)
        # told_by even without the term: the discriminator reads the teacher's maps, not only its kept answers
        learning = replace(distilled("student", "teacher", between), told_by=("teacher",))
        if self.adversarial > 0:
            learning = replace(
                learning, own=passing(court.judge, court.made), weights={"adversarial": self.adversarial},
                also=court.also,
            )  # fmt: skip

        def shows() -> Sequence[Answer]:
            return [judged(court, cast, between, what=self.shown)]

        judge = judging(court.judge, court.real, court.made, rate=self.judge_rate)
        yield Phase(
            "student", f"The student learns from the teacher, and its {self.shown} try to pass for the teacher's",
            (judge, learning), shows=shows,
        )  # fmt: skip


class OfAnswers(nn.Module):
    """Judges answers: (N, C) logits -> (N,), above 0 for "the teacher's"."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        wide, narrow = max(32, classes // 2), max(16, classes // 4)
        self.layers = nn.Sequential(
            nn.Linear(classes, wide), nn.LayerNorm(wide), nn.LeakyReLU(0.2),
            nn.Linear(wide, narrow), nn.LayerNorm(narrow), nn.LeakyReLU(0.2),
            nn.Linear(narrow, 1),
        )  # fmt: skip

    def forward(self, logits: Tensor) -> Tensor:
        return self.layers(logits).squeeze(1)


class OfFeatures(nn.Module):
    """Judges maps place by place: (N, c, h, w) -> (N,), the mean over the plane; above 0 for "the teacher's".

    Spectral norms bound how fast the judgement may turn, so that the student's gradient lives on when the judge wins.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = max(16, min(128, channels))
        self.layers = nn.Sequential(
            spectral_norm(nn.Conv2d(channels, wide, 1)), nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(wide, wide, 1)), nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(wide, 1, 1)),
        )  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features).mean(dim=(1, 2, 3))


def judging(discriminator: nn.Module, real: Sees, made: Sees, *, rate: float) -> Turn:
    """The discriminator's turn: the teacher's are to be judged real, the student's made. No network learns by it."""

    def own(moment: Moment) -> Terms:
        with torch.no_grad():
            theirs, ours = real(moment.see("teacher")), made(moment.see("student"))
        told, said = discriminator(theirs), discriminator(ours)
        return {"teacher's": F.softplus(-told), "student's": F.softplus(said)}

    return Turn(NAME, own=own, also={NAME: discriminator}, optimizer="adam", rate=rate)


def passing(discriminator: nn.Module, made: Sees) -> Callable[[Moment], Terms]:
    """The student's own term: its output judged real. The discriminator is still, its gradient opposes the judge's."""

    def own(moment: Moment) -> Terms:
        shown = made(moment.see("student"))
        with frozen(discriminator):
            return {"adversarial": F.softplus(-discriminator(shown))}

    return own


def judged(court: Court, cast: Mapping[str, Network], between: Between, *, what: str) -> Bars:
    """How often the discriminator is right on validation pictures, about the teacher's and about the student's."""
    discriminator = court.judge
    images = {"teacher": between.data().validation.partner, "student": None}
    plain = between.data().validation.images[:LOOKED_AT]
    right = {}
    waking = discriminator.training
    discriminator.eval()
    with torch.no_grad():
        for role, sees in (("teacher", court.real), ("student", court.made)):
            network = cast[role]
            was = network.training
            network.eval()
            pictures = images[role]
            said = discriminator(sees(network.look(plain if pictures is None else pictures[:LOOKED_AT]))) > 0
            network.train(was)
            right[role] = float((said if role == "teacher" else ~said).float().mean())
    discriminator.train(waking)
    mean = (right["teacher"] + right["student"]) / 2
    return Bars(
        title="Can the discriminator tell them apart?",
        says=f"The discriminator is right about {100 * mean:.0f} % of {len(plain)} held-out pairs of {what}; at 50 % "
        "it guesses, and the student passes for the teacher.",
        series={f"{role}'s {what}": numpy.array([right[role]], dtype=numpy.float32) for role in right},
        categories=[f"{len(plain)} held-out pictures"],
        category_axis="",
        value_axis="share that the discriminator judges rightly",
        low=0.0,
        high=1.0,
        parts={f"{role}'s {what}": role for role in right},
        reference=0.5,
        reference_says="guessing",
    )
