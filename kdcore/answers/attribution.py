"""Which places of one picture speak for a class, in the eyes of each network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class Attribution(Answer):
    """Which places of one picture speak for a class, in the eyes of each network."""

    pictures: dict[str, numpy.ndarray]
    """part -> (h, w, 1 or 3) pixels in [0, 1], as that network sees the scene."""
    said: dict[str, str]
    """part -> the class that it answers, with its probability."""
    methods: list[str]
    """The columns."""
    maps: dict[str, numpy.ndarray]
    """"part/method" -> (h, w) float32 in logits of the class, positive for it; absent where it cannot be had."""
    notes: dict[str, str]
    """"part/method" -> what stands under it."""
    agreement: dict[str, list[float]]
    """"part/method" -> [cosine, Spearman's rank correlation] of its absolute values with the teacher's."""
    completeness: dict[str, list[float]]
    """part -> [sum of its Integrated Gradients, logit at the picture less logit at the baseline]."""
    explained: str
    """The class."""
    class_names: list[str]
