"""Several teachers, weighted so that none is served against the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from kdcore.answer import Answer
from kdcore.ensembles import agreed_weights, each_kl, slopes
from kdcore.network import Network
from kdcore.scheme import Between, Moment, Phase, Turn
from kdcore.schooling import Ensemble, Report, label_loss, told
from kdcore.scoring import logits_of
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms


class AgreeingTeachers(Ensemble):
    """In each step the teachers are weighted so that the student moves towards all of them at once.

    Each teacher pulls the student's answers somewhere. The weights that make the sum of the pulls shortest give a
    direction that serves every teacher, where the plain average may serve many at the cost of one. They are found anew
    in each batch, and need no labels.
    """

    title = "Multi-teacher: agreement of gradients (AE-KD)"
    paper = Paper(
        "Du, You, Li, Wu, Wang, Qian, Zhang", 2020,
        "https://proceedings.neurips.cc/paper/2020/hash/91c77393975889bd08f301c9e13a44b7-Abstract.html",
        "Agree to Disagree: Adaptive Ensemble Knowledge Distillation in Gradient Space",
    )  # fmt: skip
    provenance = (
        "Paper only: the dual of its one-class problem, with gradients taken on the student's logits, solved in each "
        "step. Our decision: the bound on a weight is said in even shares."
    )
    pitfalls = (
        "A teacher that contradicts all others is served like them; a spoiled one gains weight for its dissent.",
        "Once the student follows one teacher, that one hardly pulls any more and takes much of the weight.",
    )
    example = {
        "data": {"is": "digits", "labelled": 0.1},
        "teacher": {"is": "plain", "width": 16, "stage_count": 2},
        "training": {"epochs": 30, "teacher_epochs": 20, "teacher_rate": 0.005},
        "methods": [],
        "scheme": {"is": "ae_kd", "differ": "pictures", "share": 0.5},
    }
    most: float = knob(
        2.0, 1.0, 5.0, help="What one teacher may weigh at most, in even shares. 1 is the plain average.", unit="shares"
    )

    def student_phase(self, cast: Mapping[str, Network], between: Between) -> Phase:
        names, report = self.names(), Report(cast, self.names(), between.data())
        ceiling = self.most / len(names)

        def own(moment: Moment) -> Terms:
            student, teachers = moment.see("student").logits, told(moment, names)
            weights = agreed_weights(slopes(student.detach(), teachers, self.temperature), ceiling)
            terms = {"kd": (weights[:, None] * each_kl(student, teachers, self.temperature)).sum(dim=0)}
            return {"ce": label_loss(student, moment.batch.labels), **terms} if self.labels else terms

        def shows() -> Sequence[Answer]:
            teachers, truth = report.said("train"), report.pictures.truth
            pulls = slopes(logits_of(cast["student"], report.pictures.images), teachers, self.temperature)
            weights = torch.zeros(teachers.shape[:2], device=teachers.device)
            for label in truth.unique().tolist():
                weights[:, truth == label] = agreed_weights(pulls[:, truth == label], ceiling)[:, None].float()
            by_class, _ = report.weights({"by agreement on the class": weights})
            return [by_class, report.knowledge(report.said("validation").softmax(dim=2).mean(dim=0))]

        turn = Turn("student", own=own, weights={"ce": self.labels}, told_by=tuple(names), hears=("logits",))
        return Phase("student", "The student moves towards all its teachers at once", (turn,), shows=shows)
