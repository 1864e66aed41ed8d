"""What a recipe would come to, said before anything starts: sizes, matched layers, expected time. No torch."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass, field
from typing import Any

from kdcore.answer import Answer, answer_from_bytes


@dataclass(frozen=True)
class Preview:
    """The plan of a run. Faults stand beside the setting they are about; with any fault there is no plan."""

    faults: list[dict[str, str]] = field(default_factory=list)
    """{"where", "text"}, as check.Fault."""
    roles: dict[str, dict[str, Any]] = field(default_factory=dict)
    """As in events.Started: role -> part, network, title, parameters, macs, layers (name, shape)."""
    data: dict[str, Any] = field(default_factory=dict)
    """As in events.Started."""
    phases: list[dict[str, Any]] = field(default_factory=list)
    """{"name", "title", "steps", "epochs", "seconds": expected, "trained": numbers that its optimisers change,
    "shared": its key if other runs have it in common (`foundation.key_of`), "lessons": as in events.PhaseStarted}."""
    seconds: float = 0.0
    """Expected time of all phases, each from a few timed steps."""
    warnings: list[str] = field(default_factory=list)
    """What may disappoint without being wrong."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(found: dict[str, Any]) -> Preview:
        return Preview(**found)


@dataclass(frozen=True)
class Foretold:
    """What a scheme can say of its cast before the run, as far as other runs have trained what it takes."""

    says: str = ""
    answers: list[Answer] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    """Keys of phases (`foundation.key_of`): once a run has trained them, more can be said."""

    def to_json(self) -> dict[str, Any]:
        pictures = [base64.b64encode(one.to_bytes()).decode() for one in self.answers]
        return {"says": self.says, "answers": pictures, "waits": self.waits}

    @staticmethod
    def from_json(found: dict[str, Any]) -> Foretold:
        answers = [answer_from_bytes(base64.b64decode(one)) for one in found["answers"]]
        return Foretold(found["says"], answers, found["waits"])
