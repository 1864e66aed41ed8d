"""What networks make of a plane through their inputs: decisions, zero lines of a layer's neurons, equal signs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.beside import CHUNK, Sides, seen_anew
from kdcore.contours import zero_lines
from kdcore.counterparts import Counterpart
from kdcore.patience import Way
from kdcore.recalled import network_key, recalled, tensors_key
from kdcore.side_by_side import side_by_side
from kdcore.vocabulary import Seen

if TYPE_CHECKING:
    from kdcore.revive import Revived

MOST_NEURONS = 48
"""Whose zero lines are drawn."""


@dataclass(frozen=True)
class Drawn:
    """part -> what it makes of a plane of (H, W) inputs."""

    decisions: dict[str, numpy.ndarray] = field(default_factory=dict)
    """(H, W) int16."""
    lines: dict[str, numpy.ndarray] = field(default_factory=dict)
    """(P, 2) float32, a NaN row after each line."""
    layers: dict[str, str] = field(default_factory=dict)
    signs: dict[str, numpy.ndarray] = field(default_factory=dict)
    """(H, W) float32 in [0, 1], for those that have a counterpart."""

    def disagreement(self) -> dict[str, numpy.ndarray]:
        """part -> (H, W) int16, 1 where it decides otherwise than the teacher."""
        return {
            part: (found != self.decisions["teacher"]).astype(numpy.int16)
            for part, found in self.decisions.items()
            if part != "teacher"
        }


def draw_plane(
    revived: Revived, who: Sides, inputs: dict[str, Tensor], *, x: numpy.ndarray, y: numpy.ndarray,
    layers: dict[str, int], stand_ins: dict[str, Counterpart],
) -> Drawn:  # fmt: skip
    """Looks at a plane with every network: `inputs` part -> (H W, *shape), rows of x (W,) for each of y (H,).

    Of a layer with a plane of its own, each channel's middle neuron is drawn; signs are counted on all of them.
    """
    shape = (len(y), len(x))
    drawn = Drawn()
    keys = {
        part: ("plane", x.tobytes(), y.tobytes(), tensors_key(inputs[part]), *network_key(revived, view))
        for part, view in who.views().items()
    }
    way = Way(shape[0] * shape[1] * (sum(key not in recalled for key in keys.values()) + 3 * bool(stand_ins)))
    for part, view in who.views().items():

        def look(part: str = part, view: str = view) -> _Part:
            return _part(who, part, view, inputs[part], shape=shape, way=way)

        found = recalled(keys[part], look)

        def lines(fields: numpy.ndarray = found.fields[layers[part]]) -> numpy.ndarray:
            return zero_lines(fields, x=x, y=y)

        drawn.decisions[part], drawn.layers[part] = found.decisions, found.layers[layers[part]]
        drawn.lines[part] = recalled((*keys[part], layers[part]), lines)
    same: dict[str, list[Tensor]] = {part: [] for part in stand_ins}

    def switched(start: int) -> dict[str, Tensor]:
        seen = {
            part: seen_anew(revived, view, inputs[part][start : start + CHUNK]) for part, view in who.views().items()
        }
        with torch.no_grad():
            pairs = {part: stand_in.beside(seen[part], seen["teacher"]) for part, stand_in in stand_ins.items()}
        way.step(3 * len(seen["teacher"].logits))
        return {
            part: ((ours > 0) == (theirs > 0)).float().flatten(1).mean(dim=1) for part, (ours, theirs) in pairs.items()
        }

    for shares in side_by_side(switched, range(0, shape[0] * shape[1] if stand_ins else 0, CHUNK)):
        for part, share in shares.items():
            same[part].append(share)
    for part, found_of_part in same.items():
        drawn.signs[part] = torch.cat(found_of_part).view(shape).cpu().numpy()
    return drawn


@dataclass(frozen=True)
class _Part:
    """What one network makes of the plane, in every layer: another one is chosen more often than another plane."""

    decisions: numpy.ndarray
    """As `Drawn` has them."""
    fields: list[numpy.ndarray]
    """Of each layer the neurons that are drawn, (neurons, H, W)."""
    layers: list[str]
    """What they are called."""


def _part(who: Sides, part: str, view: str, inputs: Tensor, *, shape: tuple[int, int], way: Way) -> _Part:
    def look_at(chunk: Tensor) -> tuple[Tensor, list[Tensor], list[str]]:
        seen = seen_anew(who.revived, view, chunk)
        way.step(len(chunk))
        neurons = [middle(layer)[:, :MOST_NEURONS] for layer in seen.preacts]
        return seen.logits.argmax(dim=1), neurons, [_name(who, part, seen, place) for place in range(len(neurons))]

    said, values, (names, *_) = zip(*side_by_side(look_at, inputs.split(CHUNK)), strict=True)
    fields = [torch.cat(layer).T.reshape(-1, *shape).cpu().numpy() for layer in zip(*values, strict=True)]
    return _Part(torch.cat(said).view(shape).short().cpu().numpy(), fields, names)


def middle(preacts: Tensor) -> Tensor:
    """Each channel's neuron in the middle of the layer's plane, (N, c, h, w) -> (N, c)."""
    return preacts[:, :, preacts.shape[2] // 2, preacts.shape[3] // 2]


def _name(who: Sides, part: str, seen: Seen, layer: int) -> str:
    channels, height, width = seen.preacts[layer].shape[1:]
    name = who.layer_names(part, len(seen.preacts))[layer]
    if (height, width) == (1, 1):
        return f"{name}, {min(MOST_NEURONS, channels)} of {channels} neurons"
    return f"{name}, the middle neuron of {min(MOST_NEURONS, channels)} of {channels} channels"
