"""Pictures in an order, with what each network makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class Gallery(Answer):
    """Pictures in an order, with what each network makes of them."""

    pictures: numpy.ndarray
    """(K, h, w, 1 or 3) uint8."""
    places: list[int]
    """K numbers: where each stands in its split; -1 for a picture of one's own."""
    truth: numpy.ndarray
    """(K,) int16, -1 where nobody knows it."""
    logits: dict[str, numpy.ndarray]
    """part -> (K, C) float32."""
    divergence: numpy.ndarray
    """(K,) float32, KL(teacher ‖ student) at temperature 1, in nats."""
    class_names: list[str]
    split: str
    """validation or test, or own."""
