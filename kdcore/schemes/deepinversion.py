"""DeepInversion: pictures are found by descent on their pixels, under the statistics that batch norms kept."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.data import Data
from kdcore.generation import Pool, moved, overheard, statistics_gap
from kdcore.inversion import Inversion, Round, Sought
from kdcore.network import Network
from kdcore.scheme import Between, Moment
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms


class DeepInversion(Inversion):
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
    weighed = ("classes", "norms", "smooth", "small", "compete")
    smooth: float = knob(0.01, 0.0, 10.0, help="Weight of smoothness: length of the differences of neighbours.")
    small: float = knob(0.0, 0.0, 1.0, help="Weight of the length of each picture.")
    compete: float = knob(1.0, 0.0, 20.0, help="Weight, after the first round, of disagreeing with the student.")
    shift: int = knob(1, 0, 4, help="Pictures are moved by up to so many pixels each time they are looked at.")

    def search(self, pool: Pool, teacher: Network, between: Between) -> Callable[[int], Round]:
        def each(number: int) -> Round:
            with between.seeded(f"pictures {number}"):
                pixels = Pixels(self.size, between.data()).to(between.device())

            def own(moment: Moment) -> Terms:
                pictures = moved(pixels.pixels, self.shift, moment.generator)
                with overheard(teacher) as heard:
                    theirs = moment.see("teacher", pictures, graph=True).logits
                terms = {
                    "classes": F.cross_entropy(theirs, pixels.labels, reduction="none"),
                    "norms": statistics_gap(heard),
                    "smooth": roughness(pictures),
                    "small": torch.linalg.vector_norm(pictures.flatten(1), dim=1),
                }
                if number > 1 and self.compete:
                    ours = moment.see("student", pictures, graph=True).logits
                    terms["compete"] = 1.0 - divergence(ours, theirs, 3.0)
                return terms

            return Round(pixels, own)

        return each


class Pixels(Sought):
    """Pictures that are learned themselves."""

    def __init__(self, count: int, data: Data) -> None:
        super().__init__(count, data.classes)
        self.pixels = nn.Parameter(torch.randn(count, *data.shape))

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
