"""Several teachers, whose answers are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdcore.answer import Answer
from kdcore.ensembles import WAYS, average_kl, together
from kdcore.network import Network
from kdcore.scheme import Between, Moment, Phase, Turn
from kdcore.schooling import Ensemble, Report, label_loss, told
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms


class AveragedTeachers(Ensemble):
    """The student learns from the average of what several teachers say.

    Teachers that start differently err differently, so their average is right more often than most of them, and one
    small student can learn it. The average can be taken of probabilities, of logits, or of the losses; the first and
    the last have the same gradient.
    """

    title = "Multi-teacher: average"
    paper = Paper(
        "You, Xu, Xu, Tao", 2017, "https://doi.org/10.1145/3097983.3098135", "Learning from Multiple Teacher Networks"
    )
    provenance = (
        "The averages as the literature names them; 'probability, then softened' as in public code for ensembles "
        "(gnosis). Casts of teachers that saw parts of the data, or wrong labels, are our own."
    )
    pitfalls = (
        "A teacher that is sure of something wrong pulls the average as much as one that knows.",
        "Averaging logits lets the teacher with the largest logits speak loudest.",
    )
    example = {
        "data": {"is": "digits", "labelled": 0.1},
        "teacher": {"is": "plain", "width": 16, "stage_count": 2},
        "training": {"epochs": 30, "teacher_epochs": 20, "teacher_rate": 0.005},
        "methods": [],
        "scheme": {"is": "mt_average", "differ": "pictures", "share": 0.5},
    }
    by: str = knob("probability", choices=WAYS, help="What is averaged.")

    def student_phase(self, cast: Mapping[str, Network], between: Between) -> Phase:
        names, report = self.names(), Report(cast, self.names(), between.data())

        def own(moment: Moment) -> Terms:
            student = moment.see("student").logits
            terms = {"kd": average_kl(student, told(moment, names), self.temperature, self.by)}
            return {"ce": label_loss(student, moment.batch.labels), **terms} if self.labels else terms

        def shows() -> Sequence[Answer]:
            way = "probability" if self.by == "loss" else self.by
            return [report.knowledge(together(report.said("validation"), self.temperature, way))]

        turn = Turn("student", own=own, weights={"ce": self.labels}, told_by=tuple(names), hears=("logits",))
        return Phase("student", "The student learns from the average of its teachers", (turn,), shows=shows)
