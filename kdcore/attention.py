"""Where a network looks: spatial attention maps, the formula that attention-based methods share."""

from __future__ import annotations

from torch import Tensor

from kdcore.response import at_least_float


def energy(features: Tensor, *, power: int = 2) -> Tensor:
    """Mean over channels of |F| to the power, (N, c, h, w) -> (N, 1, h, w). In float32 at least."""
    return at_least_float(features).abs().pow(power).mean(dim=1, keepdim=True)
