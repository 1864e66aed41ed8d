"""How steep the loss is around student and student alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy
import torch

from kdcore.answers.loss_plane import LossPlane as Answered
from kdcore.landscape import (
    View,
    Weights,
    direction,
    measured,
    moved,
    normalises,
    re_estimated,
    weights_of,
)
from kdcore.outputs import NAMES
from kdcore.patience import Way
from kdcore.probe import Probe
from kdcore.recalled import recalled, tensors_key
from kdcore.spec import knob
from kdcore.twins import LOSSES, NEARNESS, kind_of, seeded, twins

if TYPE_CHECKING:
    from kdcore.revive import Revived

DIRECTIONS = 4
"""Random directions from the centre behind the sharpness; each is walked both ways."""
RADII = 5


class LossPlane(Probe):
    """Does the student stand in a flat valley or in a steep one?

    The weights are moved along two random directions, in which each filter is as long as the network's own, so that
    networks of one architecture can be compared (Li et al. 2018); both are moved along the same two. Sharpness is the
    mean rise of the loss at one distance from the centre, over four further directions, walked both ways.
    """

    title = "Loss around student and student alone"
    answers = "LossPlane"
    ahead = 6
    loss: str = knob(
        "cross_entropy", choices=tuple(LOSSES), help="Cross-entropy with the labels, or KL to the teacher."
    )
    batch_norm: str = knob(
        "kept", choices=("kept", "re-estimated"),
        help="Running statistics of the centre, as Li et al. have it, or estimated again at each place.",
    )  # fmt: skip
    reach: float = knob(1.0, 0.05, 2.0, help="How far the plane reaches, in lengths of the network's own filters.")
    grid: int = knob(
        11, 3, 51, help="Places along each side; an even number counts as the next odd one.", unit="places"
    )
    inputs: int = knob(
        100, 20, 5000, help="Most validation inputs looked at; large networks look at fewer.", unit="inputs"
    )

    def ask(self, revived: Revived) -> Answered:
        pair = twins(revived)
        name, loss = LOSSES[self.loss]
        half = self.grid // 2
        looks = len(pair.views()) * ((2 * half + 1) ** 2 + 2 * RADII * DIRECTIONS)
        inputs = pair.affordable(self.inputs, looks=looks)
        sample, images = pair.validation(inputs), pair.statistics_from(inputs)
        at = [self.reach * place / half for place in range(-half, half + 1)]
        radii = [self.reach * (place + 1) / RADII for place in range(RADII)]
        radius = radii[RADII // 2 - 1]
        again = self.batch_norm == "re-estimated" and normalises(pair.student)
        keys = {
            part: ("around", *pair.key(part), tensors_key(sample.images, sample.labels, sample.teacher, images),
                   self.loss, self.reach, half, again)
            for part in pair.views()
        }  # fmt: skip
        way = Way(looks // len(keys) * sum(key not in recalled for key in keys.values()))
        found: dict[str, _Around] = {}
        for part, view in pair.views().items():

            def height(weights: Weights, view: View = view) -> float:
                way.step()
                weights = re_estimated(view, weights, images) if again else weights
                return measured(view, weights, sample, loss)[0]

            def around(view: View = view, height: Callable[[Weights], float] = height) -> _Around:
                own = measured(view, weights_of(view), sample, loss)[0]
                return _around(view, height, at=at, radii=radii, own=own)

            found[part] = recalled(keys[part], around)
        planes = {part: one.plane for part, one in found.items()}
        own = {part: one.own for part, one in found.items()}
        rises = {part: one.rise for part, one in found.items()}
        walks = {part: one[radii.index(radius)] for part, one in rises.items()}
        sharpness = {part: float(one.mean()) for part, one in walks.items()}
        kind = kind_of(revived)
        return Answered(
            title=f"How {name} rises around each network, on one and the same random plane",
            says=_sentence(walks, radius, name),
            nearness=pair.nearness(sample),
            nearness_of=NEARNESS,
            at=torch.tensor(at, dtype=torch.float64).numpy(),
            loss=planes,
            own=own,
            radii=torch.tensor(radii, dtype=torch.float64).numpy(),
            rise=rises,
            sharpness=sharpness,
            radius=radius,
            count=len(sample),
            loss_name=name,
            inputs=kind,
            statistics=f"batch-norm statistics estimated again at each place, from {len(images)} training {kind}"
            if again else "batch-norm statistics of the centre" if normalises(pair.student) else "no batch norm",
        )  # fmt: skip


@dataclass(frozen=True)
class _Around:
    """What one network's answer is made of, as `LossPlane` has it."""

    plane: numpy.ndarray
    own: float
    rise: numpy.ndarray


def _around(
    view: View, height: Callable[[Weights], float], *, at: list[float], radii: list[float], own: float
) -> _Around:  # fmt: skip
    centre = weights_of(view)
    across, along = direction(view, seeded(0)), direction(view, seeded(1))
    plane = numpy.array([[height(moved(centre, (across, a), (along, b))) for a in at] for b in at])
    middle = plane[len(at) // 2, len(at) // 2]
    ways = [(direction(view, seeded(2 + number)), sign) for number in range(DIRECTIONS) for sign in (1.0, -1.0)]
    rise = [[height(moved(centre, (way, sign * far))) - middle for way, sign in ways] for far in radii]
    return _Around(plane, own, numpy.array(rise))


def _sentence(walks: dict[str, numpy.ndarray], radius: float, name: str) -> str:
    """Of part -> the rise along each walk. One network stands flatter where it does on nearly every walk."""

    def rise(part: str) -> str:
        return f"{walks[part].mean():.2f} ± {_error(walks[part]):.2f} nats around the {NAMES[part].lower()}"

    said = f"At a distance of {radius:g} filter lengths {name} rises by {rise('student')} on average"
    count = f"(± standard error over {len(walks['student'])} walks)"
    if "baseline" not in walks:
        return f"{said} {count}."
    said = f"{said}, and by {rise('baseline')} {count}"
    apart = walks["student"] - walks["baseline"]
    if abs(apart.mean()) < 2.0 * _error(apart):
        return f"{said}: too near to say which of the two stands in the flatter place."
    return f"{said}: the {NAMES['student' if apart.mean() < 0 else 'baseline'].lower()} stands in the flatter place."


def _error(values: numpy.ndarray) -> float:
    return float(values.std(ddof=1)) / len(values) ** 0.5
