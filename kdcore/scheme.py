"""The contract of a scheme: who teaches whom, as a sequence of phases."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from kdcore.network import Network
from kdcore.objective import Objective
from kdcore.recipe import Pick
from kdcore.spec import Spec, knob
from kdcore.vocabulary import Seen

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


@dataclass(frozen=True)
class Turn:
    """One optimiser, its learners and what they are taught; the turns of a phase follow one another in each step."""

    learner: str
    lessons: tuple[Lesson, ...]


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one budget."""

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


class Between(Protocol):
    """Makes the losses of lessons: the recipe's methods, built for the two views' shapes."""

    def alone(self, student: str) -> Lesson:
        """Plain cross-entropy with the labels."""

    def labels(self, student: str, share: float = 1.0) -> Lesson | None:
        """The recipe's methods that need no teacher, or None if it has none with a weight above 0."""

    def knowledge(self, student: str, teacher: str, share: float = 1.0) -> Lesson:
        """The recipe's methods that compare with a teacher."""


class Scheme(Spec, ABC):
    """A scheme with knobs. The docstring is its card."""

    title: ClassVar[str]
    kind: ClassVar[Literal["offline", "online", "self"]]
    uses_teacher: ClassVar[bool] = True
    """Whether the recipe's teacher plays a role."""
    takes_matching: ClassVar[tuple[str, ...]] = ("nothing", "one", "each", "all")
    """Which kinds of layer matching make sense here."""
    refusal: ClassVar[str] = ""
    """Why others do not."""
    baseline: bool = knob(True, help="Also train the student alone, from the same start with the same budget.")

    @abstractmethod
    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        """The roles, in the order in which a viewer should see them."""

    @abstractmethod
    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        """A generator: the next phase is asked for when the one before has been trained."""

    def dress(self, role: str, network: Network, seen: Seen) -> Network:
        """The network with what this scheme adds to it (exits, for instance), from what it saw of a batch."""
        return network


def distilled(learner: str, teacher: str, between: Between) -> Turn:
    """One turn in which a learner is taught by a teacher, and by the labels as the recipe has it."""
    labels = between.labels(learner)
    return Turn(learner, (*([labels] if labels else []), between.knowledge(learner, teacher)))


def taught_by_labels(between: Between) -> Phase:
    """The teacher's own training, on all pictures with its own budget."""
    turn = Turn("teacher", (between.alone("teacher"),))
    return Phase("teacher", "The teacher learns from the labels", (turn,), budget="teacher", pictures="teacher")


def alone(between: Between, *, title: str = "The student alone learns from the labels") -> Phase:
    """The yardstick: the student's twin learns from the labels alone, with the student's budget."""
    return Phase("baseline", title, (Turn("baseline", (between.alone("baseline"),)),))
