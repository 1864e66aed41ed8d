"""Which classes look alike to each network, at several temperatures, and what each says of one input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class DarkKnowledge(Answer):
    """Which classes look alike to each network, at several temperatures, and what each says of one input."""

    temperatures: list[float]
    class_names: list[str]
    """The C classes shown."""
    similarity: dict[str, numpy.ndarray]
    """part -> (T, C, C) float32: mean probability (column) for the inputs of a class (row)."""
    likeness: dict[str, list[float]]
    """part (not the teacher) -> correlation with the teacher's matrix off the diagonal, for each temperature."""
    soft: dict[str, numpy.ndarray]
    """part -> (T, C) float32: the probabilities for the one input."""
    picture: numpy.ndarray
    """(h, w, 1 or 3) in [0, 1], (0, 0, 1) for a point."""
    picture_says: str
