"""Neuron selectivity transfer: the two layers' channels as two clouds of patterns."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.alignment import map_pairs
from kdcore.geometry import inner, unit
from kdcore.method import Method
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def patterns(features: Tensor) -> Tensor:
    """Each channel's plane as a vector of length one, (N, c, h, w) -> (N, c, hw); a dead channel stays zero."""
    return unit(features.flatten(2))


def similarities(one: Tensor, other: Tensor) -> Tensor:
    """Inner products of all patterns, (N, c, hw) x (N, c', hw) -> (N, c, c'), by one matrix product.

    Broadcasting instead would build (N, c, c', hw): tens of gigabytes at 256 channels and 32x32 places.
    """
    return inner(one, other)


def squared_distances(one: Tensor, other: Tensor) -> Tensor:
    """Squared distances of all patterns, (N, c, hw) x (N, c', hw) -> (N, c, c')."""
    lengths = one.square().sum(dim=2).unsqueeze(2) + other.square().sum(dim=2).unsqueeze(1)
    return (lengths - 2.0 * similarities(one, other)).clamp(min=0.0)


def discrepancy(student: Tensor, teacher: Tensor, kernel: str) -> Tensor:
    """Squared maximum mean discrepancy between two sets of patterns, (N, c, hw) x (N, c', hw) -> (N,).

    Kernels: linear, poly2 (its square), gaussian with the mean squared distance between the two sets, over the whole
    batch, as its sigma squared.
    """
    if kernel == "gaussian":
        between = squared_distances(student, teacher)
        spread = 2.0 * between.mean().clamp(min=1e-12)
        kernels = (
            (-squared_distances(teacher, teacher) / spread).exp(),
            (-squared_distances(student, student) / spread).exp(),
            (-between / spread).exp(),
        )
    else:
        degree = 2 if kernel == "poly2" else 1
        kernels = (
            similarities(teacher, teacher).pow(degree),
            similarities(student, student).pow(degree),
            similarities(student, teacher).pow(degree),
        )
    in_teacher, in_student, across = (values.mean(dim=(1, 2)) for values in kernels)
    return in_teacher + in_student - 2.0 * across


class NeuronSelectivity(Method):
    """Let the channels together respond to the same places as the teacher's.

    Which channel does it is left open: the channels of either side are two sets of patterns, and the distributions of
    the patterns are brought together.
    """

    title = "Neuron selectivity (NST)"
    family = "feature"
    formula = (
        r"\sum_l \frac{1}{c_T^2} \sum_{jj'} k(t_j, t_{j'}) + \frac{1}{c_S^2} \sum_{ii'} k(s_i, s_{i'}) "
        r"- \frac{2}{c_S c_T} \sum_{ij} k(s_i, t_j), \quad k(x, y) = (x^\top y)^2"
    )
    paper = Paper(
        "Huang, Wang", 2017, "https://arxiv.org/abs/1707.01219", "Like What You Like: Neuron Selectivity Transfer"
    )
    provenance = "authors' code (which drops the constant term of the teacher alone) and benchmark code (RepDistiller)"
    convention = (
        "Means over channel pairs, sum over layers, mean over images, as benchmark code has it, there with weight 50 "
        "(gaussian 100 in the paper)."
        " Here 0.6, by measurement: on small pictures its gradient is then 0.3 to 1.1 times cross-entropy's."
    )
    pitfalls = (
        "With poly2 a channel and its negative are the same pattern.",
        "A layer without a plane (1x1) has only the patterns 1, -1 and 0: it says next to nothing.",
    )
    weight = 0.6
    rests = True
    matches = "each"
    reads = ("maps",)
    kernel: str = knob(
        "poly2", choices=("poly2", "linear", "gaussian"), help="How two patterns are compared. linear: only their mean."
    )

    @property
    def shows(self) -> tuple[Shown, ...]:  # type: ignore[override]
        """What the view is."""
        if self.kernel == "linear":
            return (Shown("numbers", "mean pattern", "mean over channels at length one", "place"),)
        return (Shown("matrix", "how places respond together", "mean product over channels", "place", "place"),)

    @property
    def no_view(self) -> str:  # type: ignore[override]
        """Why there is none."""
        if self.kernel != "gaussian":
            return ""
        return "With the gaussian kernel it compares infinitely many features of the channels' patterns."

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        pairs = map_pairs(student, teacher)
        layers = [discrepancy(patterns(ours), patterns(theirs), self.kernel) for ours, theirs in pairs]
        return {"nst": torch.stack(layers).sum(dim=0)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]] | None:
        """What the kernel compares: with poly2 how places respond together, (N, hw, hw), with linear the mean pattern,
        (N, hw). None with gaussian, whose features are infinitely many.
        """
        if self.kernel == "gaussian":
            return None
        moment = _together if self.kernel == "poly2" else _mean_pattern
        pairs = [(patterns(ours), patterns(theirs)) for ours, theirs in map_pairs(student, teacher)]
        return [moment(ours) for ours, _ in pairs], [moment(theirs) for _, theirs in pairs]


def _together(rows: Tensor) -> Tensor:
    return inner(rows.transpose(1, 2), rows.transpose(1, 2)) / rows.shape[1]


def _mean_pattern(rows: Tensor) -> Tensor:
    return rows.mean(dim=1)
