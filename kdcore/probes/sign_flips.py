"""Which neurons changed sides while a network learned?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy
from torch import Tensor

from kdcore.answers.neurons import Neurons
from kdcore.beside import sides
from kdcore.earlier import kept_until, network_at
from kdcore.glances import Glance, glance, layers_beside, points_of
from kdcore.probe import Probe, ProbeError, percent
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived

SAID = {"first": "since the first snapshot", "before": "since the snapshot before"}


class SignFlips(Probe):
    """On how many inputs is a neuron on now and was off before, or the other way round?

    A neuron that flips often has moved its boundary over the data; one that never flips has kept what it began with.
    Of a layer with a plane each channel is counted at all its places. The student alone is compared over its own whole
    training; where both start from the same weights, its neurons are the same ones as the student's.
    """

    title = "Neurons that changed sides"
    answers = "Neurons"
    inputs: int = knob(256, 1, 2048, help="How many validation inputs are looked at.", unit="inputs")
    since: str = knob("first", choices=tuple(SAID), help="Compared with the first snapshot, or with the one before.")

    def ask(self, revived: Revived) -> Neurons:
        who = sides(revived)
        split = revived.data.validation
        points = points_of(who, split, self.inputs)["student"]
        layers = layers_beside(who.look(split, 2))
        views = {part: view for part, view in who.views().items() if part != "teacher"}
        values: dict[str, numpy.ndarray] = {}
        means: dict[str, list[float]] = {}
        names: list[str] = []
        where = ""
        for part, view in views.items():
            role = view.split(":")[0]
            kept = kept_until(revived, role)
            if part == "baseline" and not kept:
                continue
            now = glance(revived, view, points, layers[part])
            first = self.since == "first" or part == "baseline"
            then = kept[0] if kept and first else kept[-2] if len(kept) > 1 else None
            network = network_at(revived, role, then) if then else revived.networks[role]
            old = replace(revived, networks={**revived.networks, role: network})
            before = glance(old, view, points, layers[part])
            means[part] = []
            for number, shares in switching(who.layer_names(part, len(now.shapes)), now, before, part):
                values[f"{part}|{number}"] = shares.numpy()
                means[part].append(float(shares.mean()))
            if part == "student":
                names = who.layer_names(part, len(now.shapes))
                where = ("; it has not begun to learn", "; this is the first snapshot", "")[min(2, len(kept))]
        highest = max(
            (float(values[f"student|{n}"].max()), n, int(values[f"student|{n}"].argmax())) for n in range(len(names))
        )
        says = (
            f"{percent(float(numpy.mean(means['student'])), digits=1)} of the signs of the student's neurons changed "
            f"{SAID[self.since]}{where}; most in neuron {highest[2]} of {names[highest[1]]}, {percent(highest[0])}"
        )
        if "baseline" in means:
            says += (
                f"; of the student alone over its training, {percent(float(numpy.mean(means['baseline'])), digits=1)}"
            )
        return Neurons(
            title=f"Each of the student's neurons: share of inputs on which it changed sides {SAID[self.since]}",
            says=f"{says} ({points.count:,} validation inputs).",
            panels=list(names),
            values=values,
            means=means,
            neuron_axis="neurons, most changed first",
            value_axis="share of inputs with another sign",
            reference=[],
            reference_says="",
            named=3,
        )


def switching(names: list[str], now: Glance, before: Glance, part: str) -> list[tuple[int, Tensor]]:
    """(layer, (c,) share of changed signs) for each layer. Raises ProbeError for one without an activation."""
    found = []
    for number, (_, height, width) in enumerate(now.shapes):
        if now.straight[number]:
            raise ProbeError(
                f"{names[number]} of the {part} ends without an activation, so its neurons do not switch; "
                "a network whose layers end with one is needed"
            )
        new, old = (one.signs[number, (height, width)].on() for one in (now, before))
        found.append((number, (new != old).float().mean(dim=(0, 2, 3))))
    return found
