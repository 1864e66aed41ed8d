"""Signed distances to plane figures: negative inside, zero on the outline, positive outside.

Each takes coordinates x and y of any same shape and gives that shape; the figures fit into the unit circle. Formulas
after Quilez, https://iquilezles.org/articles/distfunctions2d/. The corners of polygons are bounds, not exact outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def box(x: Tensor, y: Tensor, half_width: float, half_height: float) -> Tensor:
    """An upright rectangle around the origin."""
    across, along = x.abs() - half_width, y.abs() - half_height
    return torch.hypot(across.clamp(min=0.0), along.clamp(min=0.0)) + torch.maximum(across, along).clamp(max=0.0)


def polygon(x: Tensor, y: Tensor, sides: int) -> Tensor:
    """A regular polygon with its corners on the unit circle, one side down."""
    far = None
    for side in range(sides):
        angle = 2.0 * math.pi * side / sides - math.pi / 2.0
        reach = x * math.cos(angle) + y * math.sin(angle)
        far = reach if far is None else torch.maximum(far, reach)
    assert far is not None
    return far - math.cos(math.pi / sides)


def star(x: Tensor, y: Tensor) -> Tensor:
    """Five points on the unit circle, the notches at 0.42."""
    inner, half = 0.42, math.pi / 5.0
    radius = torch.hypot(x, y)
    angle = torch.remainder(torch.atan2(x, y), 2.0 * half) - half  # 0 in the middle of a notch
    across, along = radius * angle.cos(), radius * angle.sin().abs()
    rise, run = math.sin(half), math.cos(half) - inner
    return ((across - inner) * rise - along * run) / math.hypot(rise, run)


def heart(x: Tensor, y: Tensor) -> Tensor:
    """A heart, its tip down."""
    scale = 0.69
    x, y = x.abs() * scale, y * scale + 0.53
    lobe = torch.hypot(x - 0.25, y - 0.75) - math.sqrt(2.0) / 4.0
    middle = (x + y).clamp(min=0.0) * 0.5
    flank = torch.minimum(torch.hypot(x, y - 1.0), torch.hypot(x - middle, y - middle)) * torch.sign(x - y)
    return torch.where(x + y > 1.0, lobe, flank) / scale


FIGURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "circle": lambda x, y: torch.hypot(x, y) - 0.85,
    "square": lambda x, y: box(x, y, 0.72, 0.72),
    "triangle": lambda x, y: polygon(x, y, 3),
    "star": star,
    "cross": lambda x, y: torch.minimum(box(x, y, 0.95, 0.28), box(x, y, 0.28, 0.95)),
    "ring": lambda x, y: (torch.hypot(x, y) - 0.7).abs() - 0.2,
    "heart": heart,
    "crescent": lambda x, y: torch.maximum(torch.hypot(x, y) - 0.95, 0.75 - torch.hypot(x - 0.5, y)),
    "bar": lambda x, y: box(x, y, 0.98, 0.32),
    "hexagon": lambda x, y: polygon(x, y, 6),
}
"""By name; the first few are the easiest to tell apart."""
