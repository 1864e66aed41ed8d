"""The same inputs as each network's last layer sees them, laid into a plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class Embedding(Answer):
    """The same inputs as each network's last layer sees them, laid into a plane."""

    places: dict[str, numpy.ndarray]
    """part -> (N, 2) float32, the others turned so that they lie on the teacher's."""
    labels: numpy.ndarray
    """(N,) int16: the true classes."""
    said: dict[str, numpy.ndarray]
    """part -> (N,) int16: the class that it names."""
    numbers: numpy.ndarray
    """(N,) int64: which test inputs these are."""
    pictures: numpy.ndarray
    """(N, h, w, 1 or 3) uint8, (N, 0, 0, 1) for points."""
    class_names: list[str]
    shared: dict[str, float]
    """part (not the teacher) -> share of the teacher's nearest neighbours that are its own too."""
    way: str
    """What the plane is: PCA or t-SNE."""
