"""Which channel of a student goes with which of the teacher, and how much of each can be read off the student."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class ChannelPartners(Answer):
    """Channels of the student, and of the student alone, each with its partner among the teacher's."""

    layers: dict[str, str]
    """part -> layer and shape."""
    links: dict[str, numpy.ndarray]
    """student|baseline -> (M, 3) float32: own channel, the teacher's channel, correlation; the best first."""
    shown: dict[str, list[int]]
    """student|baseline -> which K of its links are drawn, counted from 0."""
    maps: dict[str, numpy.ndarray]
    """student|baseline -> (K, h, w) float32, the own channels of the links drawn; "student/teacher" the partners'."""
    map_says: str
    """What one small map is."""
    explained: dict[str, numpy.ndarray]
    """student|baseline -> (c,) float32, share in [0, 1] of each of the teacher's channels that is read linearly."""
    inputs: str
    """What the inputs are called: pictures or points."""
