"""Teacher assistants: networks of middle size pass the knowledge on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kdcore.network import Network
from kdcore.recipe import Pick
from kdcore.scheme import Between, Casting, Phase, Scheme, alone, taught, taught_by_labels
from kdcore.sizes import between_sizes, refuse_growth
from kdcore.spec import knob
from kdcore.vocabulary import Paper


class TeacherAssistant(Scheme):
    """A network of middle size learns from the teacher first and then teaches the student.

    When the teacher is much larger, the student may follow a smaller step better (Mirzadeh et al., AAAI 2020,
    https://arxiv.org/abs/1902.03393). An assistant's whole-number knobs lie between the teacher's and the student's
    (geometric mean); where the two are of different kinds, it is a narrower teacher. The direct way from the teacher
    to the student is trained beside it, because the detour must beat it.
    """

    title = "Capacity gap: teacher assistant"
    kind = "capacity gap"
    paper = Paper(
        "Mirzadeh, Farajtabar, Li, Levine, Matsukawa, Ghasemzadeh", 2020, "https://arxiv.org/abs/1902.03393",
        "Improved Knowledge Distillation via Teacher Assistant",
    )  # fmt: skip
    provenance = (
        "Paper and authors' code, whose learning rate never reaches its nominal value, whose distillation term is a "
        "mean over classes too, and which reports the best epoch on test; none of that here. Our decision: sizes by "
        "the geometric mean."
    )
    pitfalls = (
        "Every hop costs a training; the same epochs spent on the student itself are the fair comparison.",
        "Where the teacher is small enough to follow, the detour only loses some of what it knows.",
    )
    example = {
        "data": {"is": "digits", "train_size": 700, "label_noise": 0.5},
        "teacher": {"is": "plain", "width": 32, "stage_count": 2},
        "student": {"is": "plain", "width": 4, "stage_count": 2},
        "methods": [{"is": "kd", "temperature": 2.0}],
        "training": {"epochs": 20, "teacher_epochs": 20, "batch": 64, "teacher_rate": 0.005},
        "scheme": {"is": "takd"},
    }
    assistants: int = knob(1, 0, 3, help="How many assistants stand between teacher and student.", unit="assistants")
    direct: bool = knob(True, help="Also distil straight from the teacher into the same student, for comparison.")

    def _names(self) -> list[str]:
        return [f"assistant {number}" for number in range(1, self.assistants + 1)]

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {"teacher": Casting(teacher, "teacher")}
        for number, name in enumerate(self._names(), start=1):
            roles[name] = Casting(between_sizes(teacher, student, number / (self.assistants + 1)), "assistant")
        roles["student"] = Casting(student, "student")
        if self.direct and self.assistants:
            roles["direct"] = Casting(student, "peer", twin_of="student")
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        refuse_growth(["teacher", *self._names()], cast)
        yield taught_by_labels(between)
        if self.baseline:
            yield alone(between)
        if "direct" in cast:
            title = "A student learns straight from the teacher"
            yield from taught("direct", title, "direct", "teacher", between)
        above = "teacher"
        for name in self._names():
            yield from taught(name, f"The {name} learns from the {above}", name, above, between)
            above = name
        yield from taught("student", f"The student learns from the {above}", "student", above, between)
