"""Apprentice: a student with weights of few bits learns from a teacher in full precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kdcore.few_bits import FewBits, sized
from kdcore.network import Network
from kdcore.quantisation import chosen, quantised_in
from kdcore.recipe import Pick
from kdcore.scheme import Between, Casting, Phase, Turn, alone, distilled, taught, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Paper


class Apprentice(FewBits):
    """A student whose weights have few bits learns from a teacher in full precision, in one of three ways.

    A: both learn together from the start. B: the teacher is trained first and stays still. C: the student is trained in
    full precision first, and its weights then learn to live with few bits under the teacher, slowly. The student alone
    has few bits too, so the difference is the teacher's; the same student in full precision stands beside it. Weights
    are quantised, activations are not.
    """

    title = "Quantised: apprentice"
    kind = "quantised"
    paper = Paper(
        "Mishra, Marr", 2018, "https://arxiv.org/abs/1711.05852",
        "Apprentice: Using Knowledge Distillation Techniques To Improve Low-Precision Network Accuracy",
    )  # fmt: skip
    provenance = (
        "Paper: the three schemes and alpha, beta, gamma of A; the losses are the recipe's methods. Own decisions: "
        "scales per output channel, and in A the teacher gets no gradient from what it teaches."
    )
    pitfalls = (
        "Few bits cost little on small, easy data: look at full precision first.",
        "The float weights are kept while it learns; only the packed whole numbers are deployed.",
    )
    example = {
        "data": {"is": "digits", "label_noise": 0.6},
        "teacher": {"is": "plain", "width": 32, "stage_count": 2},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "scheme": {"is": "apprentice", "bits": 2},
        "methods": [{"is": "ce", "weight": 0.5}, {"is": "kd", "temperature": 2.0}],
        "training": {"epochs": 30},
    }
    way: str = knob(
        "B", choices=("A", "B", "C"), help="A: teacher and student together. B: teacher first. C: from float weights."
    )
    labels_share: float = knob(0.5, 0.0, 10.0, help="In A: factor on what the student hears of the labels (beta).")
    teacher_share: float = knob(0.5, 0.0, 10.0, help="In A: factor on what it hears of the teacher (gamma).")
    tuning: float = knob(0.5, 0.1, 0.9, help="In C: share of the student's epochs that it spends with few bits.")
    slower: float = knob(
        0.1, 0.001, 1.0, help="In C: learning rate with few bits, as a multiple of the student's.", scale="log"
    )
    precise: bool = knob(True, help="Also train the student alone in full precision; C always does.")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        chosen(self.quantiser, self.bits)
        roles = {"teacher": Casting(teacher, "teacher"), "student": Casting(student, "student")}
        if self.precise or self.way == "C":
            roles["full precision"] = Casting(student, "peer", twin_of="student")
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        if self.way != "A":
            yield taught_by_labels(between)
        if "full precision" in cast:
            turn = Turn("full precision", (between.alone("full precision"),))
            share = 1.0 - self.tuning if self.way == "C" else 1.0
            yield Phase("full precision", "The student in full precision learns from the labels", (turn,), share=share)
        if self.baseline:
            yield alone(between, title="The student with few bits learns from the labels alone")
        shows = sized(cast)
        if self.way == "A":
            labels = between.labels("student", share=self.labels_share)
            knowledge = between.knowledge("student", "teacher", share=self.teacher_share)
            turns = (
                Turn("teacher", (between.alone("teacher"),)),
                Turn("student", (*([labels] if labels else []), knowledge)),
            )
            title = "Teacher and student learn together, the student with few bits"
            yield Phase("student", title, turns, shows=shows)
        elif self.way == "B":
            for phase in taught("student", "The student with few bits learns from it", "student", "teacher", between):
                yield replace(phase, shows=shows)
        else:

            def begins() -> None:
                network = quantised_in(cast["student"])
                assert network is not None
                network.starts_from(cast["full precision"].state_dict())

            yield Phase(
                "student", "Its weights learn to live with few bits, under the teacher",
                (distilled("student", "teacher", between),), share=self.tuning, rate=self.slower, begins=begins,
                shows=shows,
            )  # fmt: skip
