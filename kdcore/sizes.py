"""Networks of middle size between a teacher's and a student's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from kdcore.network import Network, parameters_of
from kdcore.recipe import Pick, RecipeError


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
