"""Born-again networks: each generation teaches the next, all alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kdcore.network import Network
from kdcore.recipe import Pick
from kdcore.scheme import Between, Casting, Phase, Scheme, Turn, taught
from kdcore.spec import knob


class BornAgain(Scheme):
    """The student teaches a fresh copy of itself, generation after generation.

    The first generation learns from the labels alone, so it is the yardstick too. Every later one starts from new
    random weights and is taught by the one before (Furlanello et al., ICML 2018, https://arxiv.org/abs/1805.04770).
    """

    title = "Self: born again"
    kind = "self"
    uses_teacher = False
    generations: int = knob(2, 1, 6, help="How many generations are taught by the one before.", unit="generations")
    baseline: bool = knob(True, help="Show the first generation, which learns from the labels alone, as the yardstick.")

    def _names(self) -> list[str]:
        return ["baseline", *(f"generation {number}" for number in range(1, self.generations)), "student"]

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        first, *middle, last = self._names()
        roles = {first: Casting(student, "baseline" if self.baseline else "teacher")}
        roles.update({name: Casting(student, "assistant") for name in middle})
        roles[last] = Casting(student, "student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        first, *later = self._names()
        yield Phase(first, "Generation 0 learns from the labels", (Turn(first, (between.alone(first),)),))
        teacher = first
        for number, name in enumerate(later, start=1):
            title = f"Generation {number} learns from generation {number - 1}"
            yield from taught(name, title, name, teacher, between)
            teacher = name
