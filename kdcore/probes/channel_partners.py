"""Which channel of the student has become which channel of the teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.alignment import one_plane, to_plane
from kdcore.answers.channel_partners import ChannelPartners as Answered
from kdcore.beside import Halves, Sides, explained_channels, halves, see, sides
from kdcore.dataset import Data
from kdcore.partners import Channels, Partners, assigned, channels, correlated
from kdcore.patience import Way
from kdcore.probe import Probe, ProbeError, percent
from kdcore.recalled import network_key, recalled, tensors_key
from kdcore.response import at_least_float
from kdcore.spec import knob
from kdcore.vocabulary import Seen

if TYPE_CHECKING:
    from kdcore.revive import Revived

LEAST = 8
"""Inputs without which a correlation says nothing."""
GRID = 20
"""Points along each side of a plane of inputs."""


class ChannelPartners(Probe):
    """Which channel of the student does what a channel of the teacher does?

    Every channel gets a partner of its own, so that the correlations over the validation set add up to the most. Beside
    it stands how much of each of the teacher's channels all channels of the student give together, linearly.
    """

    title = "Channel partners"
    answers = "ChannelPartners"
    needs = ("maps",)
    ahead = 1
    turned = ("student_layer", "teacher_layer")
    picture: int = knob(0, 0, 99_999, help="Which validation picture the small maps show, counted from 0.")
    student_layer: int = knob(-1, -1, 999, help="The student's layer, counted from 0. -1: the one the run matched.")
    teacher_layer: int = knob(-1, -1, 999, help="The teacher's layer, counted from 0. -1: the one the run matched.")
    links: int = knob(16, 2, 64, help="How many pairs of channels are drawn, evenly spread from best to worst.")
    inputs: int = knob(256, LEAST, 2048, help="How many validation inputs the numbers are taken over.", unit="inputs")

    def ask(self, revived: Revived) -> Answered:
        data, who = revived.data, sides(revived)
        if self.picture >= len(data.validation):
            raise ProbeError(
                f"picture={self.picture}: there are {len(data.validation)} validation inputs, "
                f"0 to {len(data.validation) - 1}"
            )
        if len(data.validation) < LEAST:
            raise ProbeError(f"{len(data.validation)} validation inputs are too few; {LEAST} or more are needed")
        one = who.look(data.validation.of(torch.tensor([self.picture])))
        if not one["student"].maps or not one["teacher"].maps:
            raise ProbeError("one of the networks has no layer inside whose channels could be paired")
        s, t, why = who.pair(one, self.student_layer, self.teacher_layer)
        layers = {"teacher": t, "student": s, "baseline": s}
        images = who.shown(data.validation, self.inputs)
        links: dict[str, list[Partners]] = {}
        shares: dict[str, Tensor] = {}
        maps: dict[str, numpy.ndarray] = {}
        shown: dict[str, list[int]] = {}
        drawing = _Drawing(who, data, one, images, layers, self.picture)
        others = [part for part in one if part != "teacher"]
        way = Way(2 * len(others))
        for part in others:
            found = _beside(who, part, images, layers)
            way.step()
            links[part], shares[part] = found.links, found.shares
            shown[part] = _spread(len(links[part]), self.links)
            own, partners = drawing.of(part, found)
            drawn = [links[part][number] for number in shown[part]]
            maps[part] = own[[pair.ours for pair in drawn]].float().numpy()
            maps[f"{part}/teacher"] = partners[[pair.theirs for pair in drawn]].float().numpy()
            way.step()
        names = {
            part: f"{who.layer_names(part, len(seen.maps))[layers[part]]}, {_shape(seen.maps[layers[part]])}"
            for part, seen in one.items()
        }
        layer = f"{names['student'].split(',')[0]} of the student and {names['teacher'].split(',')[0]} of the teacher"
        return Answered(
            title=f"Who is whose partner in {layer} ({why})",
            says=_sentence(links, shares, names["teacher"].split(",")[0]),
            nearness={part: float(found.mean()) for part, found in shares.items()},
            nearness_of="variance of the teacher's channels that can be read off theirs",
            layers=names,
            links={part: numpy.array(found, dtype=numpy.float32) for part, found in links.items()},
            shown=shown,
            maps=maps,
            map_says=drawing.says,
            explained={part: found.float().numpy() for part, found in shares.items()},
            inputs="pictures" if data.images_of_plane else "points",
        )


@dataclass(frozen=True)
class _Beside:
    """A network's layer beside the teacher's, whichever picture is then looked at."""

    links: list[Partners]
    shares: Tensor
    """(c',) of each of the teacher's channels, what theirs give of it."""
    ours: tuple[Tensor, Tensor]
    """Mean and spread of each channel over all inputs, (c,) both."""
    theirs: tuple[Tensor, Tensor]
    """The same of the teacher's, (c',)."""


def _beside(who: Sides, part: str, images: dict[str, Tensor], layers: dict[str, int]) -> _Beside:
    """Kept for the next question."""
    views = who.views()
    keys = {
        one: (*network_key(who.revived, views[one]), tensors_key(images[one]), layers[one]) for one in (part, "teacher")
    }

    def compared() -> _Beside:
        maps = {one: at_least_float(see(who.revived, views[one], images[one]).maps[layers[one]]) for one in keys}
        height, width = (min(found.shape[side] for found in maps.values()) for side in (2, 3))
        ours = _measured(to_plane(maps[part], (height, width)))
        theirs = recalled(
            ("channels", *keys["teacher"], height, width),
            lambda: _measured(to_plane(maps["teacher"], (height, width))),
        )
        return _Beside(
            assigned(correlated(ours[0], theirs[0])),
            explained_channels(ours[1], theirs[1]),
            (ours[0].mean, ours[0].spread),
            (theirs[0].mean, theirs[0].spread),
        )

    return recalled(("partners", *keys[part], *keys["teacher"]), compared)


def _measured(maps: Tensor) -> tuple[Channels, Halves]:
    return channels(maps), halves(maps)


class _Drawing:
    """What one small map of a channel shows: a picture's map, a plane of inputs, or the mean of each class."""

    def __init__(
        self, who: Sides, data: Data, one: dict[str, Seen], images: dict[str, Tensor], layers: dict[str, int],
        picture: int,
    ) -> None:  # fmt: skip
        self.drawn = {part: seen.maps[layers[part]] for part, seen in one.items()}
        flat = min(max(self.drawn[part].shape[2:]) for part in ("student", "teacher")) == 1
        if not flat:
            label = data.class_names[int(data.validation.truth[picture])]
            self.says = f"a channel looking at validation picture {picture} ({label})"
        elif not data.images_of_plane:
            plane = _plane(data)
            self.drawn = {
                part: see(who.revived, view, plane).maps[layers[part]].flatten(1).T.reshape(1, -1, GRID, GRID)
                for part, view in who.views().items()
            }
            self.says = "a neuron over the plane of inputs, the first input to the right, the second upwards"
        else:
            truth = data.validation.truth[: len(images["teacher"])]
            kinds = truth.unique().tolist()
            self.drawn = {}
            for part, view in who.views().items():
                layer = see(who.revived, view, images[part]).maps[layers[part]].mean(dim=(2, 3))
                means = torch.stack([layer[truth == kind].mean(dim=0) for kind in kinds], dim=1)
                self.drawn[part] = means[None, :, None]
            self.says = f"the mean of a neuron on each of {len(kinds)} classes, {data.class_names[kinds[0]]} first"

    def of(self, part: str, found: _Beside) -> tuple[Tensor, Tensor]:
        """(c, h, w) and (c', h, w): its maps and the teacher's on one plane, in standard deviations of each channel."""
        ours, theirs = one_plane(self.drawn[part], self.drawn["teacher"])
        return _standardised(ours[0], *found.ours), _standardised(theirs[0], *found.theirs)


def _standardised(maps: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """(c, h, w) in standard deviations from each channel's mean over all inputs; 0 for one that never changes."""
    varies = (spread > 0)[:, None, None]
    found = (maps - mean[:, None, None]) / torch.where(varies, spread[:, None, None], 1.0)
    return torch.where(varies, found, 0.0)


def _plane(data: Data) -> Tensor:
    """A grid over the validation points, normalised, (GRID * GRID, 2), the highest row first."""
    low, high = data.validation.images.amin(dim=0), data.validation.images.amax(dim=0)
    x = torch.linspace(float(low[0]), float(high[0]), GRID)
    y = torch.linspace(float(high[1]), float(low[1]), GRID)
    return torch.stack([x.repeat(GRID), y.repeat_interleave(GRID)], dim=1)


def _spread(count: int, most: int) -> list[int]:
    """At most so many places out of `count`, evenly spread, both ends among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(number * (count - 1) / (most - 1)) for number in range(most)})


def _shape(layer: Tensor) -> str:
    _, channels, height, width = layer.shape
    return f"{channels} neurons" if height * width == 1 else f"{channels} channels of {height}×{width}"


def _sentence(links: dict[str, list[Partners]], shares: dict[str, Tensor], layer: str) -> str:
    alike = {part: sum(pair.correlation for pair in found) / len(found) for part, found in links.items()}
    read = {part: float(found.mean()) for part, found in shares.items()}
    says = (
        f"The student's channels correlate with their partners in the teacher's {layer} at {alike['student']:.2f} on "
        f"average, and all together give {percent(read['student'])} of a channel's variance"
    )
    if "baseline" in alike:
        says += f"; those of the student alone at {alike['baseline']:.2f} and {percent(read['baseline'])}"
        ahead = [round(100 * (found["student"] - found["baseline"])) for found in (alike, read)]
        says += f": {_verdict(ahead)}"
    return f"{says}.".replace(" -0", " −0")


def _verdict(ahead: list[int]) -> str:
    """Who is nearer, from by how many hundredths the student is ahead in each number."""
    if min(ahead) >= 0 and max(ahead) > 0:
        return "the student is nearer"
    if max(ahead) <= 0 and min(ahead) < 0:
        return "the student alone is nearer"
    return "they are equally near" if not any(ahead) else "neither is nearer in both"
