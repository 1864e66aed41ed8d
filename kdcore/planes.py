"""What networks make of a plane through their inputs: decisions, zero lines of a layer's neurons, equal signs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy

from kdcore.beside import Sides
from kdcore.contours import zero_lines
from kdcore.counterparts import Counterpart
from kdcore.glances import MOST_NEURONS, Glance, Points, connected_key, glance_key, glances, layers_beside, share_alike
from kdcore.patience import Way
from kdcore.recalled import recalled
from kdcore.vocabulary import Seen


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
    who: Sides, points: dict[str, Points], seen: dict[str, Seen], *, x: numpy.ndarray, y: numpy.ndarray,
    layers: dict[str, int], stand_ins: dict[str, Counterpart],
) -> Drawn:  # fmt: skip
    """Looks at a plane with every network: `points` of each part are (H W) inputs, rows of x (W,) for each of y (H,).

    Of a layer with a plane of its own, each channel's middle neuron is drawn; signs are counted on all of them. `seen`
    is a look at a few inputs. What every network makes of the plane is kept, in all its layers: another layer, or signs
    in place of decisions, take no further look.
    """
    shape = (len(y), len(x))
    looked = layers_beside(seen)
    keys = {part: glance_key(who.revived, view, points[part], looked[part]) for part, view in who.views().items()}
    looks = sum(key not in recalled for key in keys.values())
    joined = [one for one in stand_ins.values() if one.chosen is None]
    looks += sum(connected_key(who, points["student"], one.pair) not in recalled for one in joined)
    way = Way(looks * len(x) * len(y))
    found = glances(who, points, seen, way=way)
    drawn = Drawn()
    for part, glance in found.items():

        def lines(glance: Glance = glance, layer: int = layers[part]) -> numpy.ndarray:
            return zero_lines(glance.middles[layer].T.reshape(-1, *shape).cpu().numpy(), x=x, y=y)

        drawn.decisions[part] = glance.decided.view(shape).short().cpu().numpy()
        drawn.lines[part] = recalled((*keys[part], "lines", layers[part], x.tobytes(), y.tobytes()), lines)
        drawn.layers[part] = _name(who, part, glance, layers[part])
    for part, stand_in in stand_ins.items():
        pair = stand_in.signs(found[part], found["teacher"], points[part], seen, way=way)
        drawn.signs[part] = share_alike(*pair).reshape(shape)
    return drawn


def _name(who: Sides, part: str, glance: Glance, layer: int) -> str:
    channels, height, width = glance.shapes[layer]
    name = who.layer_names(part, len(glance.shapes))[layer]
    if (height, width) == (1, 1):
        return f"{name}, {min(MOST_NEURONS, channels)} of {channels} neurons"
    return f"{name}, the middle neuron of {min(MOST_NEURONS, channels)} of {channels} channels"
