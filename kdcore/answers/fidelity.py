"""How often student and student alone answer as the teacher does, and who of each pair is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class Fidelity(Answer):
    """How often student and student alone answer as the teacher does, and who of each pair is right."""

    groups: list[str]
    """G sorts of inputs, the first two being test and training inputs."""
    counts: list[int]
    """Inputs of each sort."""
    agreement: dict[str, numpy.ndarray]
    """part -> (G,) share in [0, 1], 0 where there are no such inputs."""
    divergence: dict[str, numpy.ndarray]
    """part -> (2,) mean KL(teacher ‖ part) in nats, test and training."""
    reverse: dict[str, numpy.ndarray]
    """part -> (2,) mean KL(part ‖ teacher) in nats, test and training."""
    wins: dict[str, numpy.ndarray]
    """part -> (4,) test inputs: both right, only it, only the teacher, neither."""
    inputs: str
    """What the inputs are called: pictures or points."""
