"""Which student layer is matched with which teacher layer, and why: by resolution first, by depth second. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Shape = Sequence[int]
"""(c, h, w) of a layer."""


class PairingError(ValueError):
    """A pairing that names a layer which is not there, or that a method cannot use."""


@dataclass(frozen=True)
class Pairing:
    """(student layer, teacher layer) counted from 0, and the reason in one sentence."""

    pairs: tuple[tuple[int, int], ...]
    why: str

    @property
    def student_layers(self) -> tuple[int, ...]:
        """The student's layers of the pairs, each once, shallow to deep."""
        return tuple(sorted({pair[0] for pair in self.pairs}))

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        return tuple(sorted({pair[1] for pair in self.pairs}))


def automatic(matches: str, prefers: str, *, student: Sequence[Shape], teacher: Sequence[Shape]) -> Pairing:
    """The pairing that a method gets when the recipe names none."""
    if matches == "nothing":
        return Pairing((), "compares outputs, no layers")
    if matches == "all":
        pairs = tuple((s, t) for s in range(len(student)) for t in range(len(teacher)))
        return Pairing(pairs, f"every student layer with every teacher layer, {len(student)} × {len(teacher)}")
    chosen = [_partner(layer, student, teacher) for layer in range(len(student))]
    if matches == "each":
        reasons = {reason for _, _, reason in chosen}
        return Pairing(tuple((s, t) for s, t, _ in chosen), "each student layer " + " or ".join(sorted(reasons)))
    layer = len(student) - 1 if prefers == "last" else (len(student) - 1) // 2
    s, t, reason = chosen[layer]
    return Pairing(((s, t),), f"the student's {prefers} layer {reason}")


def named(
    matches: str, pairs: Sequence[Sequence[int]], *, student: Sequence[Shape], teacher: Sequence[Shape]
) -> Pairing:
    """The pairing that a recipe names. Raises PairingError for layers that are not there."""
    if matches == "nothing":
        raise PairingError("this method compares outputs; it takes no pairs of layers")
    for s, t in pairs:
        if not 0 <= s < len(student):
            raise PairingError(f"student layer {s}: the student has layers 0 to {len(student) - 1}")
        if not 0 <= t < len(teacher):
            raise PairingError(f"teacher layer {t}: the teacher has layers 0 to {len(teacher) - 1}")
    if matches == "one" and len(pairs) != 1:
        raise PairingError(f"{len(pairs)} pairs: this method matches one pair of layers")
    unique = tuple(dict.fromkeys((s, t) for s, t in pairs))
    return Pairing(unique, "as the recipe names them")


def _partner(layer: int, student: Sequence[Shape], teacher: Sequence[Shape]) -> tuple[int, int, str]:
    """The teacher's layer for a student's: of the same resolution (the deepest but for twins), or of the same depth."""
    same = [number for number, shape in enumerate(teacher) if tuple(shape[1:]) == tuple(student[layer][1:])]
    twins = [number for number, shape in enumerate(student) if tuple(shape[1:]) == tuple(student[layer][1:])]
    if same and len(twins) < max(len(student), 2):
        place = twins.index(layer)
        share = (place + 1) / len(twins)
        return layer, same[max(0, round(share * len(same)) - 1)], "with the teacher layer of the same resolution"
    depth = (layer + 1) / len(student)
    return layer, max(0, round(depth * len(teacher)) - 1), "with the teacher layer of the same relative depth"
