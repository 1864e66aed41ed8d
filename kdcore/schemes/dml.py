"""Deep mutual learning: students that teach one another while they learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kdcore.network import Network
from kdcore.recipe import Pick
from kdcore.scheme import Between, Casting, Lesson, Phase, Scheme, Turn, alone
from kdcore.spec import knob


class MutualLearning(Scheme):
    """Several students learn together, each also from what the others say at that moment.

    No teacher is trained first. The peers start differently, so each finds other wrong classes likely, and what they
    agree on pulls them towards flatter minima (Zhang et al., CVPR 2018, https://arxiv.org/abs/1706.00384). Each peer's
    loss is its labels plus the mean over the other peers of the distillation terms.
    """

    title = "Online: mutual learning"
    kind = "online"
    uses_teacher = False
    peers: int = knob(2, 2, 4, help="How many students learn together.", unit="students")
    update: str = knob(
        "sequential",
        choices=("sequential", "simultaneous"),
        help="sequential (the paper): each sees what the one before just learned. simultaneous: all step at once.",
    )

    def _names(self) -> list[str]:
        return ["student", *(f"peer {number}" for number in range(2, self.peers + 1))]

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {name: Casting(student, "student" if name == "student" else "peer") for name in self._names()}
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        if self.baseline:
            yield alone(between, title="One student alone learns from the labels")
        turns = []
        for name in self._names():
            others = [other for other in self._names() if other != name]
            lessons: list[Lesson] = [between.labels(name) or between.alone(name)]
            lessons += [between.knowledge(name, other, share=1.0 / len(others)) for other in others]
            turns.append(Turn(name, tuple(lessons)))
        yield Phase(
            "together", f"{self.peers} students learn from the labels and from one another", tuple(turns),
            update="sequential" if self.update == "sequential" else "simultaneous",
        )  # fmt: skip
