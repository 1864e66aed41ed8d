"""Losses around and between weights: straight lines and filter-normalised directions (Li et al. 2018, 1712.09913).

Weights are dictionaries of tensors, parameters and buffers by name; networks are called with them and never changed.
Many places are looked at together (`logits_along`), as one call for each layer: on small networks that costs half.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from kdcore.network import Network
from kdcore.patience import Way
from kdcore.side_by_side import side_by_side

Weights = dict[str, Tensor]
CEILING = 1e6
"""What a loss that is no number, or larger, counts as: far from the centre a network may overflow."""
CHUNK = 512
"""Pictures that a network looks at together."""
ROOM = 500_000
"""Values of one layer, of all the places looked at together: a few megabytes, which stay near the processor."""


@dataclass(frozen=True)
class Sample:
    """Inputs on which a loss is taken."""

    images: Tensor
    """(N, *shape), as the student sees them."""
    labels: Tensor
    """(N,)."""
    teacher: Tensor
    """(N, C), the teacher's logits."""

    def __len__(self) -> int:
        return len(self.labels)


Loss = Callable[[Tensor, Sample], Tensor]
"""Logits (N, C) of a sample -> (N,)."""


class View(nn.Module):
    """A copy of a network, in eval mode, that gives the logits of its end or of one of its exits, (N, C)."""

    def __init__(self, network: Network, exit_number: int | None = None) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.exit_number = exit_number
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        seen = self.network.look(images)
        return seen.logits if self.exit_number is None else seen.exits[self.exit_number].logits


def weights_of(view: nn.Module) -> Weights:
    """The view's own weights, parameters and buffers."""
    return {name: value.detach().clone() for name, value in (*view.named_parameters(), *view.named_buffers())}


def between(first: Weights, second: Weights, share: float) -> Weights:
    """(1 − share)·first + share·second; at 0 and 1 exactly the one and the other.

    Counters of batches, which nothing reads, are the first's. Running variances stop at 0, below which a line that is
    walked past its ends would take them.
    """
    if share in (0.0, 1.0):  # as they are: a sum could lie otherwise in memory, and be convolved in another order
        return dict(second if share else first)
    found = {}
    for name, value in first.items():
        if value.is_floating_point():
            value = (1.0 - share) * value + share * second[name]
        found[name] = value.clamp(min=0.0) if name.endswith("running_var") else value
    return found


def distance(first: Weights, second: Weights, names: Iterable[str]) -> float:
    """‖second − first‖ / ‖first‖ over these tensors."""
    apart = torch.cat([(second[name] - first[name]).flatten().double() for name in names])
    whole = torch.cat([first[name].flatten().double() for name in names])
    return float(apart.norm() / whole.norm().clamp(min=1e-12))


def direction(view: nn.Module, generator: torch.Generator) -> Weights:
    """A random direction with each filter (a row of a weight) as long as the view's own; biases and norms stay put.

    Drawn on the CPU, parameter by parameter: views of one architecture get the same draw from the same generator.
    """
    found = {}
    for name, value in view.named_parameters():
        if value.ndim > 1:
            drawn = torch.randn(value.shape, generator=generator).to(value)
            found[name] = drawn * (_lengths(value) / (_lengths(drawn) + 1e-10))
    return found


def _lengths(weight: Tensor) -> Tensor:
    """The length of each filter, (rows, 1, …)."""
    return weight.detach().flatten(1).norm(dim=1).view(-1, *[1] * (weight.ndim - 1))


@dataclass(frozen=True)
class Walk:
    """Places in weight space."""

    still: Weights
    """What is the same at all of them."""
    moving: Weights
    """What is not, (K, …) each."""

    def __len__(self) -> int:
        return len(next(iter(self.moving.values())))

    def at(self, place: int) -> Weights:
        """The weights at one of them."""
        return {**self.still, **{name: values[place] for name, values in self.moving.items()}}

    def cut(self, places: slice) -> Weights:
        """What moves, at some of them."""
        return {name: values[places] for name, values in self.moving.items()}


def walk_around(centre: Weights, *steps: tuple[Weights, Sequence[float]]) -> Walk:
    """The places that lie each direction times its amounts (K,) from the centre."""
    moving: Weights = {}
    for along, amounts in steps:
        for name, value in along.items():
            far = value.new_tensor(amounts).view(-1, *[1] * value.ndim)
            moving[name] = moving.get(name, centre[name]) + far * value
    return Walk({name: value for name, value in centre.items() if name not in moving}, moving)


def walk_between(first: Weights, second: Weights, shares: Sequence[float]) -> Walk:
    """The places on the line through both, as `between` has them."""
    places = [between(first, second, share) for share in shares]
    floats = [name for name, value in first.items() if value.is_floating_point()]
    return Walk(
        {name: value for name, value in first.items() if name not in floats},
        {name: torch.stack([place[name] for place in places]) for name in floats},
    )


def normalises(view: nn.Module) -> bool:
    """Whether the view has batch norms with running statistics."""
    return any(isinstance(module, _BatchNorm) and module.track_running_stats for module in view.modules())


def re_estimated(view: View, weights: Weights, images: Tensor) -> Weights:
    """The weights with batch-norm means and variances as these images have them, all counted as one batch."""
    norms = [module for module in view.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    before = [module.momentum for module in norms]
    buffers = {name for name, _ in view.named_buffers()}
    found = {name: value.clone() if name in buffers else value for name, value in weights.items()}
    for module in norms:
        module.train()
        module.momentum = 1.0
    try:
        with torch.no_grad():
            functional_call(view, found, (images,))
    finally:
        for module, momentum in zip(norms, before, strict=True):
            module.eval()
            module.momentum = momentum
    return found


def logits_at(view: View, weights: Weights, images: Tensor) -> Tensor:
    """The logits (N, C) of the view with these weights."""
    with torch.no_grad():
        return torch.cat([functional_call(view, weights, (chunk,)) for chunk in images.split(CHUNK)])


def measured(view: View, weights: Weights, sample: Sample, loss: Loss) -> tuple[float, float]:
    """Mean loss and accuracy in [0, 1] with these weights."""
    return measured_of(logits_at(view, weights, sample.images), sample, loss)


def measured_of(logits: Tensor, sample: Sample, loss: Loss) -> tuple[float, float]:
    """The same of what was said of the sample, (N, C)."""
    mean = _losses(logits, sample, loss).mean().clamp(max=CEILING)
    return float(mean), float((logits.argmax(dim=1) == sample.labels).double().mean())


def logits_along(
    view: View, walk: Walk, images: Sequence[Tensor], *, statistics: Tensor | None = None, way: Way
) -> list[Tensor]:
    """Of each of several lots of inputs the logits at every place of the walk, (K, N, C) each.

    With `statistics`, inputs, batch norms are estimated again from them at each place (`re_estimated`). Every place is
    a step of `way`. A few roundings apart from one place after the other, since sums are taken in another order.
    """
    if statistics is not None:  # each place writes its own
        buffers = {name for name, _ in view.named_buffers()} & walk.still.keys()
        moving = {name: walk.still[name].expand(len(walk), *walk.still[name].shape).clone() for name in buffers}
        walk = Walk({n: v for n, v in walk.still.items() if n not in buffers}, {**walk.moving, **moving})

    views: SimpleQueue[View] = SimpleQueue()
    """Copies: calling one with other weights puts them into it meanwhile, so each thread has its own."""

    def look(view: View, weights: Weights) -> tuple[Tensor, ...]:
        weights = {**walk.still, **weights}
        if statistics is not None:
            weights = re_estimated(view, weights, statistics)
        return tuple(logits_at(view, weights, lot) for lot in images)

    def looked(places: slice) -> tuple[Tensor, ...]:
        try:
            mine = views.get_nowait()
        except Empty:
            mine = copy.deepcopy(view)
        some = walk.cut(places)
        try:
            if together > 1:
                found = vmap(partial(look, mine))(some)
            else:
                alone = look(mine, {name: values[0] for name, values in some.items()})
                found = tuple(logits[None] for logits in alone)
        finally:
            views.put(mine)
        way.step(len(range(len(walk))[places]))
        return found

    together = _together(view, [*images, *([] if statistics is None else [statistics])])
    try:
        first = looked(slice(0, together))
    except RuntimeError:
        if together == 1:
            raise
        together = 1  # a part of the network cannot be stacked
        first = looked(slice(0, 1))
    rest = [slice(begin, begin + together) for begin in range(together, len(walk), together)]
    return [torch.cat(lot) for lot in zip(first, *side_by_side(looked, rest), strict=True)]


def _together(view: View, images: Sequence[Tensor]) -> int:
    """Places that are looked at together; one where the network is large, which gains nothing by it."""
    with torch.no_grad():
        largest = max((layer.numel() for layer in view.network.look(images[0][:1]).preacts), default=1)
    most = max(min(len(lot), CHUNK) for lot in images)
    return max(1, ROOM // max(1, largest * most))


def losses_along(logits: Tensor, sample: Sample, loss: Loss) -> tuple[Tensor, Tensor]:
    """Mean loss and accuracy in [0, 1] at each place, (K,) float64 both, from logits (K, N, C); as `measured`."""
    each = vmap(lambda one: loss(one, sample))(logits).double()
    means = torch.nan_to_num(each, nan=CEILING, posinf=CEILING).mean(dim=1).clamp(max=CEILING)
    return means, (logits.argmax(dim=2) == sample.labels).double().mean(dim=1)


def uncertain(view: View, sample: Sample, loss: Loss) -> float:
    """The standard error of the view's own mean loss, since so many inputs were looked at and not all there are."""
    losses = _losses(logits_at(view, weights_of(view), sample.images), sample, loss)
    return float(losses.std() / len(losses) ** 0.5) if len(losses) > 1 else 0.0


def _losses(logits: Tensor, sample: Sample, loss: Loss) -> Tensor:
    return torch.nan_to_num(loss(logits, sample).double(), nan=CEILING, posinf=CEILING)


def steps_along(inner: int, *, beyond: float) -> list[float]:
    """Places on a line: `inner` from 0 to 1, both exactly among them, and as far as `beyond` past each end."""
    step = 1.0 / (inner - 1)
    more = round(beyond / step)
    return [place / (inner - 1) for place in range(-more, inner + more)]


def barrier(at: Sequence[float], losses: Sequence[float]) -> tuple[float, float]:
    """How far the loss rises at most, between 0 and 1, above the straight line through its ends, and where."""
    ends = {place: losses[list(at).index(place)] for place in (0.0, 1.0)}
    rises = [
        (value - (1.0 - place) * ends[0.0] - place * ends[1.0], place)
        for place, value in zip(at, losses, strict=True)
        if 0.0 <= place <= 1.0
    ]
    rise, place = max(rises)
    return max(0.0, rise), place
