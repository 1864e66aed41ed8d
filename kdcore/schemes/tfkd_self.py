"""Teacher-free distillation: a network learns again from a frozen run of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kdcore.answer import Answer
from kdcore.network import Network
from kdcore.peers import label_loss, on_validation, shares_by_class, with_twin
from kdcore.recipe import Pick
from kdcore.response import soft_kl
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn, alone
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms


class TeacherFree(Scheme):
    """The network is trained once, frozen, and teaches a fresh copy of itself.

    Where a network gains from a teacher no better than itself, what helps is not the teacher's knowledge but that soft
    targets keep it from being too sure. A first run cut short shows how poor such a teacher may be.
    """

    title = "Self: teacher-free (Tf-KD self)"
    kind = "self"
    uses_teacher = False
    uses_methods = False
    paper = Paper(
        "Yuan, Tay, Li, Wang, Feng", 2020, "https://arxiv.org/abs/1909.11723",
        "Revisiting Knowledge Distillation via Label Smoothing Regularization",
    )  # fmt: skip
    provenance = (
        "Paper and the authors' code, whose ResNet-18 has alpha 0.95 and T = 6. The code divides the divergence by its "
        "100 classes and multiplies it by 50; here it is summed over classes, and alpha 0.9 keeps about that balance."
    )
    pitfalls = (
        "Copied from the code with its mean over classes, the soft targets would be as many times weaker as there are "
        "classes.",
        "Poor teachers teach too, the paper finds: compare with label smoothing before crediting knowledge.",
    )
    example = {
        "data": {"is": "digits", "label_noise": 0.6},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "methods": [],
        "training": {"epochs": 30},
    }
    alpha: float = knob(0.9, 0.0, 1.0, help="Share of the earlier run's soft targets; the labels have the rest.")
    temperature: float = knob(6.0, 1.0, 40.0, help="Softness of both distributions.")
    schooling: float = knob(
        1.0, 0.02, 1.0, help="Share of the epochs that the earlier run is trained: little makes it a poor teacher."
    )

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {"earlier self": Casting(student, "assistant"), "student": Casting(student, "student")}
        return with_twin(roles, student, self.baseline)

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        first = Turn("earlier self", (between.alone("earlier self"),))
        yield Phase("earlier self", "The network learns from the labels, for the first time", (first,),
                    share=self.schooling)  # fmt: skip
        if self.baseline:
            yield alone(between, title="A fresh copy learns from the labels alone")

        def own(moment: Moment) -> Terms:
            logits = moment.see("student").logits
            told = moment.see("earlier self").logits
            return {
                "ce": label_loss(logits, moment.batch.labels), "earlier self": soft_kl(logits, told, self.temperature)
            }  # fmt: skip

        def shows() -> Sequence[Answer]:
            return [with_earlier_self(cast, between)]

        weights = {"ce": 1.0 - self.alpha, "earlier self": self.alpha}
        turn = Turn("student", own=own, weights=weights, told_by=("earlier self",), hears=("logits",))
        yield Phase("student", "A fresh copy learns from the earlier run of itself", (turn,), shows=shows)


def with_earlier_self(cast: Mapping[str, Network], between: Between) -> Answer:
    """How often the student says what its earlier self says, class by class, beside how often it is right."""
    logits = on_validation({name: cast[name] for name in ("earlier self", "student")}, between)
    truth = between.data().validation.truth
    said = {name: one.argmax(dim=1) for name, one in logits.items()}
    same = said["earlier self"] == said["student"]
    wrong = said["earlier self"] != truth
    copied = float(same[wrong].float().mean()) if bool(wrong.any()) else 0.0
    return shares_by_class(
        {"right": said["student"] == truth, "same as its earlier self": same},
        {"right": "student", "same as its earlier self": "teacher"}, between,
        title="The student and its earlier self",
        says=f"They agree for {100 * float(same.float().mean()):.1f} % of the validation pictures; of the "
        f"{int(wrong.sum())} that the earlier self got wrong the student repeats {100 * copied:.0f} %.",
        value_axis="share of validation pictures",
    )  # fmt: skip
