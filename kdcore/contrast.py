"""The learned part of contrastive methods: a linear map to directions of one common space."""

from __future__ import annotations

from torch import Tensor, nn

from kdcore.geometry import unit
from kdcore.response import at_least_float


class Direction(nn.Linear):
    """A linear map whose outputs have length one, (N, D) -> (N, features). In float32 at least."""

    def forward(self, embedding: Tensor) -> Tensor:
        return unit(at_least_float(super().forward(at_least_float(embedding))))
