"""Two pictures made one: mixup and CutMix, for whole batches, from draws that can be replayed."""

from __future__ import annotations

import torch
from torch import Tensor


def mixup(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Each picture faded into another: (N, …) -> mixed (N, …), partners (N,), share of its own (N,), even in [0, 1)."""
    partners = torch.randperm(len(images), generator=generator).to(images.device)
    share = torch.rand(len(images), generator=generator).to(images)
    own = share.view(-1, *[1] * (images.ndim - 1))
    return own * images + (1.0 - own) * images[partners], partners, share


def cutmix(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A rectangle of another picture in each: (N, c, h, w) -> mixed, partners (N,), the share that is its own (N,).

    The rectangle has the picture's proportions, a random area and a random middle, and is cut at the edge.
    """
    count, _, height, width = images.shape
    partners = torch.randperm(count, generator=generator).to(images.device)
    side = (1.0 - torch.rand(count, generator=generator)).sqrt()
    middle = torch.rand(2, count, generator=generator)

    def inside(length: int, at: Tensor) -> Tensor:
        places = torch.arange(length) + 0.5
        return (places[None] - (at * length)[:, None]).abs() <= (side * length / 2)[:, None]

    cut = (inside(height, middle[0])[:, :, None] & inside(width, middle[1])[:, None, :]).to(images.device)
    share = 1.0 - cut.float().mean(dim=(1, 2))
    return torch.where(cut[:, None], images[partners], images), partners, share.to(images.dtype)
