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
from kdcore.side_by_side import side_by_side

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
CENTRAL = 0.4
"""How far from the middle of a piece, in lengths of it, a bend is still plain to see."""
TOGETHER = 64
"""Places that one core looks at together."""
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

    def _passed(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
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


# Not in the class: there torch would wrap it for its compiler, whose import the first line would wait for by a second.
Switches.__torch_dispatch__ = Switches._passed  # type: ignore[method-assign, assignment]


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

    def look(places: Tensor) -> Tensor:
        shaped = places.view(-1, *[1] * start.ndim)
        with torch.no_grad(), Switches() as switches:
            exact.look(start + shaped * (end - start))
        return torch.cat(switches.found, dim=1)

    def at(places: Tensor) -> Tensor:
        return torch.cat(list(side_by_side(look, places.split(TOGETHER))))

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
    values = at(ends)
    slack = STRAIGHT * (1.0 + values.abs().amax(dim=0))
    first = _Pieces(ends[:-1], ends[1:], values[:-1], values[1:], torch.zeros_like(values[1:], dtype=torch.bool))
    together = max(1, ROOM // max(1, values.shape[1]))
    looks = most if LOOKS * len(_distinct(first.crossed())) > most else 0
    todo = [first]
    while todo and looks < most:
        batch = _taken(todo, together)
        share = batch.where_to_cut()
        between = at(batch.places(share))
        looks += len(share)
        way.step(len(share))
        bent = batch.bent(share, between) > slack
        doubtful = (~bent.any(dim=1) & ((share - 0.5).abs() > CENTRAL)).nonzero().flatten()
        if len(doubtful):  # near an end a bend hardly shows: once more in the middle
            again = batch.only(doubtful)
            share[doubtful] = 0.5
            between[doubtful] = at(again.places(share[doubtful]))
            looks += len(doubtful)
            bent[doubtful] = again.bent(share[doubtful], between[doubtful]) > slack
        done = ~bent.any(dim=1) | (batch.right - batch.left < SAME)
        found.append(batch.only(done.nonzero().flatten()).crossed())
        open_still = (~done).nonzero().flatten()
        if len(open_still):
            todo.append(batch.halves(open_still, share, between, ~bent))
    found += [rest.crossed() for rest in todo]
    places = torch.cat(found)
    return Crossings(_distinct(places[(places > 0.0) & (places < 1.0)]), exact=not todo)


@dataclass(frozen=True)
class _Pieces:
    """P pieces of the line. A share is how far along a piece, (P,) from 0 to 1."""

    left: Tensor
    """(P,), as `right`."""
    right: Tensor
    before: Tensor
    """(P, K) values at the left ends; `after` those at the right."""
    after: Tensor
    straight: Tensor
    """(P, K) bool: which are known to be straight there, since they were in a larger piece."""

    def only(self, rows: Tensor) -> _Pieces:
        return _Pieces(*(value[rows] for value in self.all()))

    def places(self, share: Tensor) -> Tensor:
        return self.left + (self.right - self.left) * share

    def crossed(self) -> Tensor:
        """Where straight lines from end to end cross zero."""
        rows, columns = self._flips().nonzero(as_tuple=True)
        return self.left[rows] + (self.right - self.left)[rows] * self._zero(rows, columns)

    def where_to_cut(self) -> Tensor:
        """The share at which to look next: where a straight value switches, nearest to the middle, or the middle."""
        rows, columns = (self._flips() & self.straight).nonzero(as_tuple=True)
        share = self._zero(rows, columns)
        margin = SAME / 4 / (self.right - self.left)[rows]
        inside = (share > margin) & (share < 1.0 - margin)
        rows, share = rows[inside], share[inside]
        order = (share - 0.5).abs().argsort(descending=True, stable=True)
        found = torch.full_like(self.left, 0.5)
        found[rows[order]] = share[order]  # the last one written stays; any would do
        return found

    def bent(self, share: Tensor, between: Tensor) -> Tensor:
        """How far values (P, K) that were found there lie off the straight lines from end to end."""
        straight = torch.lerp(self.before, self.after, share[:, None].expand_as(between))
        return straight.sub_(between).abs_()

    def halves(self, rows: Tensor, share: Tensor, between: Tensor, straight: Tensor) -> _Pieces:
        """Of these pieces those on either side of the cut."""
        left, right, before, after, known = (value[rows] for value in self.all())
        cut, between, straight = left + (right - left) * share[rows], between[rows], straight[rows] | known
        pairs = ((left, cut), (cut, right), (before, between), (between, after), (straight, straight))
        return _Pieces(*(torch.cat(pair) for pair in pairs))

    def all(self) -> tuple[Tensor, ...]:
        return self.left, self.right, self.before, self.after, self.straight

    def _flips(self) -> Tensor:
        """Which values change sign, (P, K)."""
        return (self.before > 0) != (self.after > 0)

    def _zero(self, rows: Tensor, columns: Tensor) -> Tensor:
        """After which share values that change sign are 0."""
        before = self.before[rows, columns]
        return before / (before - self.after[rows, columns])


def _taken(todo: list[_Pieces], count: int) -> _Pieces:
    """As many pieces as that, the newest first; they are taken out."""
    taken: list[_Pieces] = []
    while todo and count > 0:
        one = todo.pop()
        if len(one.left) > count:
            todo.append(_Pieces(*(value[count:] for value in one.all())))
            one = _Pieces(*(value[:count] for value in one.all()))
        taken.append(one)
        count -= len(one.left)
    if len(taken) == 1:
        return taken[0]
    return _Pieces(*(torch.cat(values) for values in zip(*(one.all() for one in taken), strict=True)))


def _distinct(places: Tensor) -> Tensor:
    """Rising, each once."""
    places = places.sort().values
    return places[torch.cat([places.new_ones(min(1, len(places)), dtype=torch.bool), places.diff() > SAME])]
