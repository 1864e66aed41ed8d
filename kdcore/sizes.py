"""Networks of middle size between a teacher's and a student's, and the schemes that pass knowledge down by them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from kdcore.network import Network, parameters_of
from kdcore.recipe import Pick, RecipeError
from kdcore.scheme import Between, Casting, Phase, Scheme, alone, taught, taught_by_labels
from kdcore.spec import knob

EXAMPLE: dict[str, Any] = {
    "data": {"is": "digits", "train_size": 700, "label_noise": 0.5},
    "teacher": {"is": "plain", "width": 32, "stage_count": 2},
    "student": {"is": "plain", "width": 4, "stage_count": 2},
    "methods": [{"is": "kd", "temperature": 2.0}],
    "training": {"epochs": 20, "teacher_epochs": 20, "batch": 64, "teacher_rate": 0.005},
}
"""A recipe in which the student is far smaller than the teacher."""


class Assisted(Scheme):
    """Assistants of middle size stand between teacher and student; a subclass says who teaches whom."""

    kind = "capacity gap"
    assistants: int = knob(1, 0, 3, help="How many assistants stand between teacher and student.", unit="assistants")
    direct: bool = knob(True, help="Also distil straight from the teacher into the same student, for comparison.")

    def middle(self) -> list[str]:
        """The assistants' roles, the largest first."""
        return [f"assistant {number}" for number in range(1, self.assistants + 1)]

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {"teacher": Casting(teacher, "teacher")}
        for number, name in enumerate(self.middle(), start=1):
            roles[name] = Casting(between_sizes(teacher, student, number / (self.assistants + 1)), "assistant")
        roles["student"] = Casting(student, "student")
        if self.direct and self.assistants:
            roles["direct"] = Casting(student, "peer", twin_of="student")
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        refuse_growth(["teacher", *self.middle()], cast)
        yield taught_by_labels(between)
        if self.baseline:
            yield alone(between)
        if "direct" in cast:
            yield from taught("direct", "A student learns straight from the teacher", "direct", "teacher", between)
        yield from self.down(between)

    @abstractmethod
    def down(self, between: Between) -> Iterator[Phase]:
        """Once the teacher has learned: assistants and student, the largest first."""


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


def refuse_growth(chain: Sequence[str], cast: Mapping[str, Network]) -> None:
    """Raise RecipeError where an assistant of the chain (teacher, assistants …) has more parameters than who is above.

    Such an assistant is no step down, and its teacher no teacher for it.
    """
    for above, name in pairwise(chain):
        larger, smaller = parameters_of(cast[above].deployed()), parameters_of(cast[name].deployed())
        if smaller > larger:
            raise RecipeError(
                "teacher",
                f"the {name} ({smaller:,} parameters) would be larger than the {above} ({larger:,}): "
                "an assistant stands between, so the teacher must be larger than the student",
            )
