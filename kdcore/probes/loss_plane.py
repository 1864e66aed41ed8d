"""How steep the loss is around student and student alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch

from kdcore.answers.loss_plane import LossPlane as Answered
from kdcore.landscape import (
    Sample,
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
from kdcore.probe import Probe
from kdcore.spec import knob
from kdcore.twins import LOSSES, kind_of, seeded, twins

if TYPE_CHECKING:
    from kdcore.revive import Revived

DIRECTIONS = 6
"""Random directions from the centre behind the sharpness; each is walked both ways."""
RADII = 5


class LossPlane(Probe):
    """Does the student stand in a flat valley or in a steep one?

    The weights are moved along two random directions, in which each filter is as long as the network's own, so that
    networks of one architecture can be compared (Li et al. 2018); both are moved along the same two. Sharpness is the
    mean rise of the loss at one distance from the centre, over six further directions, walked both ways.
    """

    title = "Loss around student and student alone"
    answers = "LossPlane"
    loss: str = knob(
        "cross_entropy", choices=tuple(LOSSES), help="Cross-entropy with the labels, or KL to the teacher."
    )
    batch_norm: str = knob(
        "kept", choices=("kept", "re-estimated"),
        help="Running statistics of the centre, as Li et al. have it, or estimated again at each place.",
    )  # fmt: skip
    reach: float = knob(1.0, 0.05, 2.0, help="How far the plane reaches, in lengths of the network's own filters.")
    grid: int = knob(
        13, 3, 51, help="Places along each side; an even number counts as the next odd one.", unit="places"
    )
    inputs: int = knob(
        150, 20, 5000, help="Most validation inputs looked at; large networks look at fewer.", unit="inputs"
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
        planes, own, rises = {}, {}, {}
        for part, view in pair.views().items():
            centre = weights_of(view)

            def height(weights: Weights, view: View = view, sample: Sample = sample) -> float:
                weights = re_estimated(view, weights, images) if again else weights
                return measured(view, weights, sample, loss)[0]

            across, along = direction(view, seeded(0)), direction(view, seeded(1))
            planes[part] = numpy.array([[height(moved(centre, (across, a), (along, b))) for a in at] for b in at])
            own[part] = measured(view, centre, sample, loss)[0]
            middle = planes[part][half, half]
            ways = [(direction(view, seeded(2 + number)), sign) for number in range(DIRECTIONS) for sign in (1.0, -1.0)]
            rises[part] = numpy.array(
                [[height(moved(centre, (way, sign * far))) - middle for way, sign in ways] for far in radii]
            )
        sharpness = {part: float(found[radii.index(radius)].mean()) for part, found in rises.items()}
        kind = kind_of(revived)
        return Answered(
            title=f"How {name} rises around each network, on one and the same random plane",
            says=_sentence(sharpness, radius, name),
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


def _sentence(sharpness: dict[str, float], radius: float, name: str) -> str:
    def rise(part: str) -> str:
        return f"{sharpness[part]:.2f} nats around the {NAMES[part].lower()}"

    said = f"At a distance of {radius:g} filter lengths {name} rises by {rise('student')} on average"
    if "baseline" not in sharpness:
        return f"{said}."
    flatter = min(sharpness, key=sharpness.__getitem__)
    return f"{said}, and by {rise('baseline')}: the {NAMES[flatter].lower()} stands in the flatter place."
