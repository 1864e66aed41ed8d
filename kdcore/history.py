"""What a run has come to, folded from its events. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from kdcore.events import (
    Event,
    Failed,
    Finished,
    Gradients,
    Hardest,
    Note,
    PhaseStarted,
    Pictures,
    Scored,
    Shown,
    Snapshot,
    Started,
    Step,
    Stopped,
)  # fmt: skip

Outcome = Literal["waiting", "running", "finished", "failed", "stopped"]


@dataclass
class Series:
    """A curve of one phase: x in steps of the phase, `epochs` the same in epochs."""

    steps: list[int] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)

    def add(self, step: int, epoch: float, value: float | None) -> None:
        self.steps.append(step)
        self.epochs.append(epoch)
        self.values.append(value)


@dataclass
class PhaseTrace:
    """One phase so far."""

    number: int
    name: str
    title: str
    steps: int
    epochs: int
    learners: list[str]
    lessons: list[dict[str, Any]]
    started: float
    step: int = 0
    epoch: float = 0.0
    rate: float = 0.0
    """Images per second."""
    updated: float = 0.0
    loss: dict[str, Series] = field(default_factory=dict)
    """learner -> weighted sum."""
    terms: dict[str, dict[str, Series]] = field(default_factory=dict)
    """learner -> term -> raw value."""
    weighted: dict[str, dict[str, Series]] = field(default_factory=dict)
    scores: dict[str, Series] = field(default_factory=dict)
    """role -> validation accuracy in [0, 1]."""
    hidden: dict[str, Series] = field(default_factory=dict)
    """role -> bias-corrected validation accuracy on the hidden class."""
    gradients: dict[str, dict[str, Series]] = field(default_factory=dict)
    """learner -> term -> length of its weighted gradient."""
    cosines: dict[str, Series] = field(default_factory=dict)
    """learner -> cosine between the gradients of labels and teachers."""
    shown: dict[str, list[Shown]] = field(default_factory=dict)
    """title -> the scheme's own pictures, oldest first."""
    hardest: list[Hardest] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until this phase ends at the pace so far, or None before its first step."""
        if not self.step:
            return None
        return (self.updated - self.started) / self.step * max(0, self.steps - self.step)


@dataclass
class History:
    """A whole run so far. `outcome` is what the events say; `Run.state` knows whether its process lives."""

    outcome: Outcome = "waiting"
    started: Started | None = None
    phases: list[PhaseTrace] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    tests: dict[str, Scored] = field(default_factory=dict)
    seconds: float | None = None
    failure: str = ""
    advice: str = ""
    last: float = 0.0
    """Time of the newest event."""

    @property
    def phase(self) -> PhaseTrace | None:
        """The newest phase."""
        return self.phases[-1] if self.phases else None

    @property
    def snapshots(self) -> list[Snapshot]:
        """Every snapshot, oldest first."""
        return [snapshot for phase in self.phases for snapshot in phase.snapshots]

    def last_score(self, role: str) -> float | None:
        """The newest validation accuracy of a role in [0, 1], or None."""
        for phase in reversed(self.phases):
            if role in phase.scores and phase.scores[role].values:
                return phase.scores[role].values[-1]
        return None


def fold(events: Iterable[Event], history: History | None = None) -> History:
    """The history after these events; given one, it is carried on and given back."""
    found = history if history is not None else History()
    for event in events:
        found.last = max(found.last, getattr(event, "time", 0.0))
        match event:
            case Started():
                found.started, found.outcome = event, "running"
            case PhaseStarted():
                found.phases.append(
                    PhaseTrace(
                        event.phase, event.name, event.title, event.steps, event.epochs, event.learners, event.lessons,
                        started=event.time, updated=event.time,
                    )
                )  # fmt: skip
            case Note():
                found.notes.append(event.text)
            case Pictures():
                found.pictures.update(event.pictures)
            case Finished():
                found.outcome, found.results, found.seconds = "finished", event.results, event.seconds
            case Failed():
                found.outcome, found.failure, found.advice = "failed", event.reason, event.advice
            case Stopped():
                found.outcome = "stopped"
            case Scored(split="test"):
                found.tests[event.role] = event
            case _ if found.phases:
                _add(found.phases[-1], event)
    return found


def _add(phase: PhaseTrace, event: Event) -> None:
    match event:
        case Step():
            phase.step, phase.epoch, phase.rate, phase.updated = event.step, event.epoch, event.rate, event.time
            phase.loss.setdefault(event.learner, Series()).add(event.step, event.epoch, event.loss)
            for kept, values in ((phase.terms, event.terms), (phase.weighted, event.weighted)):
                curves = kept.setdefault(event.learner, {})
                for name, value in values.items():
                    curves.setdefault(name, Series()).add(event.step, event.epoch, value)
        case Scored():
            phase.scores.setdefault(event.role, Series()).add(event.step, event.epoch, event.accuracy)
            if "corrected" in event.hidden:
                phase.hidden.setdefault(event.role, Series()).add(event.step, event.epoch, event.hidden["corrected"])
        case Gradients():
            for name, value in event.lengths.items():
                curves = phase.gradients.setdefault(event.learner, {})
                curves.setdefault(name, Series()).add(event.step, event.epoch, value)
            phase.cosines.setdefault(event.learner, Series()).add(event.step, event.epoch, event.cosine)
        case Shown():
            phase.shown.setdefault(event.title, []).append(event)
        case Hardest():
            phase.hardest.append(event)
        case Snapshot():
            phase.snapshots.append(event)
