"""DAFL: a generator makes what the frozen teacher is sure of, and the student learns the teacher's answers on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch.nn.functional as F

from kdcore.generation import (
    EXAMPLE,
    DataFree,
    Generator,
    learns,
    made_by,
    needs_norms,
    needs_pictures,
    noise_of,
    overheard,
    spread_of_classes,
    statistics_gap,
    told,
)  # fmt: skip
from kdcore.made_pictures import generated
from kdcore.network import Network
from kdcore.scheme import Between, Moment, Phase, Turn, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms


class DataFreeLearning(DataFree):
    """A generator learns to make pictures that the teacher is sure of, and the student learns from those alone.

    The teacher is a judge that cannot move: a good picture has one clear class (one-hot term), a strong embedding
    (activation term), and together they have all classes evenly (entropy term). No real picture is at hand.
    """

    title = "Data-free: the teacher as judge (DAFL)"
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
    norms: float = knob(
        1.0, 0.0, 20.0,
        help="Weight of a term not in the paper: the pictures have the statistics that the batch norms kept.",
    )  # fmt: skip
    temperature: float = knob(4.0, 1.0, 20.0, help="Softness of the teacher's answers to the student.")
    noise: int = knob(100, 2, 1000, help="Numbers that the generator makes a picture of.", unit="numbers", scale="log")
    width: int = knob(24, 4, 128, help="Channels of the generator's last hidden layer.", scale="log")
    made: int = knob(64, 8, 1024, help="Pictures made for each step.", unit="pictures", scale="log")
    generator_steps: int = knob(4, 1, 20, help="Steps of the generator in each step of the phase.", unit="steps")
    student_steps: int = knob(5, 1, 20, help="Steps of the student in each step of the phase.", unit="steps")
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
            pictures = maker(noise_of(self.made, self.noise, moment.generator, between.device()))
            with overheard(cast["teacher"]) as heard:
                seen = moment.see("teacher", pictures, graph=True)
            terms = {
                "one-hot": F.cross_entropy(seen.logits, seen.logits.detach().argmax(dim=1), reduction="none"),
                "even": spread_of_classes(seen.logits),
                "strong": -seen.embedding.abs().mean(dim=1),
            }
            return {**terms, "norms": statistics_gap(heard)} if self.norms else terms

        making = Turn(
            "generator", own=own, told_by=("teacher",), also={"generator": maker}, times=self.generator_steps,
            rate=self.rate, optimizer="adam",
            weights={"one-hot": self.one_hot, "even": self.even, "strong": self.strong, "norms": self.norms},
        )  # fmt: skip
        yield Phase(
            "student", "A generator makes pictures that the teacher is sure of; the student learns from these alone",
            (making, learns(told(self.temperature), self.student_steps)),
            supply=made_by(maker, self.made, between.device()), shows=generated(maker, cast["teacher"], between),
        )  # fmt: skip
