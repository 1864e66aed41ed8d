"""Deterministic inputs that the golden numbers were computed from, and random ones that the laws are tried on."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

import kdcore.methods
from kdcore.looking import LIVE
from kdcore.method import Method
from kdcore.registry import discover
from kdcore.vocabulary import Batch, Classifier, Seen, Terms

from .live import Live, Tiny, again, live

METHODS = discover(kdcore.methods, Method)  # type: ignore[type-abstract]
CLASSES = 5


def fx(shape: tuple[int, ...], a: float, b: float) -> Tensor:
    """sin(a k + b) for k = 0, 1, … in row-major order, in float64."""
    count = torch.Size(shape).numel()
    return torch.sin(a * torch.arange(count, dtype=torch.float64) + b).reshape(shape)


ZS, ZT = 3 * fx((4, 5), 0.7, 0.1), 4 * fx((4, 5), 0.9, 0.5)
Y = torch.arange(4)
FS, FS8, FT = fx((4, 6, 4, 4), 0.37, 0.2), fx((4, 8, 4, 4), 0.37, 0.2), fx((4, 8, 4, 4), 0.53, 0.9)
VS, VS8, VT = fx((4, 6), 0.61, 0.3), fx((4, 8), 0.61, 0.3), fx((4, 8), 0.83, 0.7)


def saw(*, logits: Tensor = ZS, maps: tuple[Tensor, ...] = (), embedding: Tensor = VS) -> Seen:
    """A Seen whose preacts are its maps."""
    return Seen(logits, maps, maps, embedding)


def batch_of(labels: Tensor = Y) -> Batch:
    """A batch of black pictures with these labels."""
    return Batch(torch.zeros(len(labels), 1, 2, 2), labels, torch.arange(len(labels)))


def loss(terms: Terms) -> Tensor:
    """The number that is minimised: the terms' means, added up."""
    return torch.stack([term.mean() for term in terms.values()]).sum()


def made(key: str, student: Seen, teacher: Seen, **settings: object) -> Method:
    """The method, built for these shapes, in their type, in evaluation mode."""
    torch.manual_seed(0)
    method = METHODS[key](**settings)
    method.build(student, teacher, 100)
    return method.to(at_least(student.logits.dtype)).eval()


def at_least(dtype: torch.dtype) -> torch.dtype:
    """The type that losses are computed in for inputs of this type."""
    return torch.float64 if dtype == torch.float64 else torch.float32


SIZES = {"nothing": ((), ()), "one": ((4,), (6,)), "each": ((4, 6), (6, 8)), "all": ((4, 6), (6, 8, 10))}
PLANES = (4, 2, 2)


def both(key: str, number: int, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[Seen, Seen, Batch]:
    """What a student and a wider teacher saw of so many images, with as many layers as the method matches.

    Random tensors, or what two tiny networks make of the images where the method takes slopes.
    """
    draw = torch.Generator().manual_seed(seed)
    ours, theirs = SIZES[METHODS[key].matches]
    if LIVE in METHODS[key].reads:
        return looked(ours, theirs, number, PLANES, dtype=dtype, seed=seed)

    def some_parameters() -> dict[str, Tensor]:
        shapes = {"layer.weight": (3, 2), "layer.bias": (3,)}
        drawn = {name: torch.randn(shape, generator=draw, dtype=torch.float64) for name, shape in shapes.items()}
        return {name: tensor.to(dtype) for name, tensor in drawn.items()}

    def seen(widths: tuple[int, ...], features: int) -> Seen:
        def some(*shape: int) -> Tensor:
            return torch.randn(number, *shape, generator=draw, dtype=torch.float64).to(dtype)

        preacts = tuple(some(width, plane, plane) for width, plane in zip(widths, PLANES, strict=False))
        said = Seen(2 * some(CLASSES), tuple(preact.relu() for preact in preacts), preacts, some(features))
        head = torch.randn(CLASSES, features + 1, generator=draw, dtype=torch.float64).to(dtype)
        stronger = replace(said, logits=2 * some(CLASSES)) if "second" in METHODS[key].reads else None
        return replace(
            said, classifier=Classifier(head[:, 1:], head[:, 0]), parameters=some_parameters(), second=stronger
        )

    batch = Batch(
        torch.randn(number, 1, 8, 8, generator=draw).to(dtype),
        torch.randint(CLASSES, (number,), generator=draw),
        torch.arange(number),
        0.5,
    )
    return seen(ours, 6), seen(theirs, 8), batch


def looked(
    ours: tuple[int, ...], theirs: tuple[int, ...], number: int, planes: tuple[int, ...], *,
    dtype: torch.dtype = torch.float32, seed: int = 0,
) -> tuple[Seen, Seen, Batch]:  # fmt: skip
    """What two tiny networks with layers of these widths make of so many random images."""
    draw = torch.Generator().manual_seed(seed)
    images = torch.randn(number, 1, 8, 8, generator=draw, dtype=torch.float64).to(dtype)
    labels = torch.randint(CLASSES, (number,), generator=draw)
    torch.manual_seed(seed)
    networks = [Tiny(widths or (3,), planes or (4,), 6, CLASSES).to(dtype) for widths in (ours, theirs)]
    sides = [live(network, images, teaching=bool(place)) for place, network in enumerate(networks)]
    return sides[0], sides[1], Batch(images, labels, torch.arange(number), 0.5)


def learning(seen: Seen) -> tuple[Seen, list[Tensor]]:
    """The same with tensors that collect gradients, and these tensors."""
    if isinstance(seen, Live):
        assert seen.network is not None
        return seen, list(seen.network.parameters())
    copy = seen.each(lambda tensor: tensor.detach().clone().requires_grad_())
    own = {name: tensor.detach().clone().requires_grad_() for name, tensor in seen.parameters.items()}
    copy = replace(copy, parameters=own)
    stronger = [copy.second.logits] if copy.second is not None else []
    return copy, [copy.logits, *copy.maps, *copy.preacts, copy.embedding, *own.values(), *stronger]


def permuted(seen: Seen, order: Tensor) -> Seen:
    """The same images in another order."""
    if isinstance(seen, Live):
        assert seen.inputs is not None
        return again(seen, seen.inputs.detach()[order])
    return seen.each(lambda tensor: tensor[order])


def with_maps(seen: Seen, *maps: Tensor) -> Seen:
    """The same with other maps, which are its preacts too."""
    return replace(seen, maps=maps, preacts=maps)
