"""Semantic calibration: each student layer chooses, image by image, which teacher layers to follow."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcore.alignment import one_plane
from kdcore.connector import channels
from kdcore.geometry import gram, inner, unit
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def calibration(queries: Tensor, keys: Tensor) -> Tensor:
    """Softmax over teacher layers of inner products, (N, S, d) x (N, M, d) -> (N, S, M)."""
    return inner(queries, keys).softmax(dim=2)


def calibrated(attention: Tensor, errors: Tensor) -> Tensor:
    """Errors of all layer pairs weighted by attention, mean over student layers, (N, S, M) x (N, S, M) -> (N,)."""
    return (attention * errors).sum(dim=2).mean(dim=1)


def sorted_rows(rows: Tensor, length: int) -> Tensor:
    """Each row in falling order, read off at `length` even places from largest to smallest, (N, B) -> (N, length)."""
    ordered = rows.sort(dim=1, descending=True).values
    places = torch.linspace(0, rows.shape[1] - 1, length, device=rows.device, dtype=rows.dtype)
    entries = torch.arange(rows.shape[1], device=rows.device, dtype=rows.dtype)
    share = (1.0 - (entries.unsqueeze(1) - places).abs()).clamp(min=0.0)  # linear interpolation as one matrix
    return inner(ordered, share.T)


def padded_rows(rows: Tensor, length: int) -> Tensor:
    """Each row as it is with zeros behind, (N, B) -> (N, length). Raises ValueError for longer rows."""
    if rows.shape[1] > length:
        raise ValueError(
            f"a batch of {rows.shape[1]} pictures does not fit semckd's length={length} with row=batch; "
            f"set length to {rows.shape[1]} or more, or row to sorted"
        )
    return nn.functional.pad(rows, (0, length - rows.shape[1]))


class SemanticCalibration(Method):
    """Let each student layer choose which teacher layers to follow, image by image.

    How alike an image is to the others of the batch describes what a layer makes of it. The layers' descriptions are
    compared, and the student attends to the teacher layers that see the image as it does.
    """

    title = "Semantic calibration (SemCKD)"
    family = "feature"
    formula = (
        r"\frac{1}{S} \sum_i \sum_j \alpha_{ij} \, \frac{1}{chw} \left\Vert p_{ij}(F_S^i) - F_T^j \right\Vert_2^2, "
        r"\quad \alpha_{i\cdot} = \mathrm{softmax}_j \left(q_i^\top k_j\right)"
    )
    paper = Paper(
        "Chen, Mei, Zhang, Wang, Feng, Chen",
        2021,
        "https://arxiv.org/abs/2012.03236",
        "Cross-Layer Distillation with Semantic Calibration",
    )
    provenance = (
        "authors' code. Our decision: the row of similarities is sorted and read off at a fixed number of places, so "
        "any batch size works and the order of the batch does not matter (row=batch is the authors')"
    )
    convention = (
        "Mean over elements, attention-weighted sum over teacher layers, mean over student layers and images, as the "
        "authors have it, there with weight 400 and soft targets beside it (ImageNet 50)."
        " Here 7, by measurement: on small pictures its gradient is then 0.3 to 0.9 times cross-entropy's."
    )
    pitfalls = (
        "Queries and keys have length one: with 3 teacher layers no attention can exceed 0.787.",
        "With the authors' row=batch the batch size is built in, and the last incomplete batch must be dropped.",
        "One projection for every pair of layers: with many or wide layers these outweigh the student.",
    )
    weight = 7.0
    rests = False
    matches = "all"
    reads = ("maps",)
    shows = (Shown("channels", "projected map", "activation"),)
    attends = "student"
    """Whose layers share out their attention over the other side's."""
    row: str = knob(
        "sorted", choices=("sorted", "batch"), help="An image's similarities in falling order, or in the batch's order."
    )
    length: int = knob(64, 4, 4096, help="Numbers that describe an image; with row=batch at least the batch size.")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        self.queries = nn.ModuleList(embedder(self.length) for _ in student.maps)
        self.keys = nn.ModuleList(embedder(self.length) for _ in teacher.maps)
        self.projections = nn.ModuleList(
            projection(channels(ours), channels(theirs)) for ours in student.maps for theirs in teacher.maps
        )

    def attention(self, student: Seen, teacher: Seen) -> Tensor:
        """How much each student layer follows each teacher layer, (N, S, M); sums to 1 over the teacher's M layers."""
        queries = [embed(self.described(ours)) for embed, ours in zip(self.queries, student.maps, strict=True)]
        keys = [embed(self.described(theirs)) for embed, theirs in zip(self.keys, teacher.maps, strict=True)]
        return calibration(unit(at_least_float(torch.stack(queries, 1))), unit(at_least_float(torch.stack(keys, 1))))

    def described(self, features: Tensor) -> Tensor:
        """An image's row of similarities to the batch at a fixed length, (N, c, h, w) -> (N, length)."""
        rows = gram(at_least_float(features))
        return sorted_rows(rows, self.length) if self.row == "sorted" else padded_rows(rows, self.length)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        pairs = zip(*self.view(student, teacher), strict=True)
        errors = [(ours - theirs).square().mean(dim=(1, 2, 3)) for ours, theirs in pairs]
        attention = self.attention(student, teacher)
        return {"semckd": calibrated(attention, torch.stack(errors, dim=1).view_as(attention))}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Each student layer projected into each teacher layer's channels, and that layer: S times M pairs, the
        teacher's layers running fastest.
        """
        pairs = [one_plane(ours, theirs) for ours in student.maps for theirs in teacher.maps]
        return (
            [at_least_float(project(ours)) for project, (ours, _) in zip(self.projections, pairs, strict=True)],
            [theirs for _, theirs in pairs],
        )


def embedder(length: int) -> nn.Module:
    """Two linear layers from a row to a query or key of a quarter of its length."""
    features = length // 4
    return nn.Sequential(nn.Linear(length, 2 * features), nn.ReLU(), nn.Linear(2 * features, features))


def projection(inputs: int, outputs: int) -> nn.Module:
    """Three convolutions, 1x1, 3x3 and 1x1, over twice the teacher's channels."""
    return nn.Sequential(
        nn.Conv2d(inputs, 2 * outputs, 1, bias=False),
        nn.BatchNorm2d(2 * outputs),
        nn.ReLU(),
        nn.Conv2d(2 * outputs, 2 * outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * outputs),
        nn.ReLU(),
        nn.Conv2d(2 * outputs, outputs, 1, bias=False),
    )
