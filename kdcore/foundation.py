"""Phases that many runs have in common: networks that learn from labels alone, with the same data, budget and seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from kdcore.events import Event
from kdcore.recipe import code_version
from kdcore.scheme import Phase
from kdcore.stage import Stage


@dataclass(frozen=True)
class Laid:
    """Such a phase of another run."""

    run: str
    events: Callable[[], Iterator[Event]]
    """All that it said, snapshots with their tensors."""
    weights: dict[str, Tensor]
    """The learner's network after it."""


Foundations = Callable[[str], Laid | None]
"""Key -> the phase of a run that is at hand, or None."""


def nothing(key: str) -> Laid | None:
    """No run is at hand."""
    return None


def key_of(stage: Stage, phase: Phase, number: int) -> str:
    """What decides the weights that the phase comes to; "" for phases that depend on more than labels and settings."""
    plain = phase.own_things() == 0 and len(phase.turns) == 1
    if not plain or any(lesson.kind != "alone" for lesson in phase.turns[0].lessons):
        return ""
    learner = phase.turns[0].learner
    if learner not in stage.castings or learner in stage.dressed:
        return ""
    casting, recipe, budget = stage.castings[learner], stage.recipe, stage.budget
    whose = ("teacher_epochs", "teacher_rate") if phase.budget == "teacher" else ("epochs", "rate")
    shared = ("batch", "optimizer", "schedule", "weight_decay", "snapshot_every", "device")
    found = {
        "code": code_version(),
        "data": recipe.data.to_json(),
        "seed": recipe.seed,
        "network": casting.network.to_json(),
        "start": casting.twin_of or learner,
        "eyes": casting.part == "teacher",
        "phase": [number, phase.name, phase.budget, phase.pictures, phase.share, phase.rate, learner],
        "training": {name: getattr(budget, name) for name in (*whose, *shared)},
        "device": str(stage.device),
    }
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:32]
