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
        part: ("plane", layers[part], x.tobytes(), y.tobytes(), tensors_key(inputs[part]), *network_key(revived, view))
        for part, view in who.views().items()
    }
    way = Way(shape[0] * shape[1] * (sum(key not in recalled for key in keys.values()) + 3 * bool(stand_ins)))
    for part, view in who.views().items():

        def draw(part: str = part, view: str = view) -> _Part:
            return _part(who, part, view, inputs[part], x=x, y=y, layer=layers[part], way=way)

        found = recalled(keys[part], draw)
        drawn.decisions[part], drawn.lines[part], drawn.layers[part] = found.decisions, found.lines, found.layer
    same: dict[str, list[Tensor]] = {part: [] for part in stand_ins}
    for start in range(0, shape[0] * shape[1] if stand_ins else 0, CHUNK):
        seen = {
            part: seen_anew(revived, view, inputs[part][start : start + CHUNK]) for part, view in who.views().items()
        }
        for part, stand_in in stand_ins.items():
            ours, theirs = stand_in.beside(seen[part], seen["teacher"])
            same[part].append(((ours > 0) == (theirs > 0)).float().flatten(1).mean(dim=1))
        way.step(3 * len(seen["teacher"].logits))
    for part, shares in same.items():
        drawn.signs[part] = torch.cat(shares).view(shape).cpu().numpy()
    return drawn


@dataclass(frozen=True)
class _Part:
    """What is drawn of one network, as `Drawn` has it."""

    decisions: numpy.ndarray
    lines: numpy.ndarray
    layer: str


def _part(
    who: Sides, part: str, view: str, inputs: Tensor, *, x: numpy.ndarray, y: numpy.ndarray, layer: int, way: Way
) -> _Part:  # fmt: skip
    shape = (len(y), len(x))
    said, values, name = [], [], ""
    for chunk in inputs.split(CHUNK):
        seen = seen_anew(who.revived, view, chunk)
        said.append(seen.logits.argmax(dim=1))
        values.append(middle(seen.preacts[layer])[:, :MOST_NEURONS])
        name = name or _name(who, part, seen, layer)
        way.step(len(chunk))
    fields = torch.cat(values).T.reshape(-1, *shape)
    return _Part(
        torch.cat(said).view(shape).short().cpu().numpy(), zero_lines(fields.cpu().numpy(), x=x, y=y), name
    )  # fmt: skip


def middle(preacts: Tensor) -> Tensor:
    """Each channel's neuron in the middle of the layer's plane, (N, c, h, w) -> (N, c)."""
    return preacts[:, :, preacts.shape[2] // 2, preacts.shape[3] // 2]


def _name(who: Sides, part: str, seen: Seen, layer: int) -> str:
    channels, height, width = seen.preacts[layer].shape[1:]
    name = who.layer_names(part, len(seen.preacts))[layer]
    if (height, width) == (1, 1):
        return f"{name}, {min(MOST_NEURONS, channels)} of {channels} neurons"
    return f"{name}, the middle neuron of {min(MOST_NEURONS, channels)} of {channels} channels"
