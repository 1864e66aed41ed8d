"""How much of each place of a picture a feature still holds: the most noise there that leaves the feature as it is.

After Cheng et al. 2020 (arXiv 2003.03622). Noise with one standard deviation per cell is put on a picture, as much as
possible for a given change of the feature. Where much fits, the feature has discarded that place.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

TINY = 0.01
"""Noise for the feature's sensitivity, in units of the pixels."""
WIDEST = 10.0
"""Noise of a cell at most and, inversely, at least, in levels: where it ends up there, the place does not matter."""
RATE = 0.05
"""Of Adam, on the logarithm of the noise."""
PULL = 0.25
"""Of its logarithm, by which a change that is too large or too small moves all noise; 0.5 would mend it in one step."""
SETTLED = 0.25
"""Share of the steps, the last ones, over which the noise is averaged."""

Feature = Callable[[Tensor], Tensor]
"""Pictures (N, c, h, w) -> (N, D)."""


def entropies(
    feature: Feature, images: Tensor, *, cells: int, level: float, steps: int, samples: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Entropy in nats of each cell's noise (M, cells, cells), and the feature's change over the allowed one (M,).

    Images are (M, c, h, w). Maximises the sum of H_i = log sigma_i + log(2 pi e) / 2 subject to
    E |f(x + sigma eps) - f(x)|^2 = level^2 delta^2, where delta^2 is that change per variance of tiny even noise: noise
    of `level` all over would be right if the feature were linear. Adam follows log E / 2 less the mean of log sigma, in
    which a factor on all noise counts nothing while the feature is linear; that factor is set so that E is as allowed.
    """
    generator = torch.Generator().manual_seed(seed)
    count, _, height, width = images.shape
    rest = feature(images).detach()

    def change(noise: Tensor) -> Tensor:
        """Mean squared change of the feature under that noise (M, 1, h, w) over the samples, (M,)."""
        drawn = torch.randn(samples, *images.shape, generator=generator).to(images)
        moved = feature((images + noise * drawn).flatten(0, 1)).view(samples, count, -1)
        return (moved - rest).square().sum(dim=2).mean(dim=0)

    with torch.no_grad():
        tiny = torch.full_like(images[:, :1], TINY)
        allowed = level**2 * torch.stack([change(tiny) for _ in range(8)]).mean(dim=0) / TINY**2
    start = math.log(level)
    if bool((allowed <= 0.0).all()):  # nothing matters: a constant feature
        return images.new_full((count, cells, cells), start + math.log(WIDEST) + _GAUSS), torch.zeros_like(allowed)
    logarithm = torch.full((count, cells, cells), start, device=images.device, requires_grad=True)
    optimiser = torch.optim.Adam([logarithm], lr=RATE)
    kept, last = [], []
    for step in range(steps):
        noise = F.interpolate(logarithm.exp()[:, None], size=(height, width), mode="nearest-exact")
        ratio = change(noise) / allowed.clamp(min=1e-30)
        loss = (0.5 * ratio.clamp(min=1e-12).log() - logarithm.mean(dim=(1, 2))).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            logarithm -= PULL * ratio.detach().clamp(1e-3, 1e3).log()[:, None, None]
            logarithm.clamp_(start - math.log(WIDEST), start + math.log(WIDEST))
            if step >= (1.0 - SETTLED) * steps:
                kept.append(logarithm.detach().clone())
                last.append(ratio.detach())
    return torch.stack(kept).mean(dim=0) + _GAUSS, torch.stack(last).mean(dim=0)


_GAUSS = 0.5 * math.log(2.0 * math.pi * math.e)


def in_cells(cover: Tensor, cells: int) -> Tensor:
    """Which cells belong to the object, (M, cells, cells) bool: those that it covers by half, from (M, h, w)."""
    return F.adaptive_avg_pool2d(cover[:, None], cells)[:, 0] >= 0.5


def concepts(entropy: Tensor, inside: Tensor, *, threshold: float) -> tuple[Tensor, Tensor]:
    """Cells that hold a concept, (M, g, g) bool, and the background's mean entropy (M,), which they stay below.

    A cell holds one where its entropy is lower than the background's mean by more than the threshold, in nats. A
    picture that is all object is compared with its own mean.
    """
    outside = (~inside).to(entropy.dtype)
    outside = torch.where(outside.sum(dim=(1, 2), keepdim=True) > 0, outside, torch.ones_like(outside))
    mean = (entropy * outside).sum(dim=(1, 2)) / outside.sum(dim=(1, 2))
    return mean[:, None, None] - entropy > threshold, mean


def sketch(vector: Tensor, size: int = 16_384) -> Tensor:
    """At most `size` numbers whose distances are those of the vectors, within about a percent for long ones.

    Each entry is added, with a random sign, to one random place (count sketch); short vectors stay as they are.
    """
    if len(vector) <= size:
        return vector
    generator = torch.Generator().manual_seed(len(vector))
    places = torch.randint(size, (len(vector),), generator=generator).to(vector.device)
    signs = (2.0 * torch.randint(2, (len(vector),), generator=generator) - 1.0).to(vector)
    return vector.new_zeros(size).index_add_(0, places, signs * vector)
