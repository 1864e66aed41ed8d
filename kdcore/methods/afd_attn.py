"""Attention-based feature matching: each teacher layer chooses which student layers to teach."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcore.alignment import to_plane
from kdcore.attention import energy
from kdcore.connector import channels
from kdcore.geometry import inner, unit
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def places(features: Tensor, plane: tuple[int, int]) -> Tensor:
    """Mean squared activation of each place of that plane, as a vector of length one, (N, c, h', w') -> (N, h, w)."""
    averaged = to_plane(energy(features), plane).squeeze(1)
    return unit(averaged.flatten(1)).view_as(averaged)


class AttentionMatching(Method):
    """Let each teacher layer choose, image by image, which student layers to teach.

    Attention replaces the pairing of layers by hand. What is compared is where a layer looks, so no layer needs a
    connector, and the descriptions that the attention compares do not depend on the batch size.
    """

    title = "Attention-based matching (AFD)"
    family = "feature"
    formula = (
        r"\sum_j \sum_i \alpha_{ji} \, \frac{1}{hw} \left\Vert v_S^{i \to j} - v_T^j \right\Vert_2^2, "
        r"\quad \alpha_{j\cdot} = \mathrm{softmax}_i \left(\frac{k_{ij}^\top q_j + P_T^j \cdot P_S^i}{\sqrt{d}}\right)"
    )
    paper = Paper(
        "Ji, Heo, Park",
        2021,
        "https://arxiv.org/abs/2102.02973",
        "Show, Attend and Distill: Knowledge Distillation via Attention-based Feature Matching",
    )
    provenance = "authors' code"
    convention = (
        "Mean over places, attention-weighted sum over student layers, sum over teacher layers, mean over images, as "
        "the authors have it, there with weight 200 and 0.9 of soft targets beside it."
        " Here 6, by measurement: on small pictures its gradient is then 0.3 to 1 times cross-entropy's."
    )
    pitfalls = (
        "A layer without a plane (1x1) has nothing to say: its only place has length 1.",
        "It shrinks as 1/hw: pictures with more places need a larger weight.",
        "The softmax runs over the student's layers, the other way round from SemCKD.",
        "Not zero for equal networks with several layers: attention mixes layers that differ.",
        "The batch norms of queries and keys need more than one picture in training.",
    )
    weight = 6.0
    rests = False
    matches = "all"
    reads = ("maps",)
    shows = (Shown("plane", "where it looks", "energy of a place, the map at length one", untaught=True),)
    attends = "teacher"
    """Whose layers share out their attention over the other side's."""
    features: int = knob(128, 4, 512, help="Length of queries and keys.", scale="log")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        size, count = self.features, len(teacher.maps)
        self.queries = nn.ModuleList(normalised(channels(theirs), size) for theirs in teacher.maps)
        self.keys = nn.ModuleList(nn.Sequential(normalised(channels(ours), size), nn.ReLU()) for ours in student.maps)
        self.bilinear = normalised(size, size * count)
        self.teacher_places = nn.Parameter(nn.init.xavier_normal_(torch.empty(count, size)))
        self.student_places = nn.Parameter(nn.init.xavier_normal_(torch.empty(len(student.maps), size)))

    def attention(self, student: Seen, teacher: Seen) -> Tensor:
        """How much each teacher layer teaches each student layer, (N, T, S); sums to 1 over the student's S layers."""
        queries = [query(pooled(theirs)) for query, theirs in zip(self.queries, teacher.maps, strict=True)]
        keys = [self.bilinear(key(pooled(ours))) for key, ours in zip(self.keys, student.maps, strict=True)]
        each_query = torch.stack([at_least_float(query) for query in queries], dim=1)
        each_key = torch.stack([at_least_float(key) for key in keys], dim=1).unflatten(2, (len(queries), self.features))
        agreement = (each_key * each_query.unsqueeze(1)).sum(dim=3).transpose(1, 2)
        energies = agreement + inner(self.teacher_places, self.student_places)
        return (energies / self.features**0.5).softmax(dim=2)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        pairs = zip(*self.view(student, teacher), strict=True)
        errors = [(ours - theirs).square().mean(dim=(1, 2)) for ours, theirs in pairs]
        attention = self.attention(student, teacher)
        return {"afd_attn": (attention * torch.stack(errors, dim=1).view_as(attention)).sum(dim=(1, 2))}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Where each student layer looks on the plane of each teacher layer, and where that layer does, (N, h, w): T
        times S pairs, the student's layers running fastest.
        """
        seen: tuple[list[Tensor], list[Tensor]] = ([], [])
        for theirs in teacher.maps:
            plane = (theirs.shape[2], theirs.shape[3])
            target = places(theirs, plane)
            for ours in student.maps:
                seen[0].append(places(ours, plane))
                seen[1].append(target)
        return seen


def pooled(features: Tensor) -> Tensor:
    """Channel means over the plane in float32 at least, (N, c, h, w) -> (N, c)."""
    return at_least_float(features).mean(dim=(2, 3))


def normalised(inputs: int, outputs: int) -> nn.Module:
    """A linear layer with batch norm behind it, which makes a bias needless."""
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs))
