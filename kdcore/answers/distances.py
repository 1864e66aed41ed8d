"""How far inputs lie from the boundaries of a layer's neurons, and on which side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class Distances(Answer):
    """How far inputs lie from the boundaries of a layer's neurons, and on which side."""

    edges: numpy.ndarray
    """(B + 1,) float32; the first and last bin hold everything beyond as well."""
    shares: dict[str, numpy.ndarray]
    """part -> (B,) float32: shares of all neurons on all inputs, adding up to 1."""
    wrong: dict[str, float]
    """part -> share that lies on the other side than the teacher's."""
    margin: float
    """AB's."""
    margin_is: str
    """own: the run's method pays up to there; reference: the run does not use AB, and this is its default."""
    inside: dict[str, float]
    """part -> share on the teacher's side but within the margin."""
    distance_axis: str
    share_axis: str
