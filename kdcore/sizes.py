"""Networks of middle size between a teacher's and a student's, and the schemes that pass knowledge down by them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy

from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.network import Network, parameters_of
from kdcore.peers import on_validation, right_share
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


MOST = 8
"""Assistants at most: a chain as long as a cast can still be looked through, and its trainings be waited for."""


class Assisted(Scheme):
    """Assistants of middle size stand between teacher and student; a subclass says who teaches whom."""

    kind = "capacity gap"
    assistants: int = knob(
        1,
        0,
        MOST,
        help="How many assistants stand between teacher and student. Each is trained too.",
        unit="assistants",
    )
    direct: bool = knob(True, help="Also distil straight from the teacher into the same student, for comparison.")

    def middle(self) -> list[str]:
        """The assistants' roles, the largest first."""
        return [f"assistant {number}" for number in range(1, self.assistants + 1)]

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {"teacher": Casting(teacher, "teacher")}
        for name, network in zip(self.middle(), spread(teacher, student, self.assistants), strict=True):
            roles[name] = Casting(network, "assistant")
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
        so_far = ["teacher"]

        def seen(phases: Iterator[Phase]) -> Iterator[Phase]:
            for phase in phases:
                so_far.extend(turn.learner for turn in phase.turns if turn.learner not in so_far)
                chain = {name: cast[name] for name in so_far}
                yield replace(phase, shows=partial(_stairs, chain, cast.get("baseline"), between))

        if "direct" in cast:
            title = "A student learns straight from the teacher"
            yield from seen(taught("direct", title, "direct", "teacher", between))
        yield from seen(self.down(between))

    @abstractmethod
    def down(self, between: Between) -> Iterator[Phase]:
        """Once the teacher has learned: assistants and student, the largest first."""


def stairs(chain: Mapping[str, Network], alone: Network | None, between: Between) -> Bars:
    """What each of those who have learned so far is worth, the largest first, with its size; who learns alone beside.

    The student that learns straight from the teacher has no step of its own: it stands last.
    """
    names = sorted(chain, key=lambda name: (name == "direct", -parameters_of(chain[name].deployed())))
    logits = on_validation(chain, between)
    right = [right_share(logits[name], between) for name in names]
    spoken_names = ["straight from the teacher" if name == "direct" else name for name in names]
    other = None if alone is None else right_share(on_validation({"alone": alone}, between)["alone"], between)
    told = ", ".join(f"{name} {100 * value:.1f} %" for name, value in zip(spoken_names, right, strict=True))
    return Bars(
        "Down the chain", f"Right for so many of the validation pictures: {told}.",
        {"by now": numpy.array(right, dtype=numpy.float32)},
        [f"{said}: {parameters_of(chain[name].deployed()):,}" for said, name in zip(spoken_names, names, strict=True)],
        category_axis="network, and its parameters", value_axis="accuracy on validation pictures", low=0.0, high=1.0,
        parts={"by now": "student"}, reference=other,
        reference_says="" if other is None else f"student alone {100 * other:.1f} %",
    )  # fmt: skip


def _stairs(chain: Mapping[str, Network], alone: Network | None, between: Between) -> list[Answer]:
    return [stairs(chain, alone, between)]


def spread(teacher: Pick, student: Pick, count: int) -> list[Pick]:
    """So many networks from the teacher's size down to the student's. Raises RecipeError where they run out."""

    def steps(count: int) -> list[Pick]:
        return [between_sizes(teacher, student, number / (count + 1)) for number in range(1, count + 1)]

    def differ(found: list[Pick]) -> bool:
        return all(above != below for above, below in pairwise(found))

    found = steps(count)
    if differ(found) or _grows(teacher, student):  # which is refused for another reason
        return found
    twins = next(number for number, (above, below) in enumerate(pairwise(found), 1) if above == below)
    most = max(fewer for fewer in range(1, count) if differ(steps(fewer)))
    raise RecipeError(
        "scheme.assistants",
        f"assistants={count}: assistant {twins} and assistant {twins + 1} would be the same network; between this "
        f"teacher and this student there are sizes for {most} at most",
    )


def _grows(teacher: Pick, student: Pick) -> bool:
    """Whether the student is larger than the teacher in a number that both have."""
    numbers = [name for name, one in teacher.settings.items() if isinstance(one, int | float)]
    return teacher.key == student.key and any(student.settings[name] > teacher.settings[name] for name in numbers)


def between_sizes(teacher: Pick, student: Pick, share: float) -> Pick:
    """The teacher's network with its numbers `share` of the way down to the student's, geometrically.

    Where the student is another kind of network, the width falls by `share` of the way to a quarter.
    """
    settings = dict(teacher.settings)
    for name, large in teacher.settings.items():
        if not isinstance(large, int | float) or isinstance(large, bool) or large <= 0:
            continue
        if student.key == teacher.key:
            small = student.settings[name]
        elif name in ("width", "widen"):
            small = large / 4
        else:
            continue
        if small > 0:
            size = large ** (1 - share) * small**share
            settings[name] = max(1, round(size)) if isinstance(large, int) else float(f"{size:.3g}")
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
