"""Which hint layer of the teacher for which guided layer of the student."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
from torch import Tensor

from kdcore.answers.layer_pairs import LayerPairs
from kdcore.beside import explained, sides
from kdcore.probe import Probe, ProbeError, percent
from kdcore.similarity import LEAST, batch_grams, cka_matrix
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived


class SuggestPairs(Probe):
    """Which layers of student and teacher are worth matching?

    Every pair is ranked by three things that each go from 0 to 1: how near their resolutions are, their CKA, and how
    much of the teacher's layer a linear connector could read off the student's. It is measured on the student alone
    where there is one, which no pairing has shaped. A high place says that the pair is within the student's reach; that
    matching it helps, only a run can say.
    """

    title = "Suggested pairs"
    answers = "LayerPairs"
    needs = ("maps",)
    network: str = knob("baseline", choices=("baseline", "student"), help="Whose layers: student alone, or student.")
    inputs: int = knob(256, LEAST, 2048, help="How many validation inputs are looked at.", unit="inputs")
    batch: int = knob(64, LEAST, 512, help="Inputs in one batch of CKA.", unit="inputs")

    def ask(self, revived: Revived) -> LayerPairs:
        who = sides(revived)
        seen = who.look(revived.data.validation, self.inputs)
        count = len(seen["teacher"].logits)
        if count < LEAST:
            raise ProbeError(f"{count} validation inputs are too few to rank pairs; {LEAST} or more are needed")
        part = self.network if self.network in seen else "student"
        ours, theirs = seen[part].maps, seen["teacher"].maps
        if not ours or not theirs:
            raise ProbeError("one of the networks has no layer inside that could be matched")
        batches = max(1, count // self.batch)
        grams = [
            batch_grams([layer.flatten(1) for layer in maps], kernel="linear", batches=batches)
            for maps in (ours, theirs)
        ]
        alike = cka_matrix(*grams).cpu().numpy()
        planes = numpy.array([[_resolution(a, b) for b in theirs] for a in ours])
        read = numpy.array([[explained(a, b) for b in theirs] for a in ours])
        score = (planes + alike.clip(min=0.0) + read) / 3.0
        order = numpy.argsort(-score.flatten(), kind="stable")
        pairs = [[int(place) // len(theirs), int(place) % len(theirs)] for place in order]
        names = who.layer_names(part, len(ours)), who.layer_names("teacher", len(theirs))
        known = set(who.pairs(seen)[0]) if who.matched() else set()
        where = "student alone" if part == "baseline" else "student"
        said = [f"{names[0][s]} ↔ {names[1][t]}" for s, t in pairs]
        return LayerPairs(
            title=f"Which layers to match (measured on the {where} with {count:,} validation inputs)",
            says=f"Of {len(pairs)} pairs, {said[0]} goes together best: {_reason(pairs[0], ours, theirs, alike, read)}",
            pairs=pairs,
            names=said,
            resolution=_in_order(planes, order),
            cka=_in_order(alike, order),
            explained=_in_order(read, order),
            score=_in_order(score, order),
            reasons=[_reason(pair, ours, theirs, alike, read) for pair in pairs],
            matched=[(s, t) in known for s, t in pairs],
        )


def _resolution(ours: Tensor, theirs: Tensor) -> float:
    """Shorter side over longer side of the planes, the worse of height and width."""
    return min(min(a, b) / max(a, b) for a, b in zip(ours.shape[2:], theirs.shape[2:], strict=True))


def _in_order(values: numpy.ndarray, order: numpy.ndarray) -> numpy.ndarray:
    return values.flatten()[order].astype(numpy.float32)


def _reason(
    pair: list[int], ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...], alike: numpy.ndarray, read: numpy.ndarray
) -> str:
    """One sentence with the pair's three numbers and how it stands among the others."""
    s, t = pair
    a, b = _plane(ours[s]), _plane(theirs[t])
    plane = f"the same resolution ({a})" if a == b else f"{a} beside {b}, so the larger is averaged down"
    if a == b == "1×1":
        plane = "no plane on either side"
    best = ", the teacher layer's best" if alike[s, t] >= alike[:, t].max() and len(ours) > 1 else ""
    can = percent(read[s, t])
    return f"{plane}; CKA {alike[s, t]:.2f}{best}; a linear connector reads {can} of the teacher layer's variance."


def _plane(layer: Tensor) -> str:
    return f"{layer.shape[2]}×{layer.shape[3]}"
