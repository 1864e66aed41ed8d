"""Feature maps beside one another: named rows of small pictures that share a scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class MapGrid(Answer):
    """Feature maps beside one another: named rows of small pictures that share a scale."""

    picture: numpy.ndarray
    """(h, w, 1 or 3) pixels in [0, 1]."""
    picture_says: str
    looks: dict[str, numpy.ndarray]
    """part -> (h, w) float32: mean squared activation of each place, the sum being 1: where that network looks."""
    rows: dict[str, numpy.ndarray]
    """title -> (K, h, w) float32, K maps."""
    parts: dict[str, str]
    """title -> teacher|student|baseline|difference."""
    notes: dict[str, str]
    """title -> what stands under it: layer and shape."""
    scales: dict[str, list[float]]
    """title -> [low, high] of its colours; rows of the same unit have the same."""
    channels: dict[str, list[int]]
    """title -> which of the layer's channels are shown."""
    diverging: list[str]
    """Rows whose colours are centred on zero."""
