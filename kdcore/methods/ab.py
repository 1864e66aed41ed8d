"""Activation boundaries: the same neurons on and off."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcore.alignment import preact_pairs
from kdcore.connector import normalised_connector
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def boundary_error(student: Tensor, teacher: Tensor, margin: float) -> Tensor:
    """Squared hinge of each neuron towards the side of zero where the teacher's is, elementwise.

    Zero where the student lies beyond the margin on the teacher's side; of the teacher only the sign counts.
    """
    towards = torch.where(teacher > 0, margin - student, margin + student)
    return towards.clamp(min=0.0).square()


class ActivationBoundaries(Method):
    """Switch the same neurons on and off as the teacher.

    What a ReLU network computes is decided by where its neurons switch; how strongly they fire is left open. Read
    before the activation, where the off side can still be seen.
    """

    title = "Activation boundaries (AB)"
    family = "feature"
    formula = r"\sum_l 2^{l-L} \, \frac{1}{chw} \sum \max\left(0, \; m - \mathrm{sign}(T^l) \, r_l(S^l)\right)^2"
    paper = Paper(
        "Heo, Lee, Yun, Choi",
        2019,
        "https://arxiv.org/abs/1811.03233",
        "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons",
    )
    provenance = (
        "authors' code; the mean over elements is KD-Zoo's. As there, the student learns by it "
        "alone first (own_stage) and then without it. Our decision: pooling of the larger map before its signs are read"
    )
    convention = (
        "Default: mean over elements, the last layer at weight 1 and each shallower one at half. The authors sum over "
        "elements (reduction sum, chw times larger) and multiply by 3/1000. KD-Zoo: mean, weight 10, margin 2."
        " Here 0.5, by measurement: on small pictures its gradient is then 0.3 to 1.2 times cross-entropy's."
    )
    pitfalls = (
        "Not zero for equal networks: neurons inside the margin still pay.",
        "The authors use it to initialise the student and then drop it; kept on, it binds the student to the teacher.",
    )
    weight = 0.5
    rests = False
    matches = "each"
    reads = ("preacts",)
    shows = (Shown("channels", "which neurons are on", "1 on, 0 off"),)
    own_stage = knob(
        0.3, 0.0, 0.9, help="Share of the epochs in which the student learns by this alone first. 0: beside the others."
    )
    margin: float = knob(1.0, 0.1, 10.0, help="How far beyond zero a neuron must lie to be left alone.")
    reduction: str = knob("mean", choices=("mean", "sum"), help="Over the elements of a layer; sum is the authors'.")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        self.connectors = nn.ModuleList(
            normalised_connector(ours, theirs) for ours, theirs in zip(student.preacts, teacher.preacts, strict=True)
        )

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        layers = []
        for depth_below, (ours, theirs) in enumerate(reversed(self.connected(student, teacher))):
            errors = boundary_error(ours, theirs, self.margin).flatten(1)
            layers.append((errors.mean(dim=1) if self.reduction == "mean" else errors.sum(dim=1)) * 0.5**depth_below)
        return {"ab": torch.stack(layers).sum(dim=0)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Which neurons are on, 1 or 0, (N, c, h, w) for each pair of layers."""
        pairs = self.connected(student, teacher)
        return [(ours > 0).to(ours.dtype) for ours, _ in pairs], [(theirs > 0).to(theirs.dtype) for _, theirs in pairs]

    def connected(self, student: Seen, teacher: Seen) -> list[tuple[Tensor, Tensor]]:
        """Each pair of layers before the activation, the student's in the teacher's channels, (N, c, h, w)."""
        pairs = preact_pairs(student, teacher)
        return [
            (at_least_float(connector(ours)), theirs)
            for connector, (ours, theirs) in zip(self.connectors, pairs, strict=True)
        ]
