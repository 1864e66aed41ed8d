"""How far inputs lie from the boundaries of neurons, on the teacher's side or beyond."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch

from kdcore.answers.distances import Distances
from kdcore.beside import Sides, sides
from kdcore.counterparts import counterparts
from kdcore.fingerprint import weights_key
from kdcore.glances import glances, points_of
from kdcore.methods.ab import ActivationBoundaries
from kdcore.patience import Way
from kdcore.probe import Probe, ProbeError, percent
from kdcore.probes.boundaries import ways
from kdcore.recalled import Key, network_key, recalled
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived

BINS = 48


class BoundaryDistance(Probe):
    """How far do inputs lie from a neuron's boundary, and on the side where the teacher has them?

    The distance is the pre-activation itself, the unit in which AB counts its margin: not divided by its slope, since
    AB does not do so either. Right of zero a neuron is switched as in the teacher, left of it otherwise. AB pays for
    everything left of its margin and leaves the rest alone. Without a connector for signs each neuron of the teacher
    is compared with the neuron that agrees with it best on the even inputs; counted on the odd ones.
    """

    title = "Distance to the boundary"
    answers = "Distances"
    ahead = 7
    student_layer: int = knob(-1, -1, 999, help="The student's layer, counted from 0. -1: the one the run matched.")
    teacher_layer: int = knob(-1, -1, 999, help="The teacher's layer, counted from 0. -1: the one the run matched.")
    inputs: int = knob(256, 8, 2048, help="How many validation inputs are looked at.", unit="inputs")

    def ask(self, revived: Revived) -> Distances:
        who = sides(revived)
        seen = who.look(revived.data.validation, self.inputs)
        count = len(seen["student"].logits)
        if count < 4:
            raise ProbeError(f"{count} validation inputs are too few for a histogram; 4 or more are needed")
        if self.student_layer == self.teacher_layer == -1:
            pairs, why = who.pairs_by_sign(seen)
            s, t = pairs[(len(pairs) - 1) // 2]
        else:
            s, t, why = who.pair(seen, self.student_layer, self.teacher_layer)
        points = points_of(who, revived.data.validation, self.inputs)
        stand_ins = counterparts(who, seen, glances(who, points, seen), (s, t))
        margin, own = margin_of(who, (s, t))
        last = list(stand_ins)[-1]  # of the teacher what stands beside it

        def distances(part: str) -> torch.Tensor:
            other = last if part == "teacher" else part
            both = stand_ins[other].beside(seen[other], seen["teacher"])
            ours, theirs = (one[1::2].float() for one in both)
            return theirs.abs() if part == "teacher" else torch.where(theirs > 0, ours, -ours)

        def key_of(part: str) -> Key:
            joined = stand_ins[last if part == "teacher" else part].chosen is None
            learned = weights_key(who.objective) if joined and who.objective is not None else ""
            inputs = [one.key for one in points.values()]
            networks = [network_key(revived, who.views()[one]) for one in ("teacher", part)]
            return "distances", s, t, margin, *inputs, *networks, learned

        half = recalled((*key_of("teacher"), "reach"), lambda: reach(distances("teacher"), margin))
        shares, wrong, inside = {}, {}, {}
        way = Way(1 + len(stand_ins))
        for part in ("teacher", *stand_ins):

            def counted(part: str = part) -> tuple[numpy.ndarray, float, float]:
                return _counted(distances(part), half, margin)

            shares[part], wrong[part], inside[part] = recalled((*key_of(part), part, half), counted)
            way.step()
        edges = torch.linspace(-half, half, BINS + 1)
        names = {part: who.layer_names(part, len(one.maps)) for part, one in seen.items()}
        says = (
            f"{percent(wrong['student'], digits=1)} of the student's neurons lie on the other side than the teacher's, "
            f"{percent(inside['student'], digits=1)} on its side but within {margin:g}"
        )
        if "baseline" in wrong:
            says += f"; of the student alone {percent(wrong['baseline'], digits=1)} and "
            says += percent(inside["baseline"], digits=1)
        layers = f"{names['student'][s]} ↔ {names['teacher'][t]}, {why}"
        return Distances(
            title=f"How far from the boundary, and on which side ({layers}; {ways(stand_ins)})",
            says=f"{says} ({count // 2:,} validation inputs).",
            nearness={part: 1.0 - wrong[part] for part in ("student", "baseline") if part in wrong},
            nearness_of="neurons on the teacher's side of their boundary",
            edges=edges.numpy(),
            shares=shares,
            wrong=wrong,
            inside=inside,
            margin=margin,
            margin_is="own" if own else "reference",
            distance_axis="pre-activation, positive on the teacher's side of the boundary (not scaled)",
            share_axis="share of neurons × inputs",
        )


def _counted(distances: torch.Tensor, half: float, margin: float) -> tuple[numpy.ndarray, float, float]:
    """Of all distances the share in each bin, (BINS,), those on the other side, and those within the margin."""
    values = distances.flatten().cpu()
    counts = torch.histc(values.clamp(-half, half), bins=BINS, min=-half, max=half)
    beyond, near = (float((values < end).float().mean()) for end in (0.0, margin))
    return (counts / len(values)).numpy(), beyond, near - beyond


def margin_of(who: Sides, pair: tuple[int, int]) -> tuple[float, bool]:
    """AB's margin, and whether the run uses AB, now or in a stage of its own; else its default."""
    for name, share in who.matched():
        assert who.objective is not None
        method = who.objective.methods[name]
        if isinstance(method, ActivationBoundaries) and pair in share.pairing.pairs:
            return float(method.margin), True
    for part in who.revived.recipe.methods:
        if part.method.key == "ab":
            return float(part.method.settings.get("margin", ActivationBoundaries().margin)), True
    return float(ActivationBoundaries().margin), False


def reach(distances: torch.Tensor, margin: float) -> float:
    """Half the width of the histogram: the margin times the first power of two, 4 or more, that holds 95 % of the
    teacher's distances. Steps, so that it stays the same over a film."""
    kept = numpy.quantile(distances.flatten().cpu().numpy(), 0.95)
    half = 4.0 * margin
    while half < kept and half < 2.0**40:
        half *= 2.0
    return half
