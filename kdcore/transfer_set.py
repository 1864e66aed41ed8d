"""More pictures to transfer with than there are: MUNGE, and disturbed copies."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.augmentation import stronger
from kdcore.data import Split

SEARCHED = 5000
"""Rows among which neighbours are looked for at most: distances between all grow with the square."""


def munge(rows: Tensor, *, swap: float, spread: float, generator: torch.Generator) -> Tensor:
    """One pass of MUNGE over (N, …) of numbers: rows that are as likely as these, (N, …).

    Each row and its nearest neighbour (by numbers scaled to [0, 1]) redraw each number with chance `swap`: the row's
    around the neighbour's and the neighbour's around the row's, with their distance / `spread` as standard
    deviation. Bucila, Caruana, Niculescu-Mizil, KDD 2006. On the CPU; `generator` makes it repeatable.
    """
    flat = rows.detach().cpu().double().flatten(1)
    count, width = flat.shape
    low, high = flat.amin(dim=0), flat.amax(dim=0)
    scaled = (flat - low) / (high - low).clamp(min=1e-12)
    among = torch.randperm(count, generator=generator)[:SEARCHED]
    nearest = torch.empty(count, dtype=torch.long)
    for start in range(0, count, 1024):
        piece = torch.arange(start, min(count, start + 1024))
        distances = torch.cdist(scaled[piece], scaled[among])
        distances[among[None] == piece[:, None]] = torch.inf
        nearest[piece] = among[distances.argmin(dim=1)]
    found = flat.clone()
    chosen = torch.rand(count, width, generator=generator) < swap
    noise = torch.randn(2, count, width, generator=generator, dtype=torch.float64)
    for row, other in enumerate(nearest.tolist()):
        mine, theirs = found[row].clone(), found[other].clone()
        far = (mine - theirs).abs() / spread
        found[row] = torch.where(chosen[row], theirs + far * noise[0, row], mine)
        found[other] = torch.where(chosen[row], mine + far * noise[1, row], theirs)
    return found.view_as(rows.cpu()).to(rows)


def enlarged(split: Split, *, by: str, times: int, swap: float, spread: float, seed: int) -> Split:
    """The pictures and `times` as many made ones, which have no label and the truth of what they were made from.

    Made ones have places of their own, beyond all others: no two pictures share one. by: "munge", or "disturbed".
    """
    images, index = [split.images], [split.index]
    start = int(split.index.max()) + 1
    generator = torch.Generator().manual_seed(seed)
    for number in range(times):
        if by == "munge":
            images.append(munge(split.images, swap=swap, spread=spread, generator=generator))
        else:
            images.append(stronger(split.images, split.index, seed=seed, epoch=number))
        index.append(torch.arange(len(split), device=split.index.device) + start + number * len(split))
    none = torch.full_like(split.labels, -1).repeat(times)
    return Split(
        torch.cat(images), torch.cat([split.labels, none]), split.truth.repeat(times + 1), torch.cat(index)
    )  # fmt: skip
