"""Distillation that stops early, from a teacher that stopped early."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from kdcore.answer import Answer
from kdcore.gated import gated
from kdcore.network import Network
from kdcore.peers import following
from kdcore.recipe import Pick
from kdcore.scheme import Between, Casting, Lesson, Phase, Scheme, alone, taught, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper


class EarlyStopped(Scheme):
    """The teacher trains only for a part of its epochs, and the student hears of it only for a part of its own.

    A teacher trained to the end may be sharper than a small student can follow; a short but complete schedule leaves it
    softer. And late in training, following the teacher may cost the small student what it could use for the labels, so
    the teacher falls silent before the end. The same student taught to the end is trained beside it.
    """

    title = "Offline: early-stopped (ESKD)"
    kind = "offline"
    paper = Paper(
        "Cho, Hariharan", 2019, "https://arxiv.org/abs/1910.01348", "On the Efficacy of Knowledge Distillation"
    )
    provenance = (
        "Paper only: teachers of 35 to 65 of 200 epochs, each a complete schedule. Our decision: when recipes have no "
        "method on labels, cross-entropy stands beside the teacher all along, for something must teach at the end."
    )
    pitfalls = (
        "It is meant for a teacher much larger than the student; else stopping early only makes a worse teacher.",
        "Where labels are few or wrong, the teacher is the better guide to the end: then stopping hurts.",
    )
    example = {
        "data": {"is": "digits", "label_noise": 0.3},
        "teacher": {"is": "plain", "width": 32, "stage_count": 2},
        "student": {"is": "plain", "width": 4, "stage_count": 2},
        "training": {"epochs": 30, "teacher_epochs": 30},
        "scheme": {"is": "eskd", "teacher_share": 0.4},
    }
    teacher_share: float = knob(0.65, 0.05, 1.0, help="Share of its epochs for which the teacher trains.")
    until: float = knob(0.7, 0.0, 1.0, help="Share of the student's epochs for which the teacher is heard. 1: all.")
    direct: bool = knob(True, help="Also distil to the end from the same teacher into the same student, to compare.")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {"teacher": Casting(teacher, "teacher"), "student": Casting(student, "student")}
        if self.direct:
            roles["to the end"] = Casting(student, "peer", twin_of="student")
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        yield replace(taught_by_labels(between), share=self.teacher_share)
        if self.baseline:
            yield alone(between)

        def shows(*names: str) -> Callable[[], Sequence[Answer]]:
            learners = {name: cast[name] for name in names if name in cast}
            title = "How far each follows the teacher"
            return lambda: [following("teacher", learners, cast, between, title=title)]

        if self.direct:
            title = "A student hears the teacher to the end"
            for phase in taught("to the end", title, "to the end", "teacher", between):
                yield replace(self._with_labels(phase, between, 1.0), shows=shows("to the end"))
        title = f"The student hears the teacher for {100 * self.until:.0f} % of the time"
        for phase in taught("student", title, "student", "teacher", between):
            phase = self._with_labels(phase, between, self.until) if phase.name == "student" else phase
            yield replace(phase, shows=shows("to the end", "student"))

    def _with_labels(self, phase: Phase, between: Between, until: float) -> Phase:
        """The phase with labels all along and its other lessons only until then."""

        def opens(batch: Batch) -> bool:
            return batch.progress < until

        (turn,) = phase.turns
        if turn.only or all(lesson.teacher is None for lesson in turn.lessons):
            return phase
        told = [lesson for lesson in turn.lessons if lesson.teacher is not None]
        heard = [gated(lesson, opens) if until < 1.0 else lesson for lesson in told]
        labels: Lesson = between.labels(turn.learner) or between.alone(turn.learner)
        return replace(phase, turns=(replace(turn, lessons=(labels, *heard)),))
