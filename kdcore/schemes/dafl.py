"""DAFL: a generator makes what the frozen teacher is sure of, and the student learns the teacher's answers on it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from kdcore.generation import Generator, learns, spread_of_classes, told
from kdcore.network import Network
from kdcore.scheme import Between, Moment, Turn
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Seen, Terms
from kdcore.with_generator import WithGenerator


class DataFreeLearning(WithGenerator):
    """A generator learns to make pictures that the teacher is sure of, and the student learns from those alone.

    The teacher is a judge that cannot move: a good picture has one clear class (one-hot term), a strong embedding
    (activation term), and together they have all classes evenly (entropy term). No real picture is at hand.
    """

    title = "Data-free: the teacher as judge (DAFL)"
    sees = "A generator makes pictures that the teacher is sure of; the student learns from these alone"
    paper = Paper(
        "Chen, Wang, Xu, Yang, Liu, Shi, Xu, Xu, Tian", 2019, "https://arxiv.org/abs/1904.01186",
        "Data-Free Learning of Student Networks",
    )  # fmt: skip
    provenance = (
        "terms, generator and weights (those for MNIST) as in the authors' code; turns follow one another where that "
        "code steps both at once; several steps of each, the batch-norm term and temperature 4 are ours"
    )
    pitfalls = (
        "The one-hot labels are the teacher's own first choice on the same batch: a target that moves.",
        "Entropy must be taken of the batch's mean answer; without the term the generator makes one class.",
        "Pictures that the teacher is sure of need not look like real ones.",
    )
    one_hot: float = knob(1.0, 0.0, 20.0, help="Weight of the term that wants each picture of one clear class.")
    even: float = knob(5.0, 0.0, 100.0, help="Weight of the term that wants all classes equally often.")
    strong: float = knob(0.1, 0.0, 10.0, help="Weight of the term that wants a strong embedding in the teacher.")
    temperature: float = knob(4.0, 1.0, 20.0, help="Softness of the teacher's answers to the student.")
    generator_steps: int = knob(4, 1, 20, help="Steps of the generator in each step of the phase.", unit="steps")
    student_steps: int = knob(5, 1, 20, help="Steps of the student in each step of the phase.", unit="steps")

    def turns(self, maker: Generator, teacher: Network, between: Between) -> tuple[Turn, ...]:
        making = self.making(
            maker, teacher, between, sure, times=self.generator_steps,
            weights={"one-hot": self.one_hot, "even": self.even, "strong": self.strong},
        )  # fmt: skip
        return making, learns(told(self.temperature), self.student_steps)


def sure(moment: Moment, pictures: Tensor, seen: Seen) -> Terms:
    """Each picture should have one clear class and a strong embedding, and all together all classes evenly."""
    return {
        "one-hot": F.cross_entropy(seen.logits, seen.logits.detach().argmax(dim=1), reduction="none"),
        "even": spread_of_classes(seen.logits),
        "strong": -seen.embedding.abs().mean(dim=1),
    }
