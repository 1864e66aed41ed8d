"""Along a line through the inputs: where a network's neurons switch, and so how many linear pieces it has there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from kdcore.network import Network
from kdcore.patience import Way

aten = torch.ops.aten
_AT_ZERO = {aten.relu.default, aten.relu_.default, aten.leaky_relu.default, aten.leaky_relu_.default}
_CLIPS = {aten.hardtanh.default, aten.hardtanh_.default, aten.clamp.default, aten.clamp_min.default}
_SMOOTH = {
    "GELU": {aten.gelu.default},
    "SiLU": {aten.silu.default, aten.silu_.default},
    "hard swish": {aten.hardswish.default, aten.hardswish_.default},
    "sigmoid": {aten.sigmoid.default, aten.sigmoid_.default},
    "softmax": {aten._softmax.default},
    "layer norm": {aten.native_layer_norm.default},
}
SAME = 1e-8
"""Switches nearer to each other than this share of the line are one: neurons that read the same thing."""
STRAIGHT = 1e-9
"""How far a value may lie off a straight line, relative to its size, in double precision."""
LOOKS = 3
"""Looks at the network that each switch takes at least, when it is to be found exactly."""
ROOM = 500_000
"""Values of neurons that are held for one step of the search: a few megabytes, which stay near the processor."""


@dataclass(frozen=True)
class Crossings:
    """Where neurons switch along a line. One more piece than places."""

    places: Tensor
    """(R,) float64 in (0, 1), rising, each once."""
    exact: bool
    """Whether the search came to its end; else there may be more places."""


class Switches(TorchDispatchMode):
    """While it is on, keeps what every ReLU and clipped ReLU reads, less the place where it switches, (N, K) each."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Tensor] = []
        self.smooth = ""
        """The name of a function met that is not made of straight pieces, or ""."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _AT_ZERO:
            self.found.append(args[0].detach().clone().flatten(1))
        elif func in _CLIPS:
            ends = (-1.0, 1.0) if "hardtanh" in str(func) else (None, None)
            given = dict(zip(("low", "high"), [*args[1:], *ends[len(args) - 1 :]], strict=False))
            self.found += [
                (args[0].detach() - end).flatten(1) for end in given.values() if isinstance(end, int | float)
            ]
        for name, functions in _SMOOTH.items():
            if func in functions:
                self.smooth = name
        return func(*args, **(kwargs or {}))


def smooth_part(network: Network, images: Tensor) -> str:
    """The function because of which the network has no linear pieces, "GELU" for instance, or ""."""
    with torch.no_grad(), Switches() as switches:
        network.look(images[:1])
    return switches.smooth


def switches_between(network: Network, start: Tensor, end: Tensor, *, pieces: int, most: int) -> Crossings:
    """Where the network's neurons switch from `start` to `end`, inputs (*shape). See `crossings`.

    A copy in double precision is looked at. Switches of max pooling are not counted.
    """
    exact = copy.deepcopy(network).double()
    start, end = start.double(), end.double()

    def at(places: Tensor) -> Tensor:
        shaped = places.view(-1, *[1] * start.ndim)
        with torch.no_grad(), Switches() as switches:
            exact.look(start + shaped * (end - start))
        return torch.cat(switches.found, dim=1)

    return crossings(at, pieces=pieces, most=most, device=start.device)


def crossings(
    at: Callable[[Tensor], Tensor], *, pieces: int, most: int, device: torch.device | None = None
) -> Crossings:
    """Where values that are made of straight pieces change their signs: `at` gives (S,) places in [0, 1] -> (S, K).

    The line is cut into `pieces`, and a piece again as long as a value in it is not straight, best where one that is
    straight crosses zero, for there others bend; in a straight piece each crossing is known in closed form. So
    neurons that switch twice within a piece are found too. After `most` looks, or at once where the first cut shows
    that they would not do, the rest is read off as it stands, which misses those.
    """
    way = Way(most)
    ends = torch.linspace(0.0, 1.0, pieces + 1, dtype=torch.float64, device=device)
    found: list[Tensor] = []
    values = torch.cat([at(chunk) for chunk in ends.split(64)])
    todo = [(ends[n], ends[n + 1], values[n], values[n + 1]) for n in range(pieces)]
    together = max(1, ROOM // max(1, values.shape[1]))
    roots, flips = _roots(ends[:-1], ends[1:], values[:-1], values[1:])
    looks = most if LOOKS * len(_distinct(roots[flips])) > most else 0
    while todo and looks < most:
        batch, todo = todo[-together:], todo[:-together]
        left, right = (torch.stack([piece[side] for piece in batch]) for side in (0, 1))
        before, after = (torch.stack([piece[side] for piece in batch]) for side in (2, 3))
        middle = (left + right) / 2
        between = at(middle)
        looks += len(batch)
        way.step(len(batch))
        sizes = 1.0 + torch.maximum(before.abs(), after.abs())
        bent = (between - (before + after) / 2).abs() > STRAIGHT * sizes
        done = ~bent.any(dim=1) | (right - left < SAME)
        roots, flips = _roots(left, right, before, after)
        found.append(roots[done][flips[done]])
        if bool(done.all()):
            continue
        left, right, before, after, middle, between, bent, roots, flips = (
            value[~done] for value in (left, right, before, after, middle, between, bent, roots, flips)
        )
        inside = (roots > left[:, None] + SAME / 4) & (roots < right[:, None] - SAME / 4) & flips & ~bent
        apart = torch.where(inside, (roots - middle[:, None]).abs(), torch.inf)
        nearest = apart.argmin(dim=1, keepdim=True)
        known = inside.any(dim=1)
        cut = torch.where(known, roots.gather(1, nearest).squeeze(1), middle)
        if bool(known.any()):
            between = between.clone()
            between[known] = at(cut[known])
            looks += int(known.sum())
        for n in range(len(cut)):
            todo += [(left[n], cut[n], before[n], between[n]), (cut[n], right[n], between[n], after[n])]
    for piece in todo:
        roots, flips = _roots(*(value[None] for value in piece))
        found.append(roots[flips])
    places = torch.cat(found) if found else ends[:0]
    return Crossings(_distinct(places[(places > 0.0) & (places < 1.0)]), exact=not todo)


def _distinct(places: Tensor) -> Tensor:
    """Rising, each once."""
    places = places.sort().values
    return places[torch.cat([places.new_ones(min(1, len(places)), dtype=torch.bool), places.diff() > SAME])]


def _roots(left: Tensor, right: Tensor, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Where straight lines cross zero between two places, (P,) x (P, K) -> (P, K), and which change sign, (P, K)."""
    flips = (before > 0) != (after > 0)
    share = before / torch.where(flips, before - after, torch.ones_like(before))
    return left[:, None] + (right - left)[:, None] * share, flips
