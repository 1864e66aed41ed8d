"""Lengths, directions and Gram matrices whose gradients stay finite where the textbook's do not."""

from __future__ import annotations

import torch
from torch import Tensor

NOTHING = 1e-24
"""Squared lengths up to here count as zero (a length of 1e-12, the bound that public code takes)."""


def root(squares: Tensor) -> Tensor:
    """Square roots of non-negative numbers, with gradient 0 instead of infinity at 0.

    >>> root(torch.tensor([0.0, 9.0]))
    tensor([0., 3.])
    """
    there = squares > NOTHING
    return torch.where(there, squares, 1.0).sqrt() * there


def unit(vectors: Tensor, *, dim: int = -1) -> Tensor:
    """The vectors along `dim` at length one; a zero vector stays zero and gets no gradient.

    Dividing by max(length, 1e-12), as public code does, multiplies the gradient of a dead map by 1e12.

    >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    squares = vectors.square().sum(dim=dim, keepdim=True)
    there = squares > NOTHING
    return vectors * (torch.where(there, squares, 1.0).rsqrt() * there)


def softened(vectors: Tensor, *, least: float, dim: int = -1) -> Tensor:
    """The vectors along `dim` divided by their length plus `least`, as some public code guards against zero.

    Unlike there, a zero vector gets no gradient.
    """
    length = root(vectors.square().sum(dim=dim, keepdim=True))
    return unit(vectors, dim=dim) * (length / (length + least))


def inner(one: Tensor, other: Tensor) -> Tensor:
    """Inner products of all rows, (…, a, d) x (…, b, d) -> (…, a, b), in full precision even under autocast.

    A half's three digits are too few for the small differences between Gram matrices.
    """
    with torch.autocast(one.device.type, enabled=False):
        return one @ other.transpose(-2, -1)


def gram(features: Tensor) -> Tensor:
    """Inner products between all images of the batch, (N, …) -> (N, N)."""
    rows = features.flatten(1)
    return inner(rows, rows)
