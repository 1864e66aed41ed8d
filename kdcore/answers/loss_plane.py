"""The loss on a random, filter-normalised plane in weight space around student and student alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class LossPlane(Answer):
    """The loss on a random, filter-normalised plane in weight space around student and student alone."""

    at: numpy.ndarray
    """(G,) float64: steps along either direction, 1 being as long as the network's own filters; 0 is among them."""
    loss: dict[str, numpy.ndarray]
    """part -> (G, G) float64 nats; rows along the second direction, columns along the first."""
    own: dict[str, float]
    """part -> its loss as it is, with its own statistics."""
    radii: numpy.ndarray
    """(R,) float64: distances from the centre."""
    rise: dict[str, numpy.ndarray]
    """part -> (R, D) float64: loss at that distance less the loss at the centre, along D directions of their own."""
    sharpness: dict[str, float]
    """part -> mean rise at `radius`, in nats."""
    radius: float
    count: int
    """Inputs looked at."""
    loss_name: str
    inputs: str
    """pictures|points."""
    statistics: str
    """What was done about batch norm."""
