"""Adversarial distillation of answers: a discriminator tells the teacher's logits from the student's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from kdcore.answer import Answer
from kdcore.discriminator import OfAnswers, judged, judging, passing
from kdcore.network import Network
from kdcore.scheme import Between, Phase, Scheme, alone, distilled, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Seen


class AdversarialAnswers(Scheme):
    """A discriminator learns to tell the teacher's answers from the student's, and the student learns to fool it.

    A fixed distance such as the divergence asks for the teacher's answer picture by picture; the discriminator asks
    that answers as a whole look like a teacher's, which a small student may manage where it cannot match each one. Its
    term is added to the recipe's methods. The discriminator's accuracy is watched: near 100 % the student has nothing
    to gain from it, near 50 % it guesses.
    """

    title = "Adversarial: on the answers"
    kind = "adversarial"
    paper = Paper(
        "Xu, Hsu, Huang", 2018, "https://arxiv.org/abs/1709.00513",
        "Training Shallow and Thin Networks for Acceleration via Knowledge Distillation with Conditional Adversarial "
        "Networks",
    )  # fmt: skip
    provenance = (
        "Losses after the paper, without its class condition. The discriminator's layer norms, its least widths and "
        "Adam are our own decision."
    )
    pitfalls = (
        "Code with a gradient reversal that is off by default lets student and discriminator cooperate.",
        "Teachers answer more surely than students: the discriminator wins early by confidence alone.",
        "The student looks a second time for the discriminator, so its batch norms count every batch twice.",
    )
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

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        yield taught_by_labels(between)
        if self.baseline:
            yield alone(between)
        with between.seeded("discriminator"):
            judge = OfAnswers(between.data().classes).to(between.device())
        learning = distilled("student", "teacher", between)
        if self.adversarial > 0:
            learning = replace(
                learning, own=passing(judge, answers), weights={"adversarial": self.adversarial}, told_by=("teacher",)
            )

        def shows() -> Sequence[Answer]:
            return [judged(judge, cast, between, answers, answers, what="answers")]

        yield Phase(
            "student", "The student learns from the teacher and tries to pass for it",
            (judging(judge, answers, answers, rate=self.judge_rate), learning), shows=shows,
        )  # fmt: skip


def answers(seen: Seen) -> Tensor:
    """(N, C) logits without their mean, which says nothing."""
    return seen.logits - seen.logits.mean(dim=1, keepdim=True)
