"""Instance relationship graph: images as vertices, distances as edges, and how the edges change with depth."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from kdcore.geometry import NOTHING
from kdcore.method import Method
from kdcore.pairwise import matched_maps, squared_distances
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def edges(features: Tensor) -> Tensor:
    """Squared distances between all images in units of the largest, (N, …) -> (N, N); all 0 if none differ."""
    apart = squared_distances(features)
    largest = apart.max()
    return apart / torch.where(largest > NOTHING, largest, 1.0)


def change(shallow: Tensor, deep: Tensor) -> Tensor:
    """How much an image's edges change from one layer to the next, (N, N) x (N, N) -> (N,)."""
    return (shallow - deep).square().mean(dim=1)


class RelationshipGraph(Method):
    """Keep the graph between images: what they are, how far apart, and how that changes from layer to layer.

    Features alone are strict, and relations alone forget the images. How the relations change with depth is the
    teacher's way of telling images apart, and leaves each layer free.
    """

    title = "Instance relationship graph (IRG)"
    family = "relation"
    formula = (
        r"\frac{\lambda_V}{NC} \Vert z_S - z_T \Vert_2^2 "
        r"+ \frac{\lambda_E}{L} \sum_l \frac{1}{N^2} \Vert E_S^l - E_T^l \Vert_F^2 "
        r"+ \frac{\lambda_C}{(L-1) N} \sum_{l,i} \left(\Delta_S^{l,i} - \Delta_T^{l,i}\right)^2, "
        r"\quad \Delta^{l,i} = \frac{1}{N} \sum_j \left(E^l_{ij} - E^{l+1}_{ij}\right)^2"
    )
    paper = Paper(
        "Liu, Cao, Li, Yuan, Hu, Li, Duan",
        2019,
        "https://openaccess.thecvf.com/content_CVPR_2019/html/"
        "Liu_Knowledge_Distillation_via_Instance_Relationship_Graph_CVPR_2019_paper.html",
        "Knowledge Distillation via Instance Relationship Graph",
    )
    provenance = (
        "benchmark code (KD-Zoo: logits as vertices and the factors; SemCKD: change of the edges). Our decision: the "
        "change is compared image by image, and between all matched layers that follow each other"
    )
    convention = (
        "Means over entries and layers, factors 0.1, 5 and 5 as in KD-Zoo (weight 1); SemCKD takes weight 0.005 with "
        "factors 1. SemCKD compares the change of the whole batch, one number, which is never more than ours."
        " Here 0.4, by measurement: on small pictures its gradient is then 0.7 times cross-entropy's."
    )
    pitfalls = (
        "Edges are in units of the batch's largest distance: one outlier shrinks all others.",
        "With one matched layer there is no change to compare, and that term is missing.",
        "The vertices are plain logit regression: with their factor at 0 only relations are taught.",
    )
    weight = 0.4
    rests = True
    matches = "each"
    reads = ("logits", "maps")
    shows = (Shown("images", "edges between images", "squared distance in units of the largest"),)
    vertex: float = knob(0.1, 0.0, 100.0, help="Factor of the logits' squared error.")
    edge: float = knob(5.0, 0.0, 1000.0, help="Factor of the distances between images.")
    transformation: float = knob(5.0, 0.0, 1000.0, help="Factor of how the distances change from layer to layer.")

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        ours, theirs = self.view(student, teacher)
        errors = (at_least_float(student.logits) - at_least_float(teacher.logits)).square().mean(dim=1)
        apart = [(mine - yours).square().mean(dim=1) for mine, yours in zip(ours, theirs, strict=True)]
        terms = {"vertex": self.vertex * errors, "edge": self.edge * torch.stack(apart).mean(dim=0)}
        if len(ours) > 1:
            changes = [
                (change(*mine) - change(*yours)).square()
                for mine, yours in zip(pairwise(ours), pairwise(theirs), strict=True)
            ]
            terms["transformation"] = self.transformation * torch.stack(changes).mean(dim=0)
        return terms

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The edges of each pair of layers, (N, N). Raises ValueError when the sides differ in number."""
        ours, theirs = matched_maps(student, teacher)
        return [edges(layer) for layer in ours], [edges(layer) for layer in theirs]
