"""The contract of a probe: one question about a run's networks, answered with typed plain arrays."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from kdcore.answer import Answer
from kdcore.spec import KnobError, Spec

if TYPE_CHECKING:
    from kdcore.revive import Revived


LINKED = ("picture", "student_layer", "teacher_layer")
"""Knobs of which one choice holds on all panels."""


class ProbeError(ValueError):
    """A question that cannot be asked of this run; the message says why and what would do."""


class Probe(Spec, ABC):
    """A question with knobs. The docstring is its card: first sentence the question, the rest what to see."""

    title: ClassVar[str]
    answers: ClassVar[str]
    """Name of the class of kdcore.answer that it returns; the app has one chart for each."""
    needs: ClassVar[tuple[str, ...]] = ()
    """What a run must have for the question to make sense: "points", "images", "maps", "attention"."""

    ahead: ClassVar[int] = 0
    """Its place, from 1, among those that a worker asks while nobody asks it anything: what takes long the first time,
    since most of it is of teacher and student alone, which stay. 0 for what is quick, or of the moment alone."""

    turned: ClassVar[tuple[str, ...]] = ()
    """Knobs that who looks is likely to turn, and that make it take long: a choice, or the number of a picture."""

    @classmethod
    def following(cls, shown: Probe) -> Probe:
        """This question as it is asked next by whoever looks at another: what is linked is chosen as there."""
        chosen = {}
        for name in LINKED:
            if name in cls.knobs and name in shown.knobs:
                with contextlib.suppress(KnobError):
                    chosen[name] = cls.knobs[name].check(getattr(shown, name))
        return cls(**chosen)

    def beside(self) -> list[Probe]:
        """The same question with one control moved on: what a worker asks while whoever looks at this one rests."""
        found = []
        for name in self.turned:
            knob, now = self.knobs[name], getattr(self, name)
            others = [one for one in knob.choices if one != now] or [min(now + 1, knob.high)]
            found += [type(self)(**{**self.settings(), name: other}) for other in others]
        return found

    @abstractmethod
    def ask(self, revived: Revived) -> Answer:
        """The answer for one moment of a run. Raises ProbeError with one sentence where it cannot be asked."""


def percent(share: float, *, digits: int = 0) -> str:
    """A share in [0, 1] as "36 %"."""
    return f"{100 * share:.{digits}f} %"
