"""Accuracy and confusions of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class ClassGain(Answer):
    """Accuracy and confusions of each class."""

    class_names: list[str]
    counts: list[int]
    """Test inputs of each class."""
    accuracy: dict[str, numpy.ndarray]
    """part -> (C,)."""
    confusion: dict[str, numpy.ndarray]
    """part -> (C, C): share of the true class (row) that is taken for a class (column)."""
