"""How steep the loss is around student and student alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.answers.loss_plane import LossPlane as Answered
from kdcore.landscape import (
    View,
    direction,
    logits_along,
    logits_at,
    losses_along,
    measured_of,
    normalises,
    walk_around,
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
    ahead = 10
    turned = ("batch_norm",)
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
        again = self.batch_norm == "re-estimated" and normalises(pair.student)
        looks = len(pair.views()) * ((2 * half + 1) ** 2 + 2 * RADII * DIRECTIONS)
        inputs = pair.affordable(self.inputs, looks=2 * looks if again else looks)
        sample, images = pair.validation(inputs), pair.statistics_from(inputs)
        at = [self.reach * place / half for place in range(-half, half + 1)]
        radii = [self.reach * (place + 1) / RADII for place in range(RADII)]
        radius = radii[RADII // 2 - 1]
        keys = {
            part: ("around", *pair.key(part), tensors_key(sample.images, images), self.reach, half, again)
            for part in pair.views()
        }
        way = Way(looks // len(keys) * sum(key not in recalled for key in keys.values()))
        planes, own, rises = {}, {}, {}
        for part, view in pair.views().items():

            def around(view: View = view) -> _Around:
                return _around(view, sample.images, images if again else None, at=at, radii=radii, way=way)

            found = recalled(keys[part], around)
            heights = [losses_along(logits, sample, loss)[0].cpu().numpy() for logits in (found.plane, found.walks)]
            planes[part] = heights[0].reshape(len(at), len(at))
            own[part] = float(measured_of(found.own, sample, loss)[0])
            if not again:  # to the last bit, however many places are looked at together
                planes[part][half, half] = own[part]
            rises[part] = heights[1].reshape(len(radii), 2 * DIRECTIONS) - planes[part][half, half]
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
    """What one network says around itself, whichever loss is then taken of it."""

    own: Tensor
    """(N, C) logits."""
    plane: Tensor
    """(places along the second direction x places along the first, N, C)."""
    walks: Tensor
    """(radii x walks, N, C)."""


def _around(
    view: View, inputs: Tensor, statistics: Tensor | None, *, at: list[float], radii: list[float], way: Way
) -> _Around:  # fmt: skip
    centre = weights_of(view)
    across, along = direction(view, seeded(0)), direction(view, seeded(1))
    plane = walk_around(centre, (across, at * len(at)), (along, [b for b in at for _ in at]))
    (on_plane,) = logits_along(view, plane, [inputs], statistics=statistics, way=way)
    walks = []
    for number in range(DIRECTIONS):
        amounts = [sign * far for far in radii for sign in (1.0, -1.0)]
        walk = walk_around(centre, (direction(view, seeded(2 + number)), amounts))
        (found,) = logits_along(view, walk, [inputs], statistics=statistics, way=way)
        walks.append(found.view(len(radii), 2, *found.shape[1:]))
    return _Around(logits_at(view, centre, inputs), on_plane, torch.cat(walks, dim=1).flatten(0, 1))


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
