"""Adversarial distillation of answers: a discriminator tells the teacher's logits from the student's."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from kdcore.discriminator import Adversarial, Court, OfAnswers
from kdcore.network import Network
from kdcore.scheme import Between
from kdcore.vocabulary import Paper, Seen


class AdversarialAnswers(Adversarial):
    """A discriminator learns to tell the teacher's answers from the student's, and the student learns to fool it.

    A fixed distance such as the divergence asks for the teacher's answer picture by picture; the discriminator asks
    that answers as a whole look like a teacher's, which a small student may manage where it cannot match each one. Its
    term is added to the recipe's methods. The discriminator's accuracy is watched: near 100 % the student has nothing
    to gain from it, near 50 % it guesses.
    """

    title = "Adversarial: on the answers"
    shown = "answers"
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

    def court(self, cast: Mapping[str, Network], between: Between) -> Court:
        with between.seeded("discriminator"):
            return Court(OfAnswers(between.data().classes).to(between.device()), answers, answers)


def answers(seen: Seen) -> Tensor:
    """(N, C) logits without their mean, which says nothing."""
    return seen.logits - seen.logits.mean(dim=1, keepdim=True)
