"""One number for each neuron of some layers, for the networks side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class Neurons(Answer):
    """One number for each neuron of some layers, for the networks side by side."""

    panels: list[str]
    """The layers, shallow to deep."""
    values: dict[str, numpy.ndarray]
    """"part|number of the panel" -> (K,) float32, in the order of the neurons."""
    means: dict[str, list[float]]
    """part -> the mean of each panel."""
    neuron_axis: str
    value_axis: str
    reference: list[float]
    """For each panel a value worth a line; none for none."""
    reference_says: str
    named: int
    """How many of the highest are worth a name."""
