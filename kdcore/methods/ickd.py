"""Inter-channel correlation: which channels of a layer go together."""

from __future__ import annotations

from torch import Tensor

from kdcore.connector import normalised_connector
from kdcore.geometry import inner, unit
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def channel_correlation(features: Tensor) -> Tensor:
    """How alike each channel is to all others, rows of length one, (N, c, h, w) -> (N, c, c)."""
    rows = at_least_float(features).flatten(2)
    return unit(inner(rows, rows))


class ChannelCorrelation(Method):
    """Let the same channels go together as in the teacher, image by image.

    Where channels respond is left open; that they respond alike or differently, the layer's diversity, is compared.
    Places may be many or few, so planes need not agree.
    """

    title = "Inter-channel correlation (ICKD)"
    family = "feature"
    formula = (
        r"\frac{1}{c} \left\Vert \tilde{G}_S - \tilde{G}_T \right\Vert_F^2, "
        r"\quad G = F F^\top \in \mathbb{R}^{c \times c} \; \text{with rows of length one}"
    )
    paper = Paper(
        "Liu, Huang, Lin, Xie, Wang, Chang, Liang",
        2021,
        "https://arxiv.org/abs/2202.03680",
        "Exploring Inter-Channel Correlation for Diversity-Preserved Knowledge Distillation",
    )
    provenance = "authors' code. Our decision: no connector where channels agree"
    convention = (
        "Sum over channel pairs divided by the channels, mean over images, as the authors have it, there with weight "
        "2.5 beside soft targets. torchdistill divides by the batch once more."
        " Here 3, by measurement: on small pictures its gradient is then 0.2 to 1.8 times cross-entropy's."
    )
    pitfalls = (
        "The order of channels counts: the connector has to find it.",
        "It sees no places: a picture shuffled in its places is the same.",
    )
    weight = 3.0
    rests = True
    matches = "one"
    prefers = "last"
    reads = ("maps",)
    shows = (Shown("matrix", "how alike the channels are", "inner product of two channels", "channel", "channel"),)

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        self.connector = normalised_connector(student.maps[0], teacher.maps[0])

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        return {"ickd": (ours - theirs).square().sum(dim=2).mean(dim=1)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """How alike the channels are, (N, c, c), the student's in the teacher's channels."""
        ours = self.connector(at_least_float(student.maps[0]))
        return [channel_correlation(ours)], [channel_correlation(teacher.maps[0])]
