"""What a run says while it goes: plain data, JSON both ways, nothing alive in it. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


@dataclass(frozen=True)
class Event:
    """One thing that happened. `time` is seconds since the epoch; a run's log is a list of these."""

    kinds: ClassVar[dict[str, type[Event]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Event.kinds[cls.__name__] = cls

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: {"is": "Step", …}; fields marked `kept` elsewhere (tensors) are left out, NaN is null."""
        return {
            "is": type(self).__name__,
            **{
                entry.name: _plain(getattr(self, entry.name))
                for entry in fields(self)
                if not entry.metadata.get("elsewhere")
            },
        }


def event_from_json(found: dict[str, Any]) -> Event:
    """The event that such JSON says. Raises ValueError for an unknown kind or fields that do not fit."""
    if not isinstance(found, dict) or found.get("is") not in Event.kinds:
        raise ValueError(f"{str(found)[:80]} is no event")
    kind = Event.kinds[found["is"]]
    names = {entry.name for entry in fields(kind)}
    try:
        return kind(**{name: value for name, value in found.items() if name in names})
    except TypeError as error:
        raise ValueError(f"{found['is']} lacks a field: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True)
class Started(Event):
    """The run has data and networks."""

    time: float
    recipe: dict[str, Any]
    roles: dict[str, dict[str, Any]]
    """role -> {"part": teacher|student|baseline|assistant|peer, "network": key, "title": …, "settings": {…},
    "parameters": n, "macs": n, "layers": [{"name": …, "shape": [c, h, w]}, …]}."""
    data: dict[str, Any]
    """{"title", "shape", "classes", "class_names", "train", "labelled", "teacher_train", "validation", "test",
    "hidden", "augmentation"}."""
    device: str
    threads: int
    phases: int = 0
    """How many phases are planned."""


@dataclass(frozen=True)
class PhaseStarted(Event):
    """One phase of the scheme begins."""

    time: float
    phase: int
    name: str
    title: str
    steps: int
    """Steps planned."""
    epochs: int
    learners: list[str]
    lessons: list[dict[str, Any]]
    """{"student": view, "teacher": view or None, "kind": alone|labels|knowledge, "parts": [{"name", "method",
    "title", "weight", "matches", "pairs": [[s, t], …], "why": …}]}."""
    moving: list[str] = field(default_factory=list)
    """Roles that change without learning: moving averages."""


@dataclass(frozen=True)
class Step(Event):
    """One optimiser step of one learner (thinned: about 500 a phase at most)."""

    time: float
    phase: int
    learner: str
    step: int
    """Steps done in this phase, from 1."""
    epoch: float
    """Epochs done in this phase."""
    loss: float | None
    """Weighted sum over all terms."""
    terms: dict[str, float | None]
    """Raw mean of each term, by "<part name>.<term>" (after "from <teacher>: " or "exit n: " where needed)."""
    weighted: dict[str, float | None]
    """The same after weights."""
    rate: float
    """Images per second of the phase so far."""
    learning_rate: float = 0.0


@dataclass(frozen=True)
class Gradients(Event):
    """The terms of a learner's loss taken apart at one step: how hard each pulls, and whether they pull together."""

    time: float
    phase: int
    learner: str
    step: int
    epoch: float
    lengths: dict[str, float | None]
    """term -> length of the weighted term's gradient on the learner's weights; 0 for a term that teaches nothing."""
    cosine: float | None
    """Between the gradient of the labels' terms and that of the teachers', in [-1, 1]; None where one is missing."""


@dataclass(frozen=True)
class Shown(Event):
    """A picture of the scheme's own at this moment: an answer as `kdcore.answer` has them, in a file of its own."""

    time: float
    phase: int
    step: int
    epoch: float
    name: str
    """"<phase>-<step>-<number>", the file's stem."""
    kind: str
    """Name of the class of answer."""
    title: str
    content: bytes = field(default=b"", repr=False, metadata={"elsewhere": True})


@dataclass(frozen=True)
class Checkpoint(Event):
    """All that going on from here needs. Only the newest is kept, in a file of its own and not in the log."""

    time: float
    phase: int
    step: int
    tensors: dict[str, Any] = field(default_factory=dict, repr=False, metadata={"elsewhere": True})


@dataclass(frozen=True)
class Foundation(Event):
    """A phase is over that other runs would train to the same weights: from labels alone, with settings that have this
    key. They may take it over instead of training it again."""

    time: float
    phase: int
    key: str
    learner: str
    taken: bool = False
    """Whether this run took it over itself."""


@dataclass(frozen=True)
class Scored(Event):
    """A network was scored on held-out pictures."""

    time: float
    phase: int
    step: int
    epoch: float
    role: str
    split: str
    """validation or test."""
    accuracy: float
    """In [0, 1]."""
    loss: float | None
    """Mean cross-entropy in nats."""
    count: int
    per_class: list[float | None]
    """Accuracy in [0, 1] per class; None without pictures."""
    hidden: dict[str, float] = field(default_factory=dict)
    """For a hidden class: {"raw": accuracy on it, "corrected": with its bias set so that it is predicted as often as it
    occurs, "bias": what was added}."""


@dataclass(frozen=True)
class Snapshot(Event):
    """The networks and learned parts at this moment. The tensors are copies and go to a file of their own."""

    time: float
    phase: int
    step: int
    epoch: float
    name: str
    """"<phase>-<step>", the file's stem."""
    roles: list[str]
    """Which roles' networks are inside."""
    tensors: Mapping[str, Any] = field(default_factory=dict, repr=False, metadata={"elsewhere": True})
    """"role/<role>/<name>", "part/<lesson>/<name>" and "also/<module>/<name>" -> CPU tensor."""


@dataclass(frozen=True)
class Pictures(Event):
    """Training pictures that other events name by index, each said once."""

    time: float
    pictures: dict[str, str]
    """index -> PNG as base64."""


@dataclass(frozen=True)
class Hardest(Event):
    """The training pictures with the largest distillation loss in this epoch."""

    time: float
    phase: int
    epoch: float
    role: str
    images: list[dict[str, Any]]
    """{"index", "loss", "label", "truth", "said": the learner's class, "teacher": the teacher's or None}."""


@dataclass(frozen=True)
class Note(Event):
    """Something worth knowing that is no failure."""

    time: float
    text: str


@dataclass(frozen=True)
class Finished(Event):
    """All phases are done."""

    time: float
    seconds: float
    results: dict[str, dict[str, Any]]
    """role -> {"test_accuracy", "test_loss", "validation_accuracy", "per_class", "hidden"}."""


@dataclass(frozen=True)
class Failed(Event):
    """The run ended on a fault; what was recorded stays."""

    time: float
    reason: str
    advice: str = ""


@dataclass(frozen=True)
class Stopped(Event):
    """Someone stopped the run; what was recorded stays."""

    time: float
    by: str = "request"


ENDS = (Finished, Failed, Stopped)
