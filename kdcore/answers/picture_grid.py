"""Small pictures in rows, each with a name and how sure somebody is of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class PictureGrid(Answer):
    """Small pictures in rows, each with a name and how sure somebody is of it."""

    pictures: numpy.ndarray
    """(K, h, w, 1 or 3) uint8."""
    names: list[str]
    """K words, one under each picture."""
    shares: numpy.ndarray
    """(K,) float32 in [0, 1], what stands beside the name."""
    names_say: str
    """What the names are."""
    shares_say: str
    """What the shares are."""
