"""Variational information distillation: how well the student's map tells the teacher's."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.alignment import map_pairs
from kdcore.connector import channels
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms

LEAST = 1e-5
"""The smallest variance."""


def log_scale_of(variance: float) -> float:
    """The number whose softplus is that variance, less the smallest one."""
    return math.log(math.expm1(variance - LEAST))


def surprise(mean: Tensor, teacher: Tensor, variance: Tensor) -> Tensor:
    """Negative log-likelihood of the teacher's map without its constant, mean over elements, (N, c, h, w) -> (N,).

    `variance` is (c,), one for each of the teacher's channels.
    """
    spread = variance.view(-1, 1, 1)
    return (0.5 * ((mean - teacher).square() / spread + spread.log())).mean(dim=(1, 2, 3))


class InformationTransfer(Method):
    """Hold the information that would tell the teacher's layers.

    A small network guesses each teacher layer from the student's, with a learned spread for each channel: what the
    student cannot know widens the spread instead of pulling at it. Likelihood bounds the shared information from below.
    """

    title = "Variational information (VID)"
    family = "feature"
    formula = (
        r"\sum_l \frac{1}{chw} \sum_{kij} \frac{1}{2} \left( \frac{(\mu(F_S) - F_T)_{kij}^2}{\sigma_k^2} "
        r"+ \log \sigma_k^2 \right)"
    )
    paper = Paper(
        "Ahn, Hu, Damianou, Lawrence, Dai",
        2019,
        "https://arxiv.org/abs/1904.05835",
        "Variational Information Distillation for Knowledge Transfer",
    )
    provenance = (
        "benchmark code (RepDistiller; the paper's guesser has batch norms and is wider). Our decision: a start of the "
        "guesser that keeps the scale of what passes"
    )
    convention = (
        "Mean over elements, sum over layers, mean over images, without the constant half of log two pi, as benchmark "
        "code has it, there with weight 1."
        " Here 1, by measurement: on small pictures its gradient is then 0.2 to 1 times cross-entropy's (0.4 to "
        "3.3 on 28x28)."
    )
    pitfalls = (
        "It may become negative, and does not end at zero: its floor is half the logarithm of the variance.",
        "Public code exists that never trains the variances (mdistiller): a fitnet of one fifth then.",
        "While the spread is wide its pull is weak, and the guesser may do the work instead of the student.",
    )
    weight = 1.0
    rests = False
    matches = "each"
    reads = ("maps",)
    shows = (Shown("channels", "guessed map", "activation"),)
    variance: float = knob(5.0, 0.01, 100.0, help="Variance of every channel at the start.", scale="log")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        pairs = list(zip(student.maps, teacher.maps, strict=True))
        self.guessers = nn.ModuleList(guesser(channels(ours), channels(theirs)) for ours, theirs in pairs)
        self.log_scales = nn.ParameterList(
            torch.full((channels(theirs),), log_scale_of(self.variance)) for _, theirs in pairs
        )

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        pairs = zip(*self.view(student, teacher), self.variances(), strict=True)
        layers = [surprise(ours, theirs, variance) for ours, theirs, variance in pairs]
        return {"vid": torch.stack(layers).sum(dim=0)}

    def variances(self) -> list[Tensor]:
        """The variance of each channel of each of the teacher's layers, (c,)."""
        return [F.softplus(scale) + LEAST for scale in self.log_scales]

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The teacher's layers as guessed from the student's, and as they are, (N, c, h, w)."""
        pairs = list(map_pairs(student, teacher))
        guessed = [at_least_float(guess(ours)) for guess, (ours, _) in zip(self.guessers, pairs, strict=True)]
        return guessed, [theirs for _, theirs in pairs]


def guesser(inputs: int, outputs: int) -> nn.Module:
    """Three 1x1 convolutions without bias and ReLUs between, (N, inputs, h, w) -> (N, outputs, h, w)."""
    layers: list[nn.Module] = []
    for number in range(3):
        layers += [nn.Conv2d(inputs if number == 0 else outputs, outputs, 1, bias=False), nn.ReLU()]
        nn.init.kaiming_normal_(layers[-2].weight)  # type: ignore[arg-type]
    return nn.Sequential(*layers[:-1])
