"""Attention transfer: look where the teacher looks."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.alignment import map_pairs
from kdcore.attention import energy
from kdcore.geometry import root, unit
from kdcore.method import Method
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def attention_map(features: Tensor, power: int) -> Tensor:
    """Energy of each place, as a vector of length one, (N, c, h, w) -> (N, h, w)."""
    places = energy(features, power=power).squeeze(1)
    return unit(places.flatten(1)).view_as(places)


def attention_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over places of the squared difference, (N, h, w) x (N, h, w) -> (N,)."""
    return (student - teacher).square().mean(dim=(1, 2))


def attention_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Euclidean distance, not squared, (N, h, w) x (N, h, w) -> (N,)."""
    return root((student - teacher).square().sum(dim=(1, 2)))


class AttentionTransfer(Method):
    """Look where the teacher looks.

    A place of a map counts by the energy of its channels. Only where the energy lies is compared, not what the
    channels are, so networks of any width fit without a learned part.
    """

    title = "Attention transfer (AT)"
    family = "feature"
    formula = (
        r"\sum_l \frac{1}{hw} \left\Vert \frac{A_S^l}{\Vert A_S^l \Vert_2} - \frac{A_T^l}{\Vert A_T^l \Vert_2} "
        r"\right\Vert_2^2, \quad A = \frac{1}{c} \sum_k |F_k|^p"
    )
    paper = Paper(
        "Zagoruyko, Komodakis",
        2017,
        "https://arxiv.org/abs/1612.03928",
        "Paying More Attention to Attention",
    )
    provenance = "authors' code (form code) and paper (form paper, without its factor beta/2)"
    convention = (
        "Sum over layers of the mean over places, as the authors' code has it, there with weight 1000. The squared "
        "norm is hw times larger, and the paper takes the norm itself (form paper)."
        " Here 5, by measurement: on small pictures its gradient is then 0.3 to 1.1 times cross-entropy's."
    )
    pitfalls = (
        "It shrinks as 1/hw: pictures with more places need a larger weight.",
        "A layer without a plane (1x1) has nothing to say: its attention map is always 1.",
        "Code that forgets the normalisation compares how strong the networks are, not where they look.",
    )
    weight = 5.0
    rests = True
    matches = "each"
    reads = ("maps",)
    shows = (Shown("plane", "attention map", "energy of a place, the map at length one"),)
    power: int = knob(2, 1, 4, help="Power of the activations: higher listens more to the strongest channels.")
    form: str = knob("code", choices=("code", "paper"), help="Mean squared difference, or (paper) the plain norm.")

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        measure = attention_error if self.form == "code" else attention_distance
        layers = [measure(ours, theirs) for ours, theirs in zip(*self.view(student, teacher), strict=True)]
        return {"at": torch.stack(layers).sum(dim=0)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The attention maps of each pair of layers, (N, h, w)."""
        pairs = list(map_pairs(student, teacher))
        return (
            [attention_map(ours, self.power) for ours, _ in pairs],
            [attention_map(theirs, self.power) for _, theirs in pairs],
        )
