"""A heat map per panel: rows x columns, with names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class Matrix(Answer):
    """A heat map per panel: rows x columns, with names."""

    panels: dict[str, numpy.ndarray]
    """title -> (R, K) float32; panels may differ in size only if rows/columns are given per panel."""
    rows: list[str]
    columns: list[str]
    row_axis: str
    column_axis: str
    value_axis: str
    """What the colour means, with its unit."""
    low: float
    high: float
    spread: dict[str, numpy.ndarray]
    """title -> (R, K) float32, the standard deviation behind each value, or nothing."""
    centre: dict[str, float]
    """title -> the value of no effect, where colours turn; without, they go from low to high."""
