"""Loss and accuracy along the straight line in weight space from the student alone to the distilled student."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class LossLine(Answer):
    """Loss and accuracy along the straight line in weight space from the student alone to the distilled student."""

    at: numpy.ndarray
    """(P,) float64: place on the line, 0 the student alone, 1 the student; 0 and 1 are among them."""
    loss: dict[str, numpy.ndarray]
    """validation|training -> (P,) float64, mean over the inputs, in nats."""
    accuracy: dict[str, numpy.ndarray]
    """The same, in [0, 1]."""
    own_loss: dict[str, numpy.ndarray]
    """validation|training -> (2,) float64: of student alone and student as they are, with their own statistics."""
    own_accuracy: dict[str, numpy.ndarray]
    counts: dict[str, int]
    """validation|training -> how many inputs."""
    barrier: float
    """Nats by which the validation loss rises at most above the straight line between its ends."""
    barrier_at: float
    distance: float
    """‖student − student alone‖ / ‖student alone‖ over all learned numbers."""
    loss_name: str
    inputs: str
    """pictures|points."""
    statistics: str
    """What was done about batch norm."""
    teacher: dict[str, list[float]] = field(default_factory=dict)
    """validation|training -> [loss, accuracy] of the teacher, who is of another build and stands on no such line."""
