"""Worse eyes for the student: noisy or coarse pictures of the scenes that the teacher sees clearly."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.data import Raw

SENSORS = ("same", "noisy", "low resolution")
NOISE = 0.3
"""Standard deviation, of the distance from black to white."""
PIECE = 4096
"""Pictures changed at once."""


def seen_by(sensor: str, raw: Raw, seed: int) -> Raw:
    """The student's pictures as a sensor shows them; the teacher keeps what it saw. 'same' gives it back as it is.

    noisy: a draw of the normal distribution is added to each number, once and for all, and what is beyond black and
    white is cut off. low resolution: means over blocks, a quarter of the side each way but four at least, shown at the
    old size. Shape and dtype stay.
    """
    if sensor == "same":
        return raw
    generator = torch.Generator().manual_seed(seed + 104_729)
    return replace(
        raw,
        images=_changed(sensor, raw.images, generator),
        test_images=_changed(sensor, raw.test_images, generator),
        partner=raw.images if raw.partner is None else raw.partner,
        test_partner=raw.test_images if raw.test_partner is None else raw.test_partner,
    )


def _changed(sensor: str, images: Tensor, generator: torch.Generator) -> Tensor:
    found = torch.empty_like(images)
    top = 255.0 if images.dtype == torch.uint8 else 1.0
    for start in range(0, len(images), PIECE):
        piece = images[start : start + PIECE].float() / top
        if sensor == "noisy":
            piece = (piece + NOISE * torch.randn(piece.shape, generator=generator)).clamp(0.0, 1.0)
        else:
            height, width = piece.shape[2:]
            coarse = F.adaptive_avg_pool2d(piece, (max(4, height // 4), max(4, width // 4)))
            piece = F.interpolate(coarse, size=(height, width), mode="nearest")
        piece = piece * top
        found[start : start + PIECE] = piece.round() if images.dtype == torch.uint8 else piece
    return found
