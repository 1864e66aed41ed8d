"""The gradient of a loss taken apart, while it trains: how hard each term pulls, and whether they pull together."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def taken_whole(learned: list[nn.Parameter], device: torch.device) -> Tensor:
    """(2,): the length of the gradient that the only term has on what is learned, and no cosine."""
    if not learned:
        return torch.full((2,), math.nan, device=device)
    flat = [torch.zeros_like(one).flatten() if one.grad is None else one.grad.flatten() for one in learned]
    length = torch.cat(flat).float().norm()
    return torch.stack([length, length.new_full((), math.nan)])


def taken_apart(means: list[Tensor], distilled: list[bool], learned: list[nn.Parameter]) -> Tensor:
    """(terms + 1,): each weighted term's gradient length on what is learned, and the cosine of labels and teachers."""
    device = means[0].device
    if not learned:
        return torch.full((len(means) + 1,), math.nan, device=device)
    lengths: list[Tensor] = []
    sums: dict[bool, Tensor] = {}
    for mean, told in zip(means, distilled, strict=True):
        flat = torch.zeros(1, device=device)
        if mean.requires_grad:
            found = torch.autograd.grad(mean, learned, retain_graph=True, allow_unused=True)
            flat = torch.cat(
                [torch.zeros_like(one).flatten() if part is None else part.flatten()
                 for part, one in zip(found, learned, strict=True)]
            ).float()  # fmt: skip
            sums[told] = sums[told] + flat if told in sums else flat
        lengths.append(flat.norm())
    cosine = (
        torch.cosine_similarity(sums[True], sums[False], dim=0)
        if len(sums) == 2 else torch.tensor(math.nan, device=device)
    )  # fmt: skip
    return torch.stack([*lengths, cosine])
