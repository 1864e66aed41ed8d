"""The teacher learns first; then the student learns from it and from the labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kdcore.network import Network
from kdcore.scheme import Between, Phase, Scheme, alone, taught, taught_by_labels


class Offline(Scheme):
    """A trained, frozen teacher teaches the student.

    The classic order: the teacher is finished before the student starts, so its outputs can be computed once and kept.
    """

    title = "Offline: frozen teacher"
    kind = "offline"

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        yield taught_by_labels(between)
        if self.baseline:
            yield alone(between)
        yield from taught("student", "The student learns from the teacher", "student", "teacher", between)
