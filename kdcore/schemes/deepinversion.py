"""DeepInversion: pictures are found by descent on their pixels, under the statistics that batch norms kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.generation import EXAMPLE, DataFree, Pool, moved, needs_norms, needs_pictures, overheard, statistics_gap
from kdcore.inversion import Plan, Round, Sought, rounds
from kdcore.network import Network
from kdcore.scheme import Between, Moment, Phase, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms


class DeepInversion(DataFree):
    """Noise is changed pixel by pixel until the teacher sees a class in it and its batch norms find nothing unusual.

    The running means and variances of the batch norms are a memory of the real pictures that the teacher was trained
    on. In further rounds the pictures are also sought where the student does not yet agree with the teacher (adaptive
    DeepInversion).
    """

    title = "Data-free: run the teacher backwards (DeepInversion)"
    paper = Paper(
        "Yin, Molchanov, Li, Alvarez, Mallya, Hoiem, Jha, Kautz", 2020, "https://arxiv.org/abs/1912.08795",
        "Dreaming to Distill: Data-free Knowledge Transfer via DeepInversion",
    )  # fmt: skip
    provenance = (
        "terms as in the authors' code, with the plain Jensen-Shannon divergence (their code clamps probabilities to "
        "0.01 to 0.99); classes are evenly dealt, not drawn; smoothness per picture; weights and rate for small "
        "pictures are ours"
    )
    pitfalls = (
        "The teacher must have batch norm, and must stand in evaluation mode.",
        "Statistics are of the whole batch: few pictures at a time cannot have those of thousands.",
        "What is kept must be a copy: pictures kept by reference change with the next step.",
    )
    pictures: int = knob(384, 16, 8192, help="Pictures made in all.", unit="pictures", scale="log")
    rounds: int = knob(2, 1, 8, help="Rounds; from the second on, pictures are also sought against the student.")
    classes: float = knob(1.0, 0.0, 20.0, help="Weight of the cross-entropy with the class each is meant to show.")
    norms: float = knob(3.0, 0.0, 200.0, help="Weight of the distance from the statistics that the batch norms kept.")
    smooth: float = knob(0.01, 0.0, 10.0, help="Weight of smoothness: length of the differences of neighbours.")
    small: float = knob(0.0, 0.0, 1.0, help="Weight of the length of each picture.")
    compete: float = knob(1.0, 0.0, 20.0, help="Weight, after the first round, of disagreeing with the student.")
    shift: int = knob(1, 0, 4, help="Pictures are moved by up to so many pixels each time they are looked at.")
    share: float = knob(0.5, 0.05, 0.95, help="Share of the student's epochs in which pictures are sought.")
    steps: int = knob(8, 1, 50, help="Steps of the pictures in each step of their phase.", unit="steps")
    rate: float = knob(
        5.0, 0.01, 1000.0, scale="log", help="Learning rate of the pixels, as a multiple of the student's."
    )
    made: int = knob(64, 8, 1024, help="Pictures in each step of the student.", unit="pictures", scale="log")
    student_steps: int = knob(10, 1, 50, help="Steps of the student in each step of its phases.", unit="steps")
    temperature: float = knob(4.0, 1.0, 20.0, help="Softness of the teacher's answers to the student.")
    example = EXAMPLE

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        needs_pictures(between)
        needs_norms(cast["teacher"], "DeepInversion")
        yield taught_by_labels(between)
        yield from self.yardstick(between)
        data, size = between.data(), self.pictures // self.rounds
        pool = Pool(size * self.rounds, data).to(between.device())

        def each(number: int) -> Round:
            with between.seeded(f"pictures {number}"):
                pixels = Pixels(size, data.shape, data.classes).to(between.device())

            def own(moment: Moment) -> Terms:
                pictures = moved(pixels.pixels, self.shift, moment.generator)
                with overheard(cast["teacher"]) as heard:
                    teacher = moment.see("teacher", pictures, graph=True).logits
                terms = {
                    "classes": F.cross_entropy(teacher, pixels.labels, reduction="none"),
                    "norms": statistics_gap(heard),
                    "smooth": roughness(pictures),
                    "small": torch.linalg.vector_norm(pictures.flatten(1), dim=1),
                }
                if number > 1 and self.compete:
                    student = moment.see("student", pictures, graph=True).logits
                    terms["compete"] = 1.0 - divergence(student, teacher, 3.0)
                return terms

            return Round(pixels, own)

        weights = {name: getattr(self, name) for name in ("classes", "norms", "smooth", "small", "compete")}
        plan = Plan(
            self.rounds, self.share, self.steps, self.rate, weights, self.made, self.student_steps, self.temperature,
            self.shift,
        )  # fmt: skip
        yield from rounds(plan, pool, each, cast["teacher"], between)


class Pixels(Sought):
    """Pictures that are learned themselves."""

    def __init__(self, count: int, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.pixels = nn.Parameter(torch.randn(count, *shape))
        self.register_buffer("labels", torch.arange(count) % classes)

    def pictures(self) -> Tensor:
        return self.pixels


def roughness(pictures: Tensor) -> Tensor:
    """(N,): lengths of the differences of neighbours in four directions, summed."""
    down = pictures[:, :, 1:] - pictures[:, :, :-1]
    right = pictures[:, :, :, 1:] - pictures[:, :, :, :-1]
    falling = pictures[:, :, 1:, 1:] - pictures[:, :, :-1, :-1]
    rising = pictures[:, :, 1:, :-1] - pictures[:, :, :-1, 1:]
    return torch.stack([torch.linalg.vector_norm(one.flatten(1), dim=1) for one in (down, right, falling, rising)]).sum(
        dim=0
    )


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Jensen-Shannon divergence of the softened classes in bits, so in [0, 1]; (N, C) x (N, C) -> (N,)."""
    one, other = (F.softmax(logits / temperature, dim=1) for logits in (student, teacher))
    middle = 0.5 * (one + other)
    nats = torch.special.entr(middle) - 0.5 * (torch.special.entr(one) + torch.special.entr(other))
    return nats.sum(dim=1) / torch.log(torch.tensor(2.0))
