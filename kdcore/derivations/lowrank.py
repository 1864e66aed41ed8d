"""Low rank: each layer becomes two thinner ones, from its largest singular values."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcore.derivation import Replacing, geometry, like, splits
from kdcore.spec import knob
from kdcore.vocabulary import Paper


class LowRank(Replacing):
    """Each layer is split into two thinner ones whose product comes nearest to it.

    The truncated singular value decomposition has the least error of all matrices of that rank (Eckart and Young), and
    the root of each singular value goes to either side, so that both learn at the same pace. Nothing stands between
    the two: no activation and no norm. A layer for which two would need as many numbers stays.
    """

    title = "Low rank (SVD)"
    paper = Paper(
        "Denton, Zaremba, Bruna, LeCun, Fergus", 2014, "https://arxiv.org/abs/1404.0736",
        "Exploiting Linear Structure Within Convolutional Networks for Efficient Evaluation",
    )  # fmt: skip
    provenance = "linear algebra; the spatial form is Jaderberg et al., https://arxiv.org/abs/1405.3866"
    ratio: float = knob(0.5, 0.02, 1.0, help="Share of a layer's numbers that its two factors have.")
    factors: str = knob("channel", choices=("channel", "spatial"), help="How a convolution is cut.")

    def instead(self, layer: nn.Conv2d | nn.Linear) -> nn.Module | None:
        each = cost(layer, self.factors)
        rank = max(1, int(self.ratio * layer.weight.numel() / each))
        if not splits(layer) or (self.ratio < 1.0 and rank * each >= layer.weight.numel()):
            return None
        return split(layer, min(rank, full_rank(layer, self.factors)), self.factors)


def cost(layer: nn.Conv2d | nn.Linear, factors: str) -> int:
    """Numbers that the two factors need for each rank, without the bias."""
    return sum(_matrix(layer.weight, factors).shape)


def full_rank(layer: nn.Conv2d | nn.Linear, factors: str) -> int:
    """The rank from which nothing is lost."""
    return min(_matrix(layer.weight, factors).shape)


def svd_factors(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(m, n) -> (m, rank) and (rank, n), whose product is the nearest of that rank, in the matrix's dtype."""
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    root = values[:rank].sqrt()
    return (left[:, :rank] * root).to(matrix.dtype), (root[:, None] * right[:rank]).to(matrix.dtype)


def rank_for(matrix: Tensor, energy: float) -> int:
    """The least rank that keeps this share of the sum of squares."""
    values = torch.linalg.svdvals(matrix.double()).square().cumsum(0)
    return int((values < energy * values[-1]).sum()) + 1


@torch.no_grad()
def split(layer: nn.Conv2d | nn.Linear, rank: int, factors: str) -> nn.Sequential:
    """Two layers of that rank in the place of one; the second has the bias.

    linear: n -> r -> m. channel: k x k with the stride, then 1 x 1. spatial: k x 1, then 1 x k, each with its part of
    stride and padding.
    """
    weight, biased = layer.weight, layer.bias is not None
    left, right = svd_factors(_matrix(weight, factors), rank)
    first: nn.Conv2d | nn.Linear
    second: nn.Conv2d | nn.Linear
    kind = like(weight)
    if isinstance(layer, nn.Linear):
        first = nn.Linear(layer.in_features, rank, bias=False, **kind)
        second = nn.Linear(rank, layer.out_features, bias=biased, **kind)
        new = right, left
    else:
        outputs, inputs, height, width = weight.shape
        stride, padding = geometry(layer)
        if factors == "channel":
            first = nn.Conv2d(inputs, rank, (height, width), stride, padding, bias=False, **kind)
            second = nn.Conv2d(rank, outputs, 1, bias=biased, **kind)
            new = right.view(rank, inputs, height, width), left[:, :, None, None]
        else:
            (down, across), (top, side) = stride, padding
            first = nn.Conv2d(inputs, rank, (height, 1), (down, 1), (top, 0), bias=False, **kind)
            second = nn.Conv2d(rank, outputs, (1, width), (1, across), (0, side), bias=biased, **kind)
            new = (
                left.view(inputs, height, rank).permute(2, 0, 1)[..., None],
                right.view(rank, outputs, width).permute(1, 0, 2)[:, :, None],
            )
    first.weight.copy_(new[0])
    second.weight.copy_(new[1])
    if layer.bias is not None and second.bias is not None:
        second.bias.copy_(layer.bias)
    return nn.Sequential(first, second)


def _matrix(weight: Tensor, factors: str) -> Tensor:
    """linear (m, n) as it is; channel (C_out, C_in k k); spatial (C_in k, C_out k)."""
    if weight.ndim == 4 and factors == "spatial":
        return weight.permute(1, 2, 0, 3).flatten(2).flatten(0, 1)
    return weight.flatten(1)
