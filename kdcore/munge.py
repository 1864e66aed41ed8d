"""MUNGE: points made up between neighbours, for a teacher to label."""

from __future__ import annotations

import torch
from torch import Tensor


def munge(
    points: Tensor,
    size_multiplier: int,
    probability: float,
    local_variance: float,
    generator: torch.Generator,
) -> Tensor:
    """Made points that lie about where the given ones do, (N, d) -> (size_multiplier * N, d), without labels.

    In each of `size_multiplier` passes every point e meets its nearest other point e' (Euclidean, each attribute scaled
    to its range). With `probability` an attribute of both is drawn anew: e_a from a normal distribution around e'_a,
    and e'_a around e_a, of standard deviation |e_a - e'_a| / local_variance. Attributes are real numbers; the paper's
    swap of categories is left out. `generator` is on the CPU. Draws are made there, so they are the same on any device.

    Source: Bucilă, Caruana and Niculescu-Mizil, Model Compression, KDD 2006, algorithm 1. A pass sees what earlier
    pairs of the same pass changed, as in the paper; neighbours are those of the given points and stay so in all passes,
    where the paper leaves open whether they are sought anew.

    Raises ValueError for fewer than two points, and for settings outside their ranges.
    """
    if points.ndim != 2 or len(points) < 2:
        raise ValueError(f"points of shape {tuple(points.shape)}: two or more rows of numbers are needed")
    if size_multiplier < 1:
        raise ValueError(f"size_multiplier={size_multiplier}: at least one pass is needed")
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability={probability} is outside [0, 1]")
    if not local_variance > 0.0:
        raise ValueError(f"local_variance={local_variance}: it divides, so it must be above 0")
    given = points.detach().to("cpu", torch.float64)
    partner = _neighbours(given)
    count, size = given.shape
    made = []
    for _ in range(size_multiplier):
        chosen = torch.rand(count, size, generator=generator) < probability
        draws = torch.randn(2, count, size, generator=generator, dtype=torch.float64)
        rows = given.clone()
        for place, other in enumerate(partner):  # one after another: a point may be met by several
            one, two = rows[place].clone(), rows[other].clone()
            spread = (one - two).abs() / local_variance
            rows[place] = torch.where(chosen[place], two + draws[0, place] * spread, one)
            rows[other] = torch.where(chosen[place], one + draws[1, place] * spread, two)
        made.append(rows)
    return torch.cat(made).to(points.device, points.dtype)


def _neighbours(points: Tensor) -> list[int]:
    """The nearest other point of each, (N, d) on the CPU -> N places."""
    from sklearn.neighbors import NearestNeighbors  # costs a second, so not on import

    low, high = points.amin(dim=0), points.amax(dim=0)
    scaled = ((points - low) / (high - low).clamp(min=1e-12)).numpy()
    places = NearestNeighbors(n_neighbors=1).fit(scaled).kneighbors(return_distance=False)
    return [int(row[0]) for row in places]
