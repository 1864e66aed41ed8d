"""Compact filters: few filters are stored, the others are turned from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.derivation import Replacing, splits
from kdcore.spec import knob
from kdcore.vocabulary import Paper

Turned = Callable[[Tensor], Tensor]
"""Filters (..., k, k) -> the same, changed."""


def _rotation(times: int) -> tuple[Turned, Turned]:
    return lambda w: torch.rot90(w, times, (-2, -1)), lambda w: torch.rot90(w, -times, (-2, -1))


def _mirrored(times: int) -> tuple[Turned, Turned]:
    return (
        lambda w: torch.rot90(w.flip(-1), times, (-2, -1)),
        lambda w: torch.rot90(w, -times, (-2, -1)).flip(-1),
    )


TRANSFORMS: dict[str, Sequence[tuple[Turned, Turned]]] = {
    "negation": ((lambda w: w, lambda w: w), (lambda w: -w, lambda w: -w)),
    "rotations": tuple(_rotation(times) for times in range(4)),
    "rotations and mirrors": (*(_rotation(times) for times in range(4)), *(_mirrored(times) for times in range(4))),
}
"""Each way and its way back; the first leaves filters as they are."""


class CompactFilters(Replacing):
    """Only some filters are stored; the others are their negatives, rotations or mirror images.

    A layer keeps all its outputs and stores a half, a quarter or an eighth of the numbers; the arithmetic stays. The
    teacher's filters are grouped by how well one is another's image, and what is stored is their mean, turned back.
    Input channels are not turned along, so the network does not become equivariant by this. How much is left follows
    from the transform: the ratio has no say. The classifier and 1x1 convolutions stay.
    """

    title = "Compact filters"
    paper = Paper(
        "Cohen, Welling", 2016, "https://arxiv.org/abs/1602.07576", "Group Equivariant Convolutional Networks"
    )
    provenance = "sharing of filters as the surveys describe it; negation after CReLU (Shang et al.); grouping is ours"
    transform: str = knob("negation", choices=tuple(TRANSFORMS), help="What the other filters are to those stored.")

    def instead(self, layer: nn.Conv2d | nn.Linear) -> nn.Module | None:
        if not isinstance(layer, nn.Conv2d) or not splits(layer):
            return None
        height, width = layer.kernel_size
        if height * width == 1 or (height != width and self.transform != "negation"):
            return None
        return CompactConvolution(layer, self.transform)


class CompactConvolution(nn.Module):
    """A convolution whose filters are images of fewer stored ones."""

    order: Tensor

    @torch.no_grad()
    def __init__(self, layer: nn.Conv2d, transform: str) -> None:
        super().__init__()
        self.transform, self.stride, self.padding = transform, layer.stride, layer.padding
        weight, ways = layer.weight, TRANSFORMS[transform]
        stored = -(-len(weight) // len(ways))
        places = grouped(weight, ways)
        base = torch.zeros(stored, *weight.shape[1:], dtype=weight.dtype, device=weight.device)
        counts = torch.zeros(stored, dtype=weight.dtype, device=weight.device)
        for filter, place in zip(weight, places, strict=True):
            way, number = divmod(place, stored)
            base[number] += ways[way][1](filter)
            counts[number] += 1
        self.weight = nn.Parameter(base / counts.view(-1, 1, 1, 1))
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())
        self.register_buffer("order", torch.tensor(places, device=weight.device))

    def bank(self) -> Tensor:
        """All filters, (C_out, C_in, k, k), in the teacher's order."""
        ways = TRANSFORMS[self.transform]
        return torch.cat([way(self.weight) for way, _ in ways]).index_select(0, self.order)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C_in, h, w) -> (N, C_out, h', w')."""
        return F.conv2d(images, self.bank(), self.bias, self.stride, self.padding)


def grouped(weight: Tensor, ways: Sequence[tuple[Turned, Turned]]) -> list[int]:
    """For each filter (C_out, C_in, k, k) its place in the bank: way x stored + number.

    Greedy: the strongest filter that is left is stored, and for each way that filter joins it whose image it resembles
    most by the cosine; each way is used once. The last group may be smaller, and then its first ways are used.
    """
    stored = -(-len(weight) // len(ways))
    flat = F.normalize(weight.detach().flatten(1).double(), dim=1)
    strength = torch.linalg.vector_norm(weight.detach().flatten(1), dim=1)
    left = torch.ones(len(weight), dtype=torch.bool, device=weight.device)
    places = [0] * len(weight)
    for number in range(stored):
        seed = int(torch.where(left, strength, -1.0).argmax())
        places[seed] = number
        left[seed] = False
        free = list(range(1, min(len(ways), 1 + int(left.sum()))))
        images = (
            torch.stack([ways[way][0](flat[seed].view(weight.shape[1:])).flatten() for way in free]) if free else None
        )
        while free and images is not None:
            alike = (images @ flat.T).masked_fill(~left, -2.0)
            best = int(alike.argmax())
            row, filter = divmod(best, len(weight))
            places[filter] = free.pop(row) * stored + number
            left[filter] = False
            images = torch.cat([images[:row], images[row + 1 :]])
    return places
