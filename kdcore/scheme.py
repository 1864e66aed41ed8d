"""The contract of a scheme: who teaches whom, as a sequence of phases."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from kdcore.answer import Answer
from kdcore.data import Data, Split
from kdcore.network import Network
from kdcore.objective import Objective
from kdcore.preview import Foretold
from kdcore.recipe import Pick
from kdcore.spec import Spec, knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms

Kind = Literal[
    "offline", "online", "self", "multi-teacher", "capacity gap", "semi-supervised", "cross-modal", "data-free",
    "adversarial", "quantised", "lifelong", "robustness", "architecture search",
]  # fmt: skip
RolePart = Literal["teacher", "student", "baseline", "assistant", "peer"]


@dataclass(frozen=True)
class Casting:
    """One role: which network plays it, and what it is to the viewer."""

    network: Pick
    part: RolePart
    twin_of: str = ""
    """A role whose initial weights it shares: the student alone starts where the student starts."""


@dataclass(frozen=True)
class Lesson:
    """What a learner is taught by a teacher in one turn. A view is a role, or "role:2" for its exit number 2."""

    student: str
    teacher: str | None
    """None for lessons from labels alone."""
    objective: Objective
    kind: Literal["alone", "labels", "knowledge"]
    share: float = 1.0
    """Factor on the whole lesson."""


class See(Protocol):
    """Has a role look at pictures."""

    def __call__(self, role: str, images: Tensor | None = None, *, graph: bool = False) -> Seen:
        """What the role makes of these pictures, or of the step's own as this role sees them.

        The turn's learner looks with its graph. Others look frozen and still; with `graph`, a graph leads through them
        to the pictures (a generator learns through a frozen teacher).
        """


@dataclass(frozen=True)
class Moment:
    """One step of one turn, for terms that a scheme writes itself."""

    batch: Batch
    see: See
    step: int
    """Steps done in this phase before this one."""
    epoch: int
    """Epochs done."""
    generator: torch.Generator
    """On the CPU, seeded by recipe, phase and step: draws from it can be replayed."""


@dataclass(frozen=True)
class Turn:
    """One optimiser, its learner and what it is taught; the turns of a phase follow one another in each step."""

    learner: str
    """A role, or a name in `also`."""
    lessons: tuple[Lesson, ...] = ()
    own: Callable[[Moment], Terms] | None = None
    """Further terms, written by the scheme: name -> (N,) or (1,), with their graph."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Weights of the own terms; 1 where none is said."""
    told_by: tuple[str, ...] = ()
    """The roles that teach in the own terms, for whoever draws who teaches whom."""
    hears: tuple[str, ...] = ("logits", "maps", "embedding")
    """What of theirs the own terms read, fields of Seen: what frozen ones say is kept as far as it is read."""
    also: Mapping[str, nn.Module] = field(default_factory=dict)
    """Further modules that this turn trains (a generator, a discriminator, a gate), kept in snapshots by name."""
    only: Literal["", "backbone", "head", "parts"] = ""
    """Which part of the learner is trained: all of it, what stands before the classifier, the classifier, or nothing of
    it but the lessons' own parts. The rest stays bit-identical."""
    times: int = 1
    """Optimiser steps in each step of the phase, each on a batch of its own."""
    rate: float = 1.0
    """Factor on the phase's learning rate."""
    optimizer: Literal["", "adam"] = ""
    """adam: betas 0.5 and 0.999 without decay, as generators and discriminators have it; else the recipe's."""


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one budget.

    The generator that yields phases only builds; whatever changes weights or measures what has been trained stands in
    `begins`, since phases are also asked for to plan, to preview and to look back.
    """

    name: str
    title: str
    """What to see, as a person would say it: "The teacher learns from the labels"."""
    turns: tuple[Turn, ...]
    budget: Literal["teacher", "student"] = "student"
    """Whose epochs and learning rate."""
    pictures: Literal["teacher", "student"] = "student"
    """Whose training pictures: all, or the student's with withheld labels and classes."""
    update: Literal["sequential", "simultaneous"] = "sequential"
    """Whether a later turn of a step sees what an earlier one changed."""
    share: float = 1.0
    """Share of the budget's epochs, rounded, at least one."""
    rate: float = 1.0
    """Factor on the budget's learning rate."""
    split: Callable[[], Split] | None = None
    """Pictures of the phase's own (pseudo labels, one task of many), made when it begins."""
    supply: Callable[[int, torch.Generator], Batch] | None = None
    """(step, generator) -> a made batch, instead of any split: such a phase has no real pictures at hand at all."""
    begins: Callable[[], None] | None = None
    """Done once, before the first step."""
    after: Callable[[Moment], None] | None = None
    """Done after each step of the phase, without gradient: moving averages, memories."""
    moving: tuple[str, ...] = ()
    """Roles that `after` changes: scored and kept as learners are, and looked at afresh in each step."""
    keeps: Mapping[str, nn.Module] = field(default_factory=dict)
    """Modules with what the scheme remembers (past answers, made pictures), kept in snapshots as `also` is."""
    shows: Callable[[], Sequence[Answer]] | None = None
    """Pictures of the scheme's own, asked for each time a network is scored."""

    def own_things(self) -> int:
        """How much of the phase comes from the scheme and not from the recipe's lessons."""
        mine = (self.split, self.supply, self.begins, self.after, self.shows)
        turns = sum(turn.own is not None or bool(turn.also or turn.only) or turn.times > 1 for turn in self.turns)
        return sum(one is not None for one in mine) + len(self.moving) + len(self.keeps) + turns


class Between(Protocol):
    """Makes the losses of lessons: the recipe's methods, built for the two views' shapes."""

    def alone(self, student: str) -> Lesson:
        """Plain cross-entropy with the labels."""

    def labels(self, student: str, share: float = 1.0) -> Lesson | None:
        """The recipe's methods that need no teacher, or None if it has none with a weight above 0."""

    def knowledge(self, student: str, teacher: str, share: float = 1.0) -> Lesson:
        """The recipe's methods that compare with a teacher."""

    def own_stages(self, lesson: Lesson) -> tuple[list[OwnStage], Lesson | None]:
        """The stages that methods of the lesson have for themselves, and what is left of it after them."""

    def device(self) -> torch.device:
        """Where the networks are."""

    def data(self) -> Data:
        """The pictures: for shapes, class names and splits of a phase's own."""

    def seeded(self, purpose: str) -> AbstractContextManager[None]:
        """Draws from torch inside depend on the recipe's seed and the purpose alone."""


class Scheme(Spec, ABC):
    """A scheme with knobs. The docstring is its card."""

    title: ClassVar[str]
    kind: ClassVar[Kind]
    """Under what it stands in the picker."""
    uses_teacher: ClassVar[bool] = True
    """Whether the recipe's teacher plays a role."""
    uses_methods: ClassVar[bool] = True
    """Whether the recipe's methods that compare with a teacher play a part; else the scheme brings its own losses."""
    example: ClassVar[dict[str, Any]] = {}
    """Parts of a recipe, as JSON has them, with which the scheme shows what it is for within a few minutes on a CPU."""
    paper: ClassVar[Paper | None] = None
    provenance: ClassVar[str] = ""
    """Where procedure and defaults were read, and what is our own decision."""
    pitfalls: ClassVar[tuple[str, ...]] = ()
    takes_matching: ClassVar[tuple[str, ...]] = ("nothing", "one", "each", "all")
    """Which kinds of layer matching make sense here."""
    refusal: ClassVar[str] = ""
    """Why others do not."""
    foretells: ClassVar[str] = ""
    """What can be said before the run once its teacher has been trained, in words that go on with "is known …"; "" for
    most schemes, which have nothing to say before."""
    baseline: bool = knob(True, help="Also train the student alone, from the same start with the same budget.")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        """The roles, in the order in which a viewer should see them.

        Unless a scheme says otherwise: the teacher where one is used, the student, and the student alone if wanted.
        """
        roles = {"teacher": Casting(teacher, "teacher")} if self.uses_teacher else {}
        roles["student"] = Casting(student, "student")
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        return roles

    @abstractmethod
    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        """A generator: the next phase is asked for when the one before has been trained."""

    def dress(self, role: str, network: Network, look: Callable[[], Seen]) -> Network:
        """The network with what this scheme adds to it (exits, for instance); `look` gives what it saw of a batch."""
        return network

    def foretell(self, cast: Mapping[str, Network], between: Between, trained: Collection[str]) -> Foretold:
        """What can be said of the cast before the run; the `trained` roles stand as their own phases leave them.

        Fast, and asked for at every move of a knob. The cast is the caller's to throw away.
        """
        return Foretold()


@dataclass(frozen=True)
class OwnStage:
    """A stage that a method has for itself before the others."""

    name: str
    """Of the method in the recipe."""
    title: str
    """What the method is called."""
    lesson: Lesson
    share: float
    """Of the epochs that are left."""
    trains: Literal["student", "parts"]


def distilled(learner: str, teacher: str, between: Between) -> Turn:
    """One turn in which a learner is taught by a teacher, and by the labels as the recipe has it."""
    labels = between.labels(learner)
    return Turn(learner, (*([labels] if labels else []), between.knowledge(learner, teacher)))


def taught(name: str, title: str, learner: str, teacher: str, between: Between) -> Iterator[Phase]:
    """A learner is taught by a teacher: first the stages that methods have for themselves, then all together.

    The stages take their share of the learner's epochs, so that no method has more of them than another.
    """
    labels = between.labels(learner)
    stages, rest = between.own_stages(between.knowledge(learner, teacher))
    left = 1.0
    for stage in stages:
        what = "its own parts learn" if stage.trains == "parts" else f"the {learner} learns by it alone"
        turn = Turn(learner, (stage.lesson,), only="parts" if stage.trains == "parts" else "")
        yield Phase(f"{name}-{stage.name}", f"{stage.title}: {what}", (turn,), share=left * stage.share)
        left *= 1.0 - stage.share
    lessons = [lesson for lesson in (labels, rest) if lesson is not None]
    yield Phase(name, title, (Turn(learner, tuple(lessons or [between.alone(learner)])),), share=left)


def taught_by_labels(between: Between) -> Phase:
    """The teacher's own training, on all pictures with its own budget."""
    turn = Turn("teacher", (between.alone("teacher"),))
    return Phase("teacher", "The teacher learns from the labels", (turn,), budget="teacher", pictures="teacher")


def alone(between: Between, *, title: str = "The student alone learns from the labels") -> Phase:
    """The yardstick: the student's twin learns from the labels alone, with the student's budget."""
    return Phase("baseline", title, (Turn("baseline", (between.alone("baseline"),)),))
