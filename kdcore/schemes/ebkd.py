"""Several teachers, weighted picture by picture by how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from kdcore.answer import Answer
from kdcore.ensembles import certainty_weights, each_kl
from kdcore.network import Network
from kdcore.scheme import Between, Moment, Phase, Turn
from kdcore.schooling import Ensemble, Report, label_loss, told
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms


class CertainTeachers(Ensemble):
    """On each picture the teachers that are less in doubt count for more.

    A teacher's weight is one minus its share of all teachers' entropies. It needs no labels, so it also weighs pictures
    that have none; but whoever is sure of something wrong is not found out.
    """

    title = "Multi-teacher: by certainty (EBKD)"
    paper = Paper(
        "Kwon, Na, Lee, Kim", 2020, "https://doi.org/10.1109/ICASSP40776.2020.9054698",
        "Adaptive Knowledge Distillation Based on Entropy",
    )  # fmt: skip
    provenance = (
        "The weights as a benchmark's code has them (CA-MKD's repository), where they sum to one less than there are "
        "teachers; here divided by that, so that one teacher's weight is a share. sum='source' keeps theirs."
    )
    pitfalls = (
        "No weight can exceed 1 / (teachers - 1): with two teachers one can be silenced, with five hardly.",
        "Networks are sure of classes they never saw; then certainty misleads.",
    )
    example = {
        "data": {"is": "digits", "labelled": 0.1},
        "teacher": {"is": "plain", "width": 16, "stage_count": 2},
        "methods": [],
        "training": {"epochs": 30, "teacher_epochs": 15, "teacher_rate": 0.005},
        "scheme": {"is": "ebkd", "differ": "classes", "share": 0.7},
    }
    differ = "classes"
    sum: str = knob("one", choices=("one", "source"), help="What the weights of all teachers sum to on each picture.")

    def weights(self, teachers: Tensor) -> Tensor:
        """(M, N, C) logits -> (M, N)."""
        found = certainty_weights(teachers)
        return found / (len(teachers) - 1) if self.sum == "one" else found

    def student_phase(self, cast: Mapping[str, Network], between: Between) -> Phase:
        names, report = self.names(), Report(cast, self.names(), between.data())

        def own(moment: Moment) -> Terms:
            student, teachers = moment.see("student").logits, told(moment, names)
            terms = {"kd": (self.weights(teachers) * each_kl(student, teachers, self.temperature)).sum(dim=0)}
            return {"ce": label_loss(student, moment.batch.labels), **terms} if self.labels else terms

        def shows() -> Sequence[Answer]:
            said = report.said("validation")
            weighted = (self.weights(said)[:, :, None] * said.softmax(dim=2)).sum(dim=0)
            found = report.weights({"by certainty": certainty_weights(report.said("train")) / (len(names) - 1)})
            return [*found, report.knowledge(weighted)]

        turn = Turn("student", own=own, weights={"ce": self.labels}, told_by=tuple(names), hears=("logits",))
        return Phase("student", "The student learns most from whoever is sure", (turn,), shows=shows)
