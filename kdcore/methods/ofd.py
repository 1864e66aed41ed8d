"""Overhauled feature distillation: the distance where the teacher fires, at most a margin where it does not."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kdcore.alignment import preact_pairs
from kdcore.connector import normalised_connector
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def margin(mean: Tensor, deviation: Tensor) -> Tensor:
    """What a normal variable comes to on average where it is negative; -3 deviations where it hardly ever is.

    >>> margin(torch.tensor([0.0, 4.0]), torch.tensor([1.0, 1.0]))
    tensor([-0.7979, -3.0000])
    """
    deviation = deviation.clamp(min=1e-12)
    ratio = mean / deviation
    density = (-0.5 * ratio.square()).exp() / math.sqrt(2.0 * math.pi)
    below = 0.5 * torch.erfc(ratio / math.sqrt(2.0))
    return torch.where(below < 0.001, -3.0 * deviation, mean - deviation * density / below.clamp(min=0.001))


def measured_margin(preact: Tensor) -> Tensor:
    """The margin of each channel from its own mean and deviation over a batch, (N, c, h, w) -> (c,)."""
    values = at_least_float(preact)
    return margin(values.mean(dim=(0, 2, 3)), values.var(dim=(0, 2, 3), unbiased=False).sqrt())


def partial_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared difference elementwise, zero where the teacher is off and the student below it."""
    counts = (student > teacher) | (teacher > 0.0)
    return (student - teacher).square() * counts


class Overhaul(Method):
    """Match the teacher before its activation: exactly where it fires, at most a margin where it does not.

    Values below zero are cut off by the ReLU anyway; that they are negative is all the student needs to know, so it
    pays there only while it lies above the margin.
    """

    title = "Feature overhaul (OFD)"
    family = "feature"
    formula = (
        r"\sum_l 2^{l-L} \, \frac{1}{chw} \sum d\left(r_l(S^l), \; \max(T^l, m^l)\right), "
        r"\quad d(s, t) = (s - t)^2 \, [\, s > t \;\text{or}\; t > 0 \,]"
    )
    paper = Paper(
        "Heo, Kim, Yun, Park, Kwak, Choi",
        2019,
        "https://arxiv.org/abs/1904.01866",
        "A Comprehensive Overhaul of Feature Distillation",
    )
    provenance = (
        "authors' code (formulas). Our decision: the margins come from the mean and deviation of the teacher's own "
        "values on one batch, where the source reads them off its batch norms; the mean over elements; pooling of the "
        "larger map; no connector where channels agree"
    )
    convention = (
        "Default: mean over elements, the last layer at weight 1 and each shallower one at half. The authors sum over "
        "elements (reduction sum, chw times larger) and divide by 1000, with weight 1."
        " Here 0.8, by measurement: on small pictures its gradient is then 0.3 to 1.2 times cross-entropy's."
    )
    pitfalls = (
        "The margins are measured once, before training: a teacher that still learns leaves them behind.",
        "The authors keep the teacher in training mode, which moves its batch norms; here it stays in evaluation mode.",
        "Read before the last activation of a stage: after it there are no negative values.",
    )
    weight = 0.8
    rests = True
    matches = "each"
    reads = ("preacts",)
    shows = (Shown("channels", "map before the activation", "activation"),)
    reduction: str = knob("mean", choices=("mean", "sum"), help="Over the elements of a layer; sum is the authors'.")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        self.connectors = nn.ModuleList(
            normalised_connector(ours, theirs) for ours, theirs in zip(student.preacts, teacher.preacts, strict=True)
        )
        for number, theirs in enumerate(teacher.preacts):
            self.register_buffer(f"margin{number}", measured_margin(theirs))

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        layers = []
        for depth_below, (ours, theirs) in enumerate(reversed(self.connected(student, teacher))):
            errors = partial_error(ours, theirs).flatten(1)
            layers.append((errors.mean(dim=1) if self.reduction == "mean" else errors.sum(dim=1)) * 0.5**depth_below)
        return {"ofd": torch.stack(layers).sum(dim=0)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The student's layers in the teacher's channels, and the teacher's cut off at the margin, (N, c, h, w)."""
        pairs = self.connected(student, teacher)
        return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]

    def connected(self, student: Seen, teacher: Seen) -> list[tuple[Tensor, Tensor]]:
        """Each pair of layers before the activation as it is compared, (N, c, h, w)."""
        found = []
        for number, (ours, theirs) in enumerate(preact_pairs(student, teacher)):
            least = self.get_buffer(f"margin{number}").to(theirs.dtype).view(-1, 1, 1)
            found.append((at_least_float(self.connectors[number](ours)), theirs.maximum(least)))
        return found
