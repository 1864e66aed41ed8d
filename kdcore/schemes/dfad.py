"""DFAD: generator and student play for the distance of the logits, student against teacher."""

from __future__ import annotations

from torch import Tensor

from kdcore.generation import Generator, learns
from kdcore.network import Network
from kdcore.scheme import Between, Moment, Turn
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms
from kdcore.with_generator import WithGenerator, apart


class AdversarialDistillation(WithGenerator):
    """A generator makes pictures on which student and teacher say different logits; the student brings them together.

    Like zero-shot transfer, with the mean absolute difference of logits in place of the divergence of probabilities:
    its gradient does not fade as the student comes close, nor where the teacher is sure.
    """

    title = "Data-free: distance of logits (DFAD)"
    sees = "A generator drives student and teacher apart; the student learns from its pictures alone"
    paper = Paper(
        "Fang, Song, Shen, Wang, Chen, Song", 2019, "https://arxiv.org/abs/1912.11006",
        "Data-Free Adversarial Distillation",
    )  # fmt: skip
    provenance = (
        "loss from the paper, which has five student steps for each of the generator, here ten; the generator is that "
        "of DAFL; the student steps first and looks still while the generator learns; the batch-norm term is ours"
    )
    pitfalls = (
        "The generator can always raise the distance by making teacher and student shout: large logits are no insight.",
        "The pictures are not meant to look like anything.",
    )
    student_steps: int = knob(10, 1, 50, help="Steps of the student for each of the generator.", unit="steps")

    def turns(self, maker: Generator, teacher: Network, between: Between) -> tuple[Turn, ...]:
        def own(moment: Moment) -> Terms:
            return {"distance": distance(moment.see("student").logits, moment.see("teacher").logits)}

        return learns(own, self.student_steps), self.making(maker, teacher, between, apart(distance))


def distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean absolute difference of the logits, (N, C) x (N, C) -> (N,)."""
    return (student - teacher).abs().mean(dim=1)
