"""Knowledge review: what a deep layer knows helps a shallower one to be taught."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcore.alignment import one_plane, to_plane
from kdcore.connector import channels
from kdcore.fusion import Fusion, normalised_convolution
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms

GRIDS = (4, 2, 1)


def context_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference at the full plane and on ever coarser grids, (N, c, h, w) x (N, c, h, w) -> (N,).

    Each coarser grid counts half as much as the one before; the weights sum to 1.
    """
    errors, weight, total = (student - teacher).square().mean(dim=(1, 2, 3)), 1.0, 1.0
    for grid in GRIDS:
        if grid >= student.shape[2]:
            continue
        plane = (grid, min(grid, student.shape[3]))
        weight /= 2.0
        total += weight
        errors = errors + weight * (to_plane(student, plane) - to_plane(teacher, plane)).square().mean(dim=(1, 2, 3))
    return errors / total


class KnowledgeReview(Method):
    """Teach each layer with the help of all deeper ones.

    From the deepest layer to the shallowest, learned gates mix what was fused so far into the next layer, so a
    teacher's early layer also teaches the student's late ones, as one reviews old matter with new understanding.
    """

    title = "Knowledge review (ReviewKD)"
    family = "feature"
    formula = (
        r"\sum_l \frac{1}{\sum_g w_g} \sum_{g} w_g \, \frac{1}{c g^2} "
        r"\left\Vert A_g(r_l(U^l)) - A_g(T^l) \right\Vert_2^2, "
        r"\quad U^l = \gamma^l \odot s_l(F_S^l) + \bar\gamma^l \odot U^{l+1}"
    )
    paper = Paper(
        "Chen, Liu, Zhao, Jia", 2021, "https://arxiv.org/abs/2104.09044", "Distilling Knowledge via Knowledge Review"
    )
    provenance = (
        "authors' code. Our decision: all shapes come from what was seen, the layers are those of the pairing, and the "
        "larger of two planes is averaged down"
    )
    convention = (
        "Mean over elements on each grid, grids weighted to 1, sum over layers and the embedding, as the authors have "
        "it, there with weight 0.6 to 8 by pair and a warm-up over 20 of 240 epochs (warmup 0.083; off here by "
        "default)."
        " Here 0.5, by measurement: on small pictures its gradient is then 0.3 to 0.5 times cross-entropy's (0.8 "
        "to 2 on 28x28)."
    )
    pitfalls = (
        "The student is read after its activation, the teacher before it, as the authors do for small pictures.",
        "Its learned parts may outweigh a small student.",
        "Its batch norms need more than one picture in training.",
    )
    weight = 0.5
    rests = False
    matches = "each"
    reads = ("maps", "preacts", "embedding")
    shows = (Shown("channels", "fused map", "activation"),)
    features: int = knob(512, 4, 512, help="Channels in which layers are fused, at most the embedding's.", scale="log")
    warmup: float = knob(0.0, 0.0, 1.0, help="Share of the phase over which the loss rises from nothing to full.")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        ours, theirs = levels(student.maps, student.embedding), levels(teacher.preacts, teacher.embedding)
        middle = min(self.features, channels(ours[-1]))
        self.fusion = Fusion([channels(layer) for layer in ours], middle)
        self.writers = nn.ModuleList(normalised_convolution(middle, channels(layer), 3) for layer in theirs)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        pairs = zip(*self.view(student, teacher), strict=True)
        risen = min(1.0, batch.progress / self.warmup) if self.warmup > 0.0 else 1.0
        return {"reviewkd": risen * torch.stack([context_error(ours, theirs) for ours, theirs in pairs]).sum(dim=0)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Each student layer as fused with all deeper ones and the teacher's before its activation, (N, c, h, w); the
        embeddings stand last, (N, D, 1, 1). Raises ValueError when the sides differ in number.
        """
        ours, theirs = levels(student.maps, student.embedding), levels(teacher.preacts, teacher.embedding)
        if len(ours) != len(theirs):
            raise ValueError(
                f"{len(ours) - 1} student layers stand beside {len(theirs) - 1} teacher layers; "
                "reviewkd matches layers pair by pair"
            )
        written = [write(layer) for write, layer in zip(self.writers, self.fusion(ours), strict=True)]
        pairs = [one_plane(mine, target) for mine, target in zip(written, theirs, strict=True)]
        return [mine for mine, _ in pairs], [target for _, target in pairs]


def levels(layers: tuple[Tensor, ...], embedding: Tensor) -> list[Tensor]:
    """The layers and, deepest of all, the embedding as a map of one place, (N, D) -> (N, D, 1, 1)."""
    return [*(at_least_float(layer) for layer in layers), at_least_float(embedding)[:, :, None, None]]
