"""Deep mutual learning: students that teach one another while they learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kdcore.network import Network
from kdcore.peers import agreement, on_validation, peer_names
from kdcore.recipe import Pick
from kdcore.scheme import Between, Casting, Lesson, Phase, Scheme, Turn, alone
from kdcore.spec import knob
from kdcore.vocabulary import Paper


class MutualLearning(Scheme):
    """Several students learn together, each also from what the others say at that moment.

    No teacher is trained first. The peers start differently, so each finds other wrong classes likely, and what they
    agree on pulls them towards flatter minima. Each peer's loss is its labels plus the mean over the other peers of the
    distillation terms.
    """

    title = "Online: mutual learning"
    kind = "online"
    uses_teacher = False
    paper = Paper("Zhang, Xiang, Hospedales, Lu", 2018, "https://arxiv.org/abs/1706.00384", "Deep Mutual Learning")
    provenance = (
        "Paper and the authors' code, which adds up over the peers where the paper takes the mean, as here. There each "
        "peer steps on a batch of its own; here all go through the same batch. The paper's divergence has T = 1: take "
        "soft targets at that temperature to have it."
    )
    pitfalls = (
        "Peers that start alike say the same and teach nothing; here each starts from its own random weights.",
        "The mean of the peers' probabilities as one teacher is another loss, which the paper finds worse.",
    )
    example = {
        "data": {"is": "digits", "label_noise": 0.6},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "methods": [{"is": "ce"}, {"is": "kd", "temperature": 1.0}],
        "training": {"epochs": 30},
    }
    peers: int = knob(2, 2, 4, help="How many students learn together.", unit="students")
    update: str = knob(
        "sequential",
        choices=("sequential", "simultaneous"),
        help="sequential (the paper): each sees what the one before just learned. simultaneous: all step at once.",
    )

    def _names(self) -> list[str]:
        return peer_names(self.peers)

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
        networks = {name: cast[name] for name in self._names()}
        yield Phase(
            "together", f"{self.peers} students learn from the labels and from one another", tuple(turns),
            update="sequential" if self.update == "sequential" else "simultaneous",
            shows=lambda: [agreement(on_validation(networks, between))],
        )  # fmt: skip
