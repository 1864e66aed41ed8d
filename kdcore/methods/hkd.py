"""Information flow: who is whose neighbour, layer by layer, early layers only early in training."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.geometry import gram, root, unit
from kdcore.method import Method
from kdcore.pairwise import matched_maps, squared_distances
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms

LEAST = 1e-6
"""Smallest cosine affinity: opposite images would have none, and no logarithm."""


def by_angle(features: Tensor) -> Tensor:
    """Who is whose neighbour by direction, (N, …) -> (N, N), rows sum to 1. In float32 at least."""
    return _shares(((gram(unit(at_least_float(features).flatten(1))) + 1.0) / 2.0).clamp(min=LEAST))


def by_distance(features: Tensor) -> Tensor:
    """The same by 1 / (1 + distance), the Student-t kernel of degree 1."""
    return _shares(1.0 / (1.0 + root(squared_distances(features))))


def _shares(affinities: Tensor) -> Tensor:
    return affinities / affinities.sum(dim=1, keepdim=True)


def jeffreys(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over a row of (t - s)(log t - log s), both KL divergences over N, (N, N) x (N, N) -> (N,)."""
    return ((teacher - student) * (teacher.log() - student.log())).mean(dim=1)


class InformationFlow(Method):
    """Let the same images be neighbours as in the teacher, in every layer, early layers only early in training.

    How neighbourhoods change through the layers is how information flows. Networks are most open to it in a critical
    period at the start; after that only the last layer is held to the teacher.
    """

    title = "Information flow (HKD)"
    family = "relation"
    formula = (
        r"\sum_l \frac{\alpha_l}{N^2} \sum_{k \in \{\cos, t\}} \sum_{ij} "
        r"\left(p^{T,k,l}_{j|i} - p^{S,k,l}_{j|i}\right) "
        r"\log \frac{p^{T,k,l}_{j|i}}{p^{S,k,l}_{j|i}}, \quad \alpha_L = 1, \; \alpha_{l<L} = \alpha_0 \delta^{e}"
    )
    paper = Paper(
        "Passalis, Tzelepi, Tefas",
        2020,
        "https://arxiv.org/abs/2005.00727",
        "Heterogeneous Knowledge Distillation Using Information Flow Modeling",
    )
    provenance = (
        "authors' code (pkth). Our decision: e runs with the phase's progress instead of whole epochs, and the "
        "authors' auxiliary teacher is a run of its own (an assistant)"
    )
    convention = (
        "Mean over the entries of the neighbourhoods, sum over kernels and layers, as the authors have it, there "
        "alone, without labels, with 100 on all but the last layer and a decay of 0.7 for each of 50 epochs. SemCKD's "
        "port lets the decay run over layers and then gives it to the first layer only."
        " Here 100, with 10 on the others, by measurement: on small pictures its gradient is then 0.9 to 1.2 times "
        "cross-entropy's at the start and about 0.1 times after the critical period."
    )
    pitfalls = (
        "It shrinks with the square of the batch size: neighbourhoods are shares of N images, averaged over N.",
        "After the critical period only the last layer is left, which says far less.",
        "The Student-t kernel is not scaled: networks of very different activation strength never agree.",
    )
    weight = 100.0
    rests = True
    matches = "each"
    reads = ("maps",)
    shows = (
        Shown("images", "neighbours by angle", "share of a row"),
        Shown("images", "neighbours by distance", "share of a row"),
    )
    initial: float = knob(10.0, 0.0, 1000.0, help="Factor of all layers but the last at the start.")
    decay: float = knob(0.7, 0.1, 1.0, help="What of it is left after one decay step.")
    decays: float = knob(50.0, 0.0, 1000.0, help="Decay steps in the whole phase; the authors take one an epoch.")

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        ours, theirs = self.view(student, teacher)
        found = [jeffreys(mine, yours) for mine, yours in zip(ours, theirs, strict=True)]
        early = self.initial * self.decay ** (self.decays * batch.progress)
        layers = [found[place] + found[place + 1] for place in range(0, len(found), 2)]
        factors = [early] * (len(layers) - 1) + [1.0]
        return {"hkd": torch.stack([factor * layer for factor, layer in zip(factors, layers, strict=True)]).sum(dim=0)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Neighbourhoods by angle and by distance of each pair of layers, (N, N).

        Raises ValueError when the sides differ in number.
        """
        ours, theirs = (
            [kernel(layer) for layer in side for kernel in (by_angle, by_distance)]
            for side in matched_maps(student, teacher)
        )
        return ours, theirs
