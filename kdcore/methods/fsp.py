"""Flow of solution procedure: how features turn into the features of the next layer."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.alignment import to_plane
from kdcore.connector import linear_connector
from kdcore.geometry import inner
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def strongest(features: Tensor, plane: tuple[int, int]) -> Tensor:
    """Maximum pooling to that (h, w), (N, c, h', w') -> (N, c, h, w)."""
    height, width = features.shape[2:]
    if height % plane[0] == 0 and width % plane[1] == 0:  # on CUDA adaptive pooling has no deterministic gradient
        return F.max_pool2d(features, (height // plane[0], width // plane[1]))
    return F.adaptive_max_pool2d(features, plane)


def flow(shallow: Tensor, deep: Tensor, pooling: str) -> Tensor:
    """Mean over places of the products of all channels of two layers, (N, c, h, w) x (N, c', h', w') -> (N, c, c').

    The larger plane is pooled to the smaller, by "average" or "max". In float32 at least.
    """
    plane = (min(shallow.shape[2], deep.shape[2]), min(shallow.shape[3], deep.shape[3]))
    pool = to_plane if pooling == "average" else strongest
    ours, theirs = (pool(at_least_float(side), plane).flatten(2) for side in (shallow, deep))
    return inner(ours, theirs) / ours.shape[2]


def check_layers(student: Seen, teacher: Seen) -> None:
    """Raises ValueError for fewer than two matched layers, or sides that differ in number."""
    if len(student.maps) < 2 or len(student.maps) != len(teacher.maps):
        raise ValueError(
            f"{len(student.maps)} student layers stand beside {len(teacher.maps)} teacher layers; "
            "fsp compares how a layer turns into the next: match two pairs of layers or more"
        )


class SolutionFlow(Method):
    """Let features turn into the next layer's features as they do in the teacher.

    A result can be copied without being understood. Which channels of one layer go along with which of the next says
    how the teacher proceeds.
    """

    title = "Flow of solution procedure (FSP)"
    family = "relation"
    formula = (
        r"\sum_l \frac{1}{c_l c_{l+1}} \left\Vert M_S^l - M_T^l \right\Vert_F^2, "
        r"\quad M^l_{ij} = \frac{1}{hw} \sum_{xy} F^l_{i,xy} F^{l+1}_{j,xy}"
    )
    paper = Paper(
        "Yim, Joo, Bae, Kim",
        2017,
        "https://openaccess.thecvf.com/content_cvpr_2017/html/Yim_A_Gift_From_CVPR_2017_paper.html",
        "A Gift from Knowledge Distillation: Fast Optimization, Network Minimization and Transfer Learning",
    )
    provenance = (
        "benchmark code (RepDistiller). The student learns by it alone first (own_stage) and then without it, as "
        "in the source. Our decision: flows between matched layers that follow each other, and a learned 1x1 connector "
        "where channels differ, which the source forbids"
    )
    convention = (
        "Mean over the entries of a flow, sum over flows, mean over images, as benchmark code has it, there in a stage "
        "of its own before training (weight 50 named, 1 used by KD-Zoo beside cross-entropy). The paper pools by "
        "maximum, benchmark code by average (the default)."
        " Here 20, by measurement: on small pictures its gradient is then 0.5 to 0.7 times cross-entropy's."
    )
    pitfalls = (
        "It grows with the fourth power of the activations: networks of other scales need another weight.",
        "It needs two matched layers or more.",
        "It only initialises the student, unless own_stage is 0: what it gained may be forgotten.",
    )
    weight = 20.0
    rests = True
    matches = "each"
    reads = ("maps",)
    shows = (
        Shown("matrix", "flow", "mean product of two channels", "channel", "channel of the next layer", of="next"),
    )
    own_stage = knob(
        0.3, 0.0, 0.9, help="Share of the epochs in which the student learns by this alone first. 0: beside the others."
    )
    pooling: str = knob("average", choices=("average", "max"), help="How the larger of two planes is made smaller.")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        check_layers(student, teacher)
        self.connectors = nn.ModuleList(
            linear_connector(ours, theirs) for ours, theirs in zip(student.maps, teacher.maps, strict=True)
        )

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        flows = [
            (ours - theirs).square().mean(dim=(1, 2)) for ours, theirs in zip(*self.view(student, teacher), strict=True)
        ]
        return {"fsp": torch.stack(flows).sum(dim=0)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The flows of either side between matched layers that follow each other, (N, c, c').

        Raises ValueError for fewer than two layers, or sides that differ in number.
        """
        check_layers(student, teacher)
        ours = [
            connector(at_least_float(layer)) for connector, layer in zip(self.connectors, student.maps, strict=True)
        ]
        return self.flows(ours), self.flows(list(teacher.maps))

    def flows(self, maps: list[Tensor]) -> list[Tensor]:
        """From each layer to the next, (N, c, c')."""
        return [flow(shallow, deep, self.pooling) for shallow, deep in pairwise(maps)]
