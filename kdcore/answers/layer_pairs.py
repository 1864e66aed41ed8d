"""Pairs of a student's and a teacher's layer, the one that goes together best first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class LayerPairs(Answer):
    """Pairs of a student's and a teacher's layer, the one that goes together best first."""

    pairs: list[list[int]]
    """K pairs [student layer, teacher layer], counted from 0."""
    names: list[str]
    """K, "stage 2 ↔ stage 3"."""
    resolution: numpy.ndarray
    """(K,) shorter side of the planes over the longer: 1 where they are the same."""
    cka: numpy.ndarray
    """(K,) unbiased linear CKA, at most 1."""
    explained: numpy.ndarray
    """(K,) share in [0, 1] of the teacher layer's variance that is read linearly off the student's."""
    score: numpy.ndarray
    """(K,) the mean of the three, CKA below 0 counting as 0."""
    reasons: list[str]
    """K sentences."""
    matched: list[bool]
    """K: whether the run itself matched this pair."""
