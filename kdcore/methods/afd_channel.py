"""Channel attention: the channels that matter to the teacher are matched first."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcore.alignment import map_pairs
from kdcore.connector import channels, linear_connector
from kdcore.geometry import softened
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def shapes_of(features: Tensor) -> Tensor:
    """Each channel's plane at length one, (N, c, h, w)."""
    return softened(at_least_float(features).flatten(2), least=1e-6).view_as(features)


def attended_error(student: Tensor, teacher: Tensor, attention: Tensor) -> Tensor:
    """Mean over places of the squared difference, channels weighted, (N, c, h, w) x 2 and (N, c) -> (N,)."""
    return (attention * (student - teacher).square().mean(dim=(2, 3))).sum(dim=1)


class ChannelAttention(Method):
    """Match each channel's pattern, those first that a learned attention to the teacher's picks.

    A teacher's channel that is silent for a picture says little about it. What is compared is a channel's pattern at
    length one, so strong channels do not count twice.
    """

    title = "Channel attention (AFD, channels)"
    family = "feature"
    formula = (
        r"\sum_l \sum_k \rho_k(F_T^l) \, \frac{1}{hw} \left\Vert \frac{r_l(F_S^l)_k}{\Vert r_l(F_S^l)_k \Vert_2} "
        r"- \frac{F_{T,k}^l}{\Vert F_{T,k}^l \Vert_2} \right\Vert_2^2, \quad \textstyle\sum_k \rho_k = 1"
    )
    paper = Paper(
        "Wang, Gao, Zhao, Li, Dou, Xu",
        2020,
        "https://openreview.net/forum?id=ryxyCeHtPB",
        "Pay Attention to Features, Transfer Learn Faster CNNs",
    )
    provenance = (
        "benchmark code (KD-Zoo, which found the original attention unstable and took a squeeze-excite block). Our "
        "decision: a learned 1x1 connector where channels differ"
    )
    convention = (
        "Mean over places, attention-weighted sum over channels, sum over layers, mean over images, as KD-Zoo has it, "
        "there with weight 500."
        " Here 10, by measurement: on small pictures its gradient is then 0.9 to 1.2 times cross-entropy's (0.1 to "
        "0.2 on 28x28)."
    )
    pitfalls = (
        "The attention learns from the same loss: it may turn to the channels that are already right.",
        "It shrinks as 1/hw: pictures with more places need a larger weight.",
        "A layer without a plane (1x1) only compares signs.",
        "Not the attention over layers of the same short name (afd_attn).",
    )
    weight = 10.0
    rests = True
    matches = "each"
    reads = ("maps",)
    shows = (Shown("channels", "patterns of the channels", "activation, each channel at length one"),)
    squeeze: float = knob(1.0, 0.05, 2.0, help="Width of the attention's hidden layer, as a share of the channels.")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        pairs = list(zip(student.maps, teacher.maps, strict=True))
        self.connectors = nn.ModuleList(linear_connector(ours, theirs) for ours, theirs in pairs)
        self.attentions = nn.ModuleList(excitation(channels(theirs), self.squeeze) for _, theirs in pairs)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        pairs = zip(*self.view(student, teacher), self.attention(teacher), strict=True)
        return {"afd_channel": torch.stack([attended_error(*one) for one in pairs]).sum(dim=0)}

    def attention(self, teacher: Seen) -> list[Tensor]:
        """How much each channel of each of the teacher's layers counts, (N, c); sums to 1 over channels."""
        found = []
        for excite, theirs in zip(self.attentions, teacher.maps, strict=True):
            shares = at_least_float(excite(at_least_float(theirs).mean(dim=(2, 3)))).sigmoid()
            found.append(shares / shares.sum(dim=1, keepdim=True))
        return found

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Each channel's pattern at length one, the student's in the teacher's channels, (N, c, h, w)."""
        pairs = list(map_pairs(student, teacher))
        ours = [shapes_of(connect(mine)) for connect, (mine, _) in zip(self.connectors, pairs, strict=True)]
        return ours, [shapes_of(theirs) for _, theirs in pairs]


def excitation(width: int, squeeze: float) -> nn.Module:
    """Two linear layers with a ReLU between, (N, width) -> (N, width), started as the source does."""
    hidden = max(1, round(width * squeeze))
    first, second = nn.Linear(width, hidden), nn.Linear(hidden, width)
    for layer in (first, second):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    return nn.Sequential(first, nn.ReLU(), second)
