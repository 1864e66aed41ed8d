"""DFAD: generator and student play for the distance of the logits, student against teacher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from kdcore.generation import (
    EXAMPLE,
    DataFree,
    Generator,
    learns,
    made_by,
    needs_norms,
    needs_pictures,
    searching,
)
from kdcore.made_pictures import generated
from kdcore.network import Network
from kdcore.scheme import Between, Moment, Phase, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms


class AdversarialDistillation(DataFree):
    """A generator makes pictures on which student and teacher say different logits; the student brings them together.

    Like zero-shot transfer, with the mean absolute difference of logits in place of the divergence of probabilities:
    its gradient does not fade as the student comes close, nor where the teacher is sure.
    """

    title = "Data-free: distance of logits (DFAD)"
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
    norms: float = knob(
        1.0, 0.0, 20.0,
        help="Weight of a term not in the paper: the pictures have the statistics that the batch norms kept.",
    )  # fmt: skip
    noise: int = knob(100, 2, 1000, help="Numbers that the generator makes a picture of.", unit="numbers", scale="log")
    width: int = knob(24, 4, 128, help="Channels of the generator's last hidden layer.", scale="log")
    made: int = knob(64, 8, 1024, help="Pictures made for each step.", unit="pictures", scale="log")
    student_steps: int = knob(10, 1, 50, help="Steps of the student for each of the generator.", unit="steps")
    rate: float = knob(
        0.3, 0.001, 100.0, scale="log", help="Learning rate of the generator, as a multiple of the student's."
    )
    example = EXAMPLE

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        needs_pictures(between)
        if self.norms:
            needs_norms(cast["teacher"], f"norms={self.norms:g}")
        yield taught_by_labels(between)
        yield from self.yardstick(between)
        with between.seeded("generator"):
            maker = Generator(self.noise, between.data().shape, self.width).to(between.device())

        def own(moment: Moment) -> Terms:
            return {"distance": distance(moment.see("student").logits, moment.see("teacher").logits)}

        making = searching(
            maker, cast["teacher"], between, made=self.made, rate=self.rate, norms=self.norms, differ=distance
        )
        yield Phase(
            "student", "A generator drives student and teacher apart; the student learns from its pictures alone",
            (learns(own, self.student_steps), making),
            supply=made_by(maker, self.made, between.device()), shows=generated(maker, cast["teacher"], between),
        )  # fmt: skip


def distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean absolute difference of the logits, (N, C) x (N, C) -> (N,)."""
    return (student - teacher).abs().mean(dim=1)
