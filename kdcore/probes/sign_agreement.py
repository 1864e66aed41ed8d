"""How many of the teacher's neurons the student switches the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.answers.bars import Bars
from kdcore.beside import connected, sides
from kdcore.counterparts import best_partners, in_one_plane
from kdcore.glances import connected_signs, glances, points_of, share_alike
from kdcore.probe import Probe, ProbeError, percent
from kdcore.recalled import recalled
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived

NAMES = {"student": "student", "baseline": "student alone"}


class SignAgreement(Probe):
    """On how many inputs is a neuron on in both networks, or off in both?

    What a ReLU network computes is decided by which neurons are on. A run that learned a connector for this (AB) is
    compared neuron by neuron through it. Networks that were trained apart number their neurons differently: without
    such a connector, and for the student alone, each teacher neuron is compared with the neuron that agrees with it
    best on one half of the inputs, and the agreement is counted on the other half.
    """

    title = "Agreement of signs"
    answers = "Bars"
    needs = ("maps",)
    inputs: int = knob(256, 8, 2048, help="How many validation inputs are looked at.", unit="inputs")

    def ask(self, revived: Revived) -> Bars:
        who = sides(revived)
        seen = who.look(revived.data.validation, 2)
        points = points_of(who, revived.data.validation, self.inputs)
        count = points["student"].count
        if count < 4:
            raise ProbeError(f"{count} validation inputs are too few to compare signs; 4 or more are needed")
        pairs, why = who.pairs_by_sign(seen)
        if not pairs:
            raise ProbeError("the student has no layer that could be compared with one of the teacher's")
        kept = glances(who, points, seen)
        names = {part: who.layer_names(part, len(found.maps)) for part, found in seen.items()}
        series: dict[str, list[float]] = {NAMES[part]: [] for part in seen if part != "teacher"}
        usual, way = [], "best partners"
        for s, t in pairs:
            joined = connected(who, seen["student"], seen["teacher"], (s, t), before_activation=True)
            for part in seen:
                if part == "teacher":
                    continue
                both = in_one_plane(kept[part], kept["teacher"], (s, t))
                if part == "student" and joined is not None:
                    way = f"the student through the connector of {joined.method}, others by best partners"
                    same = float(share_alike(connected_signs(who, points[part], (s, t), seen), both[1]).mean())
                else:
                    same = recalled(
                        ("agreement", kept[part].key, kept["teacher"].key, s, t),
                        lambda both=both: agreement_of_partners(*(one.on() for one in both)),  # type: ignore[misc]
                    )
                series[NAMES[part]].append(same)
            theirs = in_one_plane(kept["student"], kept["teacher"], (s, t))[1]
            key = ("constant", kept["teacher"].key, t, theirs.plane)
            usual.append(recalled(key, lambda theirs=theirs: of_constant(theirs.on())))  # type: ignore[misc]
        series["a neuron that never switches"] = usual
        means = {name: sum(values) / len(values) for name, values in series.items()}
        says = (
            f"{percent(means['student'], digits=1)} of the teacher's neurons are switched the same way by the student"
        )
        if "student alone" in means:
            says += f", {percent(means['student alone'], digits=1)} by the student alone"
        return Bars(
            title=f"Neurons switched as the teacher switches them ({way}; layers {why})",
            says=says + f" ({count:,} validation inputs).",
            nearness={part: means[name] for part, name in NAMES.items() if part != "teacher" and name in means},
            nearness_of="the teacher's neurons that are switched alike",
            series={name: numpy.array(values, dtype=numpy.float32) for name, values in series.items()},
            categories=[f"{names['student'][s]} ↔ {names['teacher'][t]}" for s, t in pairs],
            category_axis="layer of the student ↔ layer of the teacher",
            value_axis="share of equal signs",
            low=0.0,
            high=1.0,
            parts={name: part for part, name in NAMES.items()},
            reference=0.5,
            reference_says="a coin: 50 %",
        )


def agreement_of_partners(ours: Tensor, theirs: Tensor) -> float:
    """Mean over the teacher's channels of the agreement in [0, 1] with each one's best partner.

    Which are on, both on one plane, (N, c, h, w) and (N, c', h, w). Partners are chosen on the even inputs and scored
    on the odd ones: the best of many guesses is no evidence.
    """
    partners = best_partners(ours[::2], theirs[::2])
    return float((ours[1::2, partners] == theirs[1::2]).float().mean())


def of_constant(theirs: Tensor) -> float:
    """The agreement in [0, 1] that neurons reach which are always on, or always off, whichever is better for each."""
    share = theirs.float().mean(dim=(0, 2, 3))
    return float(torch.maximum(share, 1 - share).mean())
