"""A straight line through the inputs: what each network says along it, and where its neurons switch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class Along(Answer):
    """A straight line through the inputs: what each network says along it, and where its neurons switch."""

    at: numpy.ndarray
    """(S,) float32: places from 0, the start, to 1, the end."""
    probabilities: dict[str, numpy.ndarray]
    """part -> (S, C) float32."""
    switches: dict[str, numpy.ndarray]
    """part -> (B,) int32: places where neurons switch in each of B equal pieces of the line."""
    regions: dict[str, int]
    """part -> linear regions met; none for a network that has no linear regions."""
    exact: dict[str, bool]
    """part -> whether that is all of them, or at least so many."""
    changes: dict[str, int]
    """part -> how often its decision changes along the line."""
    pictures: numpy.ndarray
    """(2, h, w, 1 or 3) uint8: start and end; (0, 0, 0, 1) for points."""
    ends: list[str]
    """What start and end are."""
    epoch: float
    class_names: list[str]
    line_axis: str
