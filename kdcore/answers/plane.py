"""A two-dimensional input plane per network: decision regions and the zero lines of a layer's neurons."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class Plane(Answer):
    """A two-dimensional input plane per network: decision regions and the zero lines of a layer's neurons."""

    x: numpy.ndarray
    """(W,) input coordinate."""
    y: numpy.ndarray
    """(H,)."""
    decisions: dict[str, numpy.ndarray]
    """part -> (H, W) int16: the predicted class."""
    lines: dict[str, numpy.ndarray]
    """part -> (P, 2) float32: the zero lines of the chosen layer's neurons, a NaN row after each line."""
    disagreement: dict[str, numpy.ndarray]
    """part -> (H, W) int16: 1 where it decides otherwise than the teacher."""
    agreement: dict[str, float]
    """part -> share in [0, 1] of what `agreement_of` names on which it decides as the teacher does."""
    points: numpy.ndarray
    """(N, 2) test points, or where three pictures lie."""
    labels: numpy.ndarray
    """(N,) int16."""
    class_names: list[str]
    layers: dict[str, str]
    """part -> the layer drawn and how many neurons it has."""
    x_axis: str
    y_axis: str
    agreement_of: str = "test points"
    signs: dict[str, numpy.ndarray] = field(default_factory=dict)
    """part -> (H, W) float32: share of the teacher's neurons of the layer that are on or off as in the teacher. Where
    there are any, they are what is to be drawn."""
    signs_mean: dict[str, float] = field(default_factory=dict)
    """part -> their mean over the plane."""
    pictures: numpy.ndarray = field(default_factory=lambda: numpy.zeros((0, 0, 0, 1), dtype=numpy.uint8))
    """(N, h, w, 1 or 3) uint8: the pictures that the points are, none for points that are points."""
    picture_names: list[str] = field(default_factory=list)
