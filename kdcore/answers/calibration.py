"""Confidence against accuracy in M bins, before and after one temperature for each network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer

COLDEST, HOTTEST = 0.05, 20.0
"""Between which a calibrating temperature is looked for."""


@dataclass(frozen=True)
class Calibration(Answer):
    """Confidence against accuracy in M bins, before and after one temperature for each network."""

    bins: dict[str, numpy.ndarray]
    """part -> (M, 3): accuracy, mean confidence, inputs of the bin."""
    scaled: dict[str, numpy.ndarray]
    """The same after the temperature."""
    temperature: dict[str, float]
    """part -> the temperature that fits the validation labels best."""
    ece: dict[str, list[float]]
    """part -> [before, after], expected calibration error in [0, 1]."""
    brier: dict[str, list[float]]
    """part -> [before, after], 0 to 2."""
    accuracy: dict[str, float]
    inputs: str
