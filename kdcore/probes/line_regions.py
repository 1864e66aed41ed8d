"""What networks say along a straight line through the inputs, and how many linear regions it meets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.answers.along import Along
from kdcore.beside import sides, view_logits
from kdcore.chosen_pictures import as_pixels, choose_pictures, sides_images
from kdcore.probe import Probe
from kdcore.recalled import network_key, recalled, tensors_key
from kdcore.regions import Crossings, smooth_part, switches_between
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.dataset import Data
    from kdcore.network import Network
    from kdcore.revive import Revived

PLACES = 193
"""Along the line at which the networks are asked for their classes."""
PIECES = 48
"""Of the line in which switches are counted together."""
PATIENCE = 24_000_000
"""Values of neurons that the search for switches may look at in each network: a few seconds."""
NAMES = {"teacher": "the teacher", "student": "the student", "baseline": "the student alone"}


class LineRegions(Probe):
    """How often do a network's neurons switch along a straight line, and how does its answer change there?

    A ReLU network is linear between two switches of neurons, so one more than their number is the number of linear
    regions that the line meets: all ReLUs of the network count, not those of one layer. Found in double precision by
    cutting the line until the network is straight in every piece. Where a large network needs too many pieces, the
    number is a lower bound and says so.
    Source: the count along a line as in Raghu et al. 2017 and Hanin and Rolnick 2019.
    """

    title = "Linear regions along a line"
    answers = "Along"
    ahead = 5
    turned = ("picture",)
    picture: int = knob(-1, -1, 999_999, help="The picture at the start. -1: the first of a class.")
    second: int = knob(-1, -1, 999_999, help="The picture at the end. -1: the first of another class.")
    across: str = knob(
        "horizontal", choices=("horizontal", "vertical", "diagonal"), help="Which way through a plane of points."
    )

    def ask(self, revived: Revived) -> Along:
        data = revived.data
        who = sides(revived)
        places = choose_pictures(data, (self.picture, self.second)) if data.images_of_plane else []
        at = torch.linspace(0.0, 1.0, PLACES)
        probabilities: dict[str, numpy.ndarray] = {}
        switches: dict[str, numpy.ndarray] = {}
        regions: dict[str, int] = {}
        exact: dict[str, bool] = {}
        smooth = []
        for part, view in who.views().items():
            start, end = sides_images(data, places, part) if places else line_across(data, self.across)
            shaped = at.to(start.device).view(-1, *[1] * start.ndim)
            logits = view_logits(revived, view, start + shaped * (end - start))
            probabilities[part] = logits.float().softmax(dim=1).cpu().numpy()
            network = revived.networks[view.split(":")[0]]
            if name := smooth_part(network, start[None]):
                smooth.append(f"{NAMES[part]} has none, since its {name} is smooth")
                switches[part] = numpy.zeros(PIECES, dtype=numpy.int32)
                continue
            key = ("crossings", *network_key(revived, view), tensors_key(start, end))
            found = recalled(key, lambda network=network, start=start, end=end: met(network, start, end))  # type: ignore[misc]
            counts = torch.histc(found.places.float().cpu(), bins=PIECES, min=0.0, max=1.0)
            switches[part] = counts.to(torch.int32).numpy()
            regions[part], exact[part] = len(found.places) + 1, found.exact
        changes = {part: int((numpy.diff(found.argmax(axis=1)) != 0).sum()) for part, found in probabilities.items()}
        if places:
            labels = data.validation.truth[places].tolist()
            ends = [f"{data.class_names[label]} (#{place})" for label, place in zip(labels, places, strict=True)]
            axis = f"from {ends[0]} to {ends[1]} (share of the way)"
        else:
            ends = [_written(point * data.std + data.mean) for point in line_across(data, self.across)]
            axis = f"from {ends[0]} to {ends[1]} (share of the way)"
        return Along(
            title="Class probabilities and linear regions along a straight line"
            + (" between two validation pictures" if places else f" through the plane, {self.across}"),
            says=_says(regions, exact, smooth, changes),
            nearness={
                part: float((found.argmax(axis=1) == probabilities["teacher"].argmax(axis=1)).mean())
                for part, found in probabilities.items()
                if part != "teacher"
            },
            nearness_of="share of the line decided alike",
            at=at.numpy(),
            probabilities=probabilities,
            switches=switches,
            regions=regions,
            exact=exact,
            changes=changes,
            pictures=as_pixels(data, places) if places else numpy.zeros((0, 0, 0, 1), dtype=numpy.uint8),
            ends=ends,
            epoch=float(revived.epoch),
            class_names=list(data.class_names),
            line_axis=axis,
        )


def met(network: Network, start: Tensor, end: Tensor) -> Crossings:
    """The switches between two inputs (*shape), with as much patience as the network's size leaves."""
    seen = network.look(start[None])
    neurons = 2 * sum(layer[0].numel() for layer in seen.preacts)
    return switches_between(network, start, end, pieces=32, most=max(100, PATIENCE // max(1, neurons)))


def line_across(data: Data, way: str) -> tuple[Tensor, Tensor]:
    """Start and end, (2,) each, as networks see them, of a line through the middle of all test points."""
    low, high = data.test.images.min(dim=0).values, data.test.images.max(dim=0).values
    middle = (low + high) / 2
    if way == "diagonal":
        return low, high
    axis = 0 if way == "horizontal" else 1
    start, end = middle.clone(), middle.clone()
    start[axis], end[axis] = low[axis], high[axis]
    return start, end


def _written(point: Tensor) -> str:
    return f"({', '.join(f'{round(value, 2) + 0.0:.2f}' for value in point.tolist())})"


def _says(regions: dict[str, int], exact: dict[str, bool], smooth: list[str], changes: dict[str, int]) -> str:
    counted = [f"{NAMES[part]} {'' if exact[part] else 'at least '}{count:,}" for part, count in regions.items()]
    said = "; ".join([f"Linear regions met: {', '.join(counted)}"] * bool(counted) + smooth)
    decisions = ", ".join(f"{NAMES[part]} {count}" for part, count in changes.items())
    return f"{said[:1].upper()}{said[1:]}. Changes of decision on the way: {decisions}."
