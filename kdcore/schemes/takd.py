"""Teacher assistants: networks of middle size pass the knowledge on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kdcore.network import Network
from kdcore.recipe import Pick
from kdcore.scheme import Between, Casting, Phase, Scheme, alone, taught, taught_by_labels
from kdcore.spec import knob


class TeacherAssistant(Scheme):
    """A network of middle size learns from the teacher first and then teaches the student.

    When the teacher is much larger, the student may follow a smaller step better (Mirzadeh et al., AAAI 2020,
    https://arxiv.org/abs/1902.03393). An assistant's whole-number knobs lie between the teacher's and the student's
    (geometric mean); where the two are of different kinds, it is a narrower teacher. The direct way from the teacher
    to the student is trained beside it, because the detour must beat it.
    """

    title = "Offline: teacher assistant"
    kind = "offline"
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


def between_sizes(teacher: Pick, student: Pick, share: float) -> Pick:
    """The teacher's network with whole-number knobs `share` of the way down to the student's, geometrically.

    Where the student is another kind of network, the width falls by `share` of the way to a quarter.
    """
    settings = dict(teacher.settings)
    for name, large in teacher.settings.items():
        if not isinstance(large, int) or isinstance(large, bool) or large < 1:
            continue
        if student.key == teacher.key:
            small = student.settings[name]
        elif name == "width":
            small = max(1, large // 4)
        else:
            continue
        if small >= 1:
            settings[name] = max(1, round(large ** (1 - share) * small**share))
    return Pick(teacher.key, settings)
