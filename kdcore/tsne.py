"""t-SNE (van der Maaten and Hinton 2008, JMLR 9:2579), exact, as matrix products: for some hundreds of points.

scikit-learn's goes through a tree, which pays from thousands of points on; for 400 this costs a quarter of it and comes
to the same divergence.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcore.gap import principal_plane
from kdcore.patience import Way

PERPLEXITY = 30.0
STEPS = 500
EARLY, EXAGGERATION = 250, 12.0
"""Steps in which neighbours attract each other more, and how much more."""
LEAST = 1e-15
"""Share of two points that are no neighbours: what a processor does with numbers near 0 takes it ten times as long."""
TOLD = 25
"""Steps between two words on how far it is."""


def tsne(embedding: Tensor, *, way: Way | None = None) -> Tensor:
    """(N, D) -> (N, 2) float64, the same each time. Begins with the principal plane; `way` takes STEPS steps."""
    shares = neighbour_shares(embedding, min(PERPLEXITY, (len(embedding) - 1) / 3))
    shares = shares.clamp(min=LEAST).float()
    plane = principal_plane(embedding)
    places = (plane / plane[:, 0].std().clamp(min=1e-12) * 1e-4).float()
    rate = max(len(places) / EXAGGERATION / 4, 50.0)
    speed, gain = torch.zeros_like(places), torch.ones_like(places)
    exaggerated = EXAGGERATION * shares
    for step in range(STEPS):
        early = step < EARLY
        slope = _slope(exaggerated if early else shares, places)
        gain = torch.where(speed * slope < 0.0, gain + 0.2, gain * 0.8).clamp_(min=0.01)
        speed = (0.5 if early else 0.8) * speed - rate * gain * slope
        places = places + speed
        if way is not None and (step + 1) % TOLD == 0:
            way.step(TOLD)
    return places.double()


def neighbour_shares(embedding: Tensor, perplexity: float) -> Tensor:
    """How much of all neighbourhood lies between each two rows of (N, D): (N, N) float64, symmetric, sums to 1.

    Each row's Gaussian is as wide as gives it so many neighbours (the perplexity), found by halving.
    """
    rows = embedding.double()
    apart = torch.cdist(rows, rows).square()
    apart.fill_diagonal_(torch.inf)
    apart = apart - apart.min(dim=1, keepdim=True).values  # the nearest weighs 1: no row can vanish
    # In logarithms of the Gaussian's precision, which may be anything: the features have no unit.
    typical = apart[apart.isfinite()].mean().clamp(min=1e-30)
    low = torch.full((len(rows), 1), math.log(1e-12), dtype=torch.float64, device=rows.device) - typical.log()
    high = low + 2 * math.log(1e12)
    for _ in range(34):
        middle = (low + high) / 2
        wide = _entropy(apart, middle.exp()) > math.log(perplexity)
        low, high = torch.where(wide, middle, low), torch.where(wide, high, middle)
    shares = torch.softmax(-apart * ((low + high) / 2).exp(), dim=1)
    return (shares + shares.T) / (2 * len(rows))


def _entropy(apart: Tensor, precision: Tensor) -> Tensor:
    """Of each row's neighbours, (N, 1) nats."""
    logs = torch.log_softmax(-apart * precision, dim=1).clamp(min=-700.0)
    return -(logs.exp() * logs).sum(dim=1, keepdim=True)


def _slope(shares: Tensor, places: Tensor) -> Tensor:
    """The divergence's gradient, (N, 2): neighbours attract each other, all repel."""
    squares = places.square().sum(dim=1)
    near = torch.addmm(squares[:, None] + (squares + 1.0), places, places.T, alpha=-2.0).reciprocal_()
    near.fill_diagonal_(0.0)
    pull = (shares - near / near.sum()).mul_(near)
    return 4.0 * (pull.sum(dim=1, keepdim=True) * places - pull @ places)
