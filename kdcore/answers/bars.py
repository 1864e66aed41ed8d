"""Grouped bars: one group of bars per category, one bar per series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class Bars(Answer):
    """Grouped bars: one group of bars per category, one bar per series."""

    series: dict[str, numpy.ndarray]
    """name -> (K,) float32."""
    categories: list[str]
    category_axis: str
    value_axis: str
    low: float
    high: float
    parts: dict[str, str]
    """name -> teacher|student|baseline, whose colour it has."""
    reference: float | None
    """A value worth a line, or None."""
    reference_says: str
