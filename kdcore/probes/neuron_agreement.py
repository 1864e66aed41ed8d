"""For each of the teacher's neurons: on how many inputs is it on, or off, in the other networks too?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy

from kdcore.answers.neurons import Neurons
from kdcore.beside import sides
from kdcore.counterparts import counterparts
from kdcore.glances import glances, points_of
from kdcore.probe import Probe, ProbeError, percent
from kdcore.probes.boundaries import ways
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived


class NeuronAgreement(Probe):
    """Which of the teacher's neurons are switched the same way by the student, and which are not?

    Each neuron of the teacher (of a layer with a plane: each channel, at all its places) is compared with its
    counterpart: what the run's connector makes of the student where one was learned for signs (AB), else the neuron
    that agrees with it best on the even inputs. Counted on the odd inputs.
    """

    title = "Agreement of each neuron's sign"
    answers = "Neurons"
    inputs: int = knob(256, 8, 2048, help="How many validation inputs are looked at.", unit="inputs")

    def ask(self, revived: Revived) -> Neurons:
        who = sides(revived)
        seen = who.look(revived.data.validation, 2)
        points = points_of(who, revived.data.validation, self.inputs)
        count = points["student"].count
        if count < 4:
            raise ProbeError(f"{count} validation inputs are too few to compare signs; 4 or more are needed")
        pairs, why = who.pairs_by_sign(seen)
        kept = glances(who, points, seen)
        names = {part: who.layer_names(part, len(found.maps)) for part, found in seen.items()}
        panels: list[str] = []
        values: dict[str, numpy.ndarray] = {}
        means: dict[str, list[float]] = {part: [] for part in seen if part != "teacher"}
        usual: list[float] = []
        way, refused = "", None
        for s, t in pairs:
            try:
                stand_ins = counterparts(who, seen, kept, (s, t))
            except ProbeError as error:
                refused = error
                continue
            way = ways(stand_ins)
            for part, stand_in in stand_ins.items():
                ours, theirs = stand_in.signs(kept[part], kept["teacher"], points[part], seen)
                same = 1 - _mean(ours.words[1::2] ^ theirs.words[1::2], theirs.plane)
                values[f"{part}|{len(panels)}"] = same
                means[part].append(float(same.mean()))
            on = _mean(theirs.words[1::2], theirs.plane)
            usual.append(float(numpy.maximum(on, 1 - on).mean()))
            panels.append(f"{names['student'][s]} ↔ {names['teacher'][t]}")
        if not panels:
            raise refused or ProbeError("the student has no layer that could be compared with one of the teacher's")
        every = {part: float(numpy.mean(found)) for part, found in means.items()}
        says = (
            f"Mean over layers: {percent(every['student'], digits=1)} of the teacher's neurons' signs are the same in "
            "the student"
        )
        if "baseline" in every:
            says += f", {percent(every['baseline'], digits=1)} in the student alone"
        return Neurons(
            title=f"Each of the teacher's neurons: how often it is switched the same way ({way}; layers {why})",
            says=f"{says} ({count // 2:,} validation inputs).",
            nearness={part: value for part, value in every.items() if part != "teacher"},
            nearness_of="the teacher's neurons that are switched alike",
            panels=panels,
            values=values,
            means=means,
            neuron_axis="the teacher's neurons, most alike first",
            value_axis="share of equal signs",
            reference=usual,
            reference_says="neurons that never switch",
            named=0,
        )


def _mean(words: numpy.ndarray, plane: tuple[int, int]) -> numpy.ndarray:
    """Share of the bits that are set in each channel, of (N, c, W) words that hold planes (h, w): (c,) float32."""
    counts = numpy.bitwise_count(words).sum(axis=(0, 2), dtype=numpy.int64)
    return (counts / (len(words) * plane[0] * plane[1])).astype(numpy.float32)
