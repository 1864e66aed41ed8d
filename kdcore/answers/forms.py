"""The ways in which one method's loss is written, on the same tensors. The first is ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class Forms(Answer):
    """The ways in which one method's loss is written, on the same tensors. The first is ours."""

    method: str
    """Its key."""
    names: list[str]
    values: numpy.ndarray
    """(F,) float64 losses; 0 where a form cannot be computed here."""
    gradients: numpy.ndarray
    """(F,) float64 lengths of the gradient on what the student shows; 0 where a form cannot be computed here."""
    alike: numpy.ndarray
    """(F,) float64 cosines in [-1, 1] between that gradient and ours."""
    factors: list[float | None]
    """The exact gradient over ours, None where no constant does it on these tensors."""
    refusals: list[str]
    """Why a form cannot be computed on these tensors, or ""."""
    measured_on: str
    """What of the student the gradient is taken on, with its shape."""
