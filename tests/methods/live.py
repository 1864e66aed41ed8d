"""A tiny smooth network that two sides look with, for methods that take slopes on what was seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from kdcore.looking import LIVE, look, look_frozen
from kdcore.network import Network, pool
from kdcore.vocabulary import Seen


class Tiny(Network):
    """A convolution and a smooth bend for each layer, an average, a linear head."""

    title = "Tiny"

    def __init__(self, widths: tuple[int, ...], planes: tuple[int, ...], features: int, classes: int) -> None:
        super().__init__()
        inputs = (1, *widths)
        self.stages = nn.ModuleList(nn.Conv2d(inputs[n], inputs[n + 1], 3, padding=1) for n in range(len(widths)))
        self.planes = planes
        self.gather = nn.Linear(inputs[len(widths)], features)
        self.head = nn.Linear(features, classes)

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        """Nothing: it is made whole."""

    def look(self, images: Tensor) -> Seen:
        features, maps, preacts = images, [], []
        for stage, plane in zip(self.stages, self.planes, strict=False):
            side = features.shape[-1] // plane
            preacts.append(nn.functional.avg_pool2d(stage(features), side))
            maps.append(preacts[-1].tanh())
            features = maps[-1]
        embedding = self.gather(pool(features)).tanh()
        return Seen(2 * self.head(embedding), tuple(maps), tuple(preacts), embedding)


@dataclass(frozen=True)
class Live(Seen):
    """What a tiny network saw, with the network itself, so that it can look again."""

    network: Tiny | None = None
    teaching: bool = False


def live(network: Tiny, images: Tensor, *, teaching: bool) -> Live:
    """What the network makes of (N, 1, 8, 8), as a teacher's with no graph to its parameters."""
    seen = (look_frozen if teaching else look)(network, images, (LIVE,))
    return Live(**vars(seen), network=network, teaching=teaching)


def again(seen: Seen, images: Tensor) -> Live:
    """What the same network makes of other pictures."""
    assert isinstance(seen, Live)
    assert seen.network is not None
    return live(seen.network, images, teaching=seen.teaching)


def seen_with(seen: Seen, change) -> Live:  # type: ignore[no-untyped-def]
    """What the network makes of the same pictures with its parameters changed in place by `change`."""
    assert isinstance(seen, Live)
    assert seen.inputs is not None
    with torch.no_grad():
        for parameter in seen.network.parameters():
            parameter.copy_(change(parameter))
    return again(seen, seen.inputs.detach())


def with_logits(seen: Seen, logits: Tensor) -> Seen:
    """The same with other logits, whose slopes on everything stay as they were."""
    return replace(seen, logits=logits + (seen.logits - seen.logits.detach()))
