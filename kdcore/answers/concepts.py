"""Where in a few pictures a network holds visual concepts, on the object and beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class Concepts(Answer):
    """Where in a few pictures a network holds visual concepts, on the object and beside it."""

    part: str
    """teacher|student|baseline."""
    epoch: float
    """Of the phase that the moment belongs to."""
    pictures: numpy.ndarray
    """(M, h, w, 3) pixels in [0, 1], as this network sees them."""
    numbers: list[int]
    """Which validation pictures these are."""
    names: list[str]
    """Their classes."""
    mask: numpy.ndarray
    """(M, h, w) uint8: 1 where the object covers half of a pixel or more."""
    inside: numpy.ndarray
    """(M, g, g) uint8: 1 for a cell of the object."""
    entropy: numpy.ndarray
    """(M, g, g) float32 nats: of the noise that fits there; low where the feature holds on to the picture."""
    background: numpy.ndarray
    """(M,) float32: its mean over the background."""
    concept: numpy.ndarray
    """(M, g, g) uint8: 1 where the entropy is lower than that by more than the threshold."""
    counts: numpy.ndarray
    """(M, 2) int32: concepts on the object, concepts beside it."""
    change: numpy.ndarray
    """(M,) float32: how far the feature changed over how far it was allowed to; 1 is right."""
    threshold: float
    """Nats."""
    layer: str
    """The feature that was asked."""
    weights: numpy.ndarray
    """(D,) float32: the network's learned numbers, or a sketch that keeps their distances."""
