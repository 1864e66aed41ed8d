"""What is kept of a look at many inputs: decisions, one neuron of each channel, and of all neurons whether they are on.

A bit for each neuron takes a 32nd of its value: so a plane of thousands of inputs can be kept under its network, and
another layer, another pair of layers or equal signs in place of decisions are there without another look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.alignment import to_plane
from kdcore.beside import Sides, connected, seen_anew
from kdcore.fingerprint import weights_key
from kdcore.patience import Way
from kdcore.recalled import Key, network_key, recalled, tensors_key
from kdcore.response import at_least_float
from kdcore.side_by_side import side_by_side
from kdcore.vocabulary import Seen

if TYPE_CHECKING:
    from kdcore.dataset import Split
    from kdcore.revive import Revived

TOGETHER = 64
"""Inputs that one core looks at together."""
MOST_NEURONS = 48
"""Of each layer whose middle neurons' values are kept."""
NARROW = 32
"""Places of a plane up to which a channel's bits stand in bytes, not in words of 64."""
Size = tuple[int, int]
Layers = list[tuple[int, list[Size]]]
"""Of each layer its channels and the planes (h, w) at which its signs are kept, its own first."""


@dataclass(frozen=True)
class Points:
    """Inputs as one network is shown them, made as far as they are looked at."""

    key: Key
    """Changes with any number in them."""
    count: int
    rows: Callable[[slice], Tensor]
    """Some of them, (rows, *shape)."""

    def lots(self) -> list[slice]:
        return [slice(start, start + TOGETHER) for start in range(0, self.count, TOGETHER)]


@dataclass(frozen=True)
class Signs:
    """Which neurons of a layer are on, one bit each, for N inputs."""

    words: numpy.ndarray
    """(N, c, W) uint8 or uint64: a channel's plane row by row, zeros after it."""
    plane: Size

    def of(self, channels: Tensor) -> Signs:
        """The same of these channels, (c',)."""
        return Signs(self.words[:, channels.cpu().numpy()], self.plane)

    def write(self, rows: slice, preacts: Tensor) -> None:
        """Of some inputs, from what stands before the activation, (rows, c, h, w)."""
        on = preacts.flatten(2).cpu().numpy() > 0  # faster than torch; laid out as they are, channels last perhaps
        packed = numpy.packbits(numpy.ascontiguousarray(on), axis=-1)
        self.words.view(numpy.uint8)[rows, :, : packed.shape[2]] = packed

    def on(self) -> Tensor:
        """(N, c, h, w) bool."""
        places = self.plane[0] * self.plane[1]
        bits = numpy.unpackbits(self.words.view(numpy.uint8), axis=-1, count=places)
        return torch.from_numpy(bits).bool().view(*self.words.shape[:2], *self.plane)


def all_off(count: int, channels: int, plane: Size) -> Signs:
    """Of `count` inputs, to be written to."""
    places = plane[0] * plane[1]
    if places <= NARROW:
        return Signs(numpy.zeros((count, channels, -(-places // 8)), dtype=numpy.uint8), plane)
    return Signs(numpy.zeros((count, channels, -(-places // 64)), dtype=numpy.uint64), plane)


def share_alike(ours: Signs, theirs: Signs) -> numpy.ndarray:
    """Share of the neurons that are on, or off, in both layers of c channels and one plane: (N,) float32 in [0, 1]."""
    neurons = ours.words.shape[1] * ours.plane[0] * ours.plane[1]
    otherwise = numpy.bitwise_count(ours.words ^ theirs.words).sum(axis=(1, 2), dtype=numpy.int64)
    return ((neurons - otherwise) / neurons).astype(numpy.float32)


@dataclass(frozen=True)
class Glance:
    """What is kept of what one network made of N inputs."""

    key: Key
    """Under which: it changes with the network and with the inputs."""
    decided: Tensor
    """(N,) the class that it names."""
    middles: list[Tensor]
    """Of each layer the neuron in the middle of each channel's plane, of the first channels, (N, <= MOST_NEURONS)."""
    shapes: list[tuple[int, int, int]]
    """Of each layer (c, h, w)."""
    straight: list[bool]
    """Which layers end without an activation."""
    signs: dict[tuple[int, Size], Signs]
    """(layer, plane) -> which neurons are on, at its own plane and averaged down to those of `layers_beside`."""


def points_of(who: Sides, split: Split, count: int) -> dict[str, Points]:
    """The first inputs of a split, as each side is shown them."""
    return {
        part: Points(("split", tensors_key(images)), len(images), images.__getitem__)
        for part, images in who.shown(split, count).items()
    }


def glances(
    who: Sides, points: dict[str, Points], seen: dict[str, Seen], *, way: Way | None = None
) -> dict[str, Glance]:
    """part -> what is kept of its look at its points. `seen` is a look at a few inputs, which tells the layers' shapes.

    `way` is told of every input that is looked at anew.
    """
    layers = layers_beside(seen)
    return {part: glance(who.revived, view, points[part], layers[part], way=way) for part, view in who.views().items()}


def glance(revived: Revived, view: str, points: Points, layers: Layers, *, way: Way | None = None) -> Glance:
    """The same of one network, its layers also averaged down to these planes."""
    key = glance_key(revived, view, points, layers)
    return recalled(key, lambda: _glance(key, revived, view, points, layers, way))


def glance_key(revived: Revived, view: str, points: Points, layers: Layers) -> Key:
    """Under what a glance is kept."""
    return "glance", *points.key, *network_key(revived, view), str(layers)


def layers_beside(seen: dict[str, Seen]) -> dict[str, Layers]:
    """part -> at which planes its layers can stand beside a teacher's, or a teacher's beside those of the others."""
    own = {part: [_plane(layer) for layer in one.preacts] for part, one in seen.items()}
    found = {}
    for part, planes in own.items():
        others = {plane for other in own if (other == "teacher") != (part == "teacher") for plane in own[other]}
        found[part] = [
            (
                layer.shape[1],
                [plane, *sorted({smaller(plane, one) for one in others if _of_a_kind(plane, one)} - {plane})],
            )
            for layer, plane in zip(seen[part].preacts, planes, strict=True)
        ]
    return found


def connected_signs(
    who: Sides, points: Points, pair: tuple[int, int], seen: dict[str, Seen], *, way: Way | None = None
) -> Signs:
    """The student's signs through the run's connector for that pair, in the teacher's channels. Kept.

    There must be one (`connected`). Of the teacher, which the connector does not read, only shapes are given.
    """
    plane = smaller(_plane(seen["student"].preacts[pair[0]]), _plane(seen["teacher"].preacts[pair[1]]))

    found = all_off(points.count, seen["teacher"].preacts[pair[1]].shape[1], plane)

    def look(rows: slice) -> None:
        images = points.rows(rows)
        ours = seen_anew(who.revived, who.student, images)
        like = seen["teacher"].each(lambda tensor: tensor[:1].expand(len(images), *tensor.shape[1:]))
        with torch.no_grad():
            joined = connected(who, ours, like, pair, before_activation=True)
        assert joined is not None
        found.write(rows, joined.student)
        if way is not None:
            way.step(len(images))

    def every() -> Signs:
        for _ in side_by_side(look, points.lots()):
            pass
        return found

    return recalled(connected_key(who, points, pair), every)


def connected_key(who: Sides, points: Points, pair: tuple[int, int]) -> Key:
    """Under what signs through a connector are kept."""
    assert who.objective is not None
    return "connected", *points.key, pair, *network_key(who.revived, who.student), weights_key(who.objective)


def _glance(key: Key, revived: Revived, view: str, points: Points, layers: Layers, way: Way | None) -> Glance:
    signs = {
        (number, plane): all_off(points.count, channels, plane)
        for number, (channels, planes) in enumerate(layers)
        for plane in planes
    }

    def look(rows: slice) -> tuple[Tensor, list[Tensor], list[bool]]:
        images = points.rows(rows)
        seen = seen_anew(revived, view, images)
        for (number, plane), found in signs.items():
            found.write(rows, added_up(at_least_float(seen.preacts[number]), plane))
        if way is not None:
            way.step(len(images))
        middles = [middle(layer)[:, :MOST_NEURONS].clone() for layer in seen.preacts]
        straight = [torch.equal(after, before) for after, before in zip(seen.maps, seen.preacts, strict=True)]
        return seen.logits.argmax(dim=1), middles, straight

    decided, middles, straight = zip(*side_by_side(look, points.lots()), strict=True)
    return Glance(
        key,
        torch.cat(decided),
        [torch.cat(layer) for layer in zip(*middles, strict=True)],
        [(channels, *planes[0]) for channels, planes in layers],
        [all(layer) for layer in zip(*straight, strict=True)],
        signs,
    )


def added_up(preacts: Tensor, plane: Size) -> Tensor:
    """With the signs that `to_plane` gives, (N, c, h, w) -> (N, c, *plane): sums, not means, and rows first, which is
    several times faster."""
    height, width = _plane(preacts)
    if height % plane[0] or width % plane[1]:
        return to_plane(preacts, plane)
    down, across = height // plane[0], width // plane[1]
    rows = reduce(torch.add, [preacts[:, :, place::down] for place in range(down)])
    return reduce(torch.add, [rows[..., place::across] for place in range(across)])


def middle(preacts: Tensor) -> Tensor:
    """Each channel's neuron in the middle of the layer's plane, (N, c, h, w) -> (N, c)."""
    return preacts[:, :, preacts.shape[2] // 2, preacts.shape[3] // 2]


def _plane(features: Tensor) -> Size:
    return features.shape[2], features.shape[3]


def smaller(one: Size, other: Size) -> Size:
    """The plane at which two layers are compared."""
    return min(one[0], other[0]), min(one[1], other[1])


def _of_a_kind(one: Size, other: Size) -> bool:
    """Whether both have a plane, or neither."""
    return (one == (1, 1)) == (other == (1, 1))
