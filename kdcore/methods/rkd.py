"""Relational distillation: distances and angles between images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.geometry import inner, root, unit
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms

MOST = 512
"""Images of which all angles are taken, N^3 numbers that training holds several times over."""


def differences(embedding: Tensor) -> Tensor:
    """From each image to each other, (N, D) -> (N, N, D); [i, j] leads from i to j."""
    embedding = at_least_float(embedding)
    return embedding.unsqueeze(0) - embedding.unsqueeze(1)


def distances(between: Tensor) -> Tensor:
    """Distances in units of the mean distance of images that differ, (N, N, D) -> (N, N); all 0 if none differ."""
    lengths = root(between.square().sum(dim=2))
    mean = lengths.sum() / (lengths > 0).sum().clamp(min=1)
    return lengths / torch.where(mean > 0, mean, 1.0)


def angles(between: Tensor) -> Tensor:
    """Cosines of the angles at each image, (N, N, D) -> (N, N, N); [i, j, k] is that from j over i to k.

    One matrix product per image; 0 where two of the three are the same point. Raises ValueError for more than MOST
    images.
    """
    if len(between) > MOST:
        raise ValueError(
            f"a batch of {len(between)} pictures has {len(between) ** 3:,} angles; rkd takes batches of up to {MOST}, "
            "or any with angle=0"
        )
    directions = unit(between)
    return inner(directions, directions)


class RelationalDistillation(Method):
    """Keep the teacher's geometry between images: their distances and angles.

    Where the images lie is free: both spaces may be turned, moved and scaled. Only the shape of the cloud counts.
    """

    title = "Relational distillation (RKD)"
    family = "relation"
    formula = (
        r"\frac{\lambda_D}{N^2} \sum_{ij} \ell\left(\frac{d^S_{ij}}{\mu_S} - \frac{d^T_{ij}}{\mu_T}\right) "
        r"+ \frac{\lambda_A}{N^3} \sum_{ijk} \ell\left(\cos \angle^S_{jik} - \cos \angle^T_{jik}\right)"
    )
    paper = Paper("Park, Kim, Lu, Cho", 2019, "https://arxiv.org/abs/1904.05068", "Relational Knowledge Distillation")
    provenance = "authors' code (formulas) and benchmark code (RepDistiller, mdistiller: the factors 25 and 50)"
    convention = (
        "Huber losses averaged over all pairs and triples, degenerate ones included. 25 and 50 with weight 1 for "
        "classification in benchmark code; 1 and 2 for metric learning by the authors. An image's terms are the means "
        "over its row and over the triples it stands in the middle of."
        " Here 0.05 over the factors 25 and 50, by measurement: on small pictures its gradient is then 0.3 to 1.2 "
        "times cross-entropy's (2.8 on 28x28 pictures before any training)."
    )
    pitfalls = (
        "The angles are N cubed: 2 million numbers at N=128, 134 million at N=512, and no more are taken.",
        "Distances are in units of the batch's mean, so an image's term depends on the others.",
    )
    weight = 0.05
    rests = True
    reads = ("embedding",)
    shows = (
        Shown("images", "distances", "distance in units of the mean"),
        Shown("angles", "angles at the chosen input", "cosine of the angle"),
    )
    distance: float = knob(25.0, 0.0, 1000.0, help="Factor of the distances.")
    angle: float = knob(50.0, 0.0, 1000.0, help="Factor of the angles.")

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        factors = {"distance": self.distance, "angle": self.angle}
        compared = zip(factors.items(), *self.view(student, teacher), strict=False)  # without angles at angle=0
        return {
            name: factor * F.smooth_l1_loss(ours, theirs, reduction="none").flatten(1).mean(dim=1)
            for (name, factor), ours, theirs in compared
        }

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Distances (N, N) and, unless their factor is 0, cosines of angles (N, N, N)."""
        ours, theirs = differences(student.embedding), differences(teacher.embedding)
        if self.angle == 0.0:
            return [distances(ours)], [distances(theirs)]
        return [distances(ours), angles(ours)], [distances(theirs), angles(theirs)]
