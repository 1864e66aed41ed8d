"""Candidate blocks for each stage of a teacher, and a network that is put together from one of each stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.network import Network, parameters_of, pool, start_evenly
from kdcore.networks.plain import convolution
from kdcore.vocabulary import Seen

KINDS = ("separable 3×3", "bottleneck", "full 3×3")
"""Candidates of each stage."""


class Block(nn.Module):
    """A stage's map from the map before it: (N, c, h, w) -> (N, outputs, *size), before the ReLU."""

    def __init__(self, kind: str, inputs: int, outputs: int, stride: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        if kind == "separable 3×3":
            depthwise = nn.Conv2d(inputs, inputs, 3, stride=stride, padding=1, groups=inputs, bias=False)
            self.layers = nn.Sequential(
                depthwise, nn.BatchNorm2d(inputs), nn.ReLU(),
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
            )  # fmt: skip
        elif kind == "bottleneck":
            middle = max(2, outputs // 4)
            self.layers = nn.Sequential(
                nn.Conv2d(inputs, middle, 1, bias=False), nn.BatchNorm2d(middle), nn.ReLU(),
                convolution(middle, middle, stride), nn.ReLU(),
                nn.Conv2d(middle, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
            )  # fmt: skip
        else:
            self.layers = convolution(inputs, outputs, stride)

    def forward(self, features: Tensor) -> Tensor:
        found = self.layers(features)
        return found if found.shape[2:] == self.size else F.adaptive_avg_pool2d(found, self.size)


class Assembly(Network):
    """A stem, several candidate blocks at each stage of which one stands, and a classifier."""

    title = "Put together from blocks"
    choice: Tensor
    """(stages,) the number of the block that stands at each stage."""

    def __init__(self, teacher: Seen, channels: int) -> None:
        """For a teacher of which this was seen, and pictures of so many channels."""
        super().__init__()
        before, height = int(teacher.maps[0].shape[1]), int(teacher.maps[0].shape[2])
        self.stem = nn.Sequential(convolution(channels, before), nn.ReLU())
        self.stages = nn.ModuleList()
        for features in teacher.maps:
            outputs, rows, columns = (int(one) for one in features.shape[1:])
            stride, height = max(1, round(height / rows)), rows
            self.stages.append(nn.ModuleList(Block(kind, before, outputs, stride, (rows, columns)) for kind in KINDS))
            before = outputs
        self.head = nn.Linear(before, teacher.logits.shape[1])
        self.layers = tuple(f"stage {number + 1}" for number in range(len(self.stages)))
        self.register_buffer("choice", torch.zeros(len(self.stages), dtype=torch.long))
        start_evenly(self)

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        """Nothing: it is built from what the teacher saw."""

    def block(self, stage: int, kind: int, before: Tensor) -> Tensor:
        """What one candidate makes of the map before its stage; of the pictures, at the first. After the ReLU."""
        return F.relu(self.stages[stage][kind](self.stem(before) if stage == 0 else before))  # type: ignore[index]

    def standing(self) -> list[nn.Module]:
        """The block that stands at each stage."""
        return [blocks[kind] for blocks, kind in zip(self.stages, self.choice.tolist(), strict=True)]  # type: ignore[index]

    def look(self, images: Tensor) -> Seen:
        return _look(self.stem, self.standing(), self.head, images)

    def deployed(self) -> Network:
        return Assembled(self.stem, self.standing(), self.head, self.layers)

    def sizes(self) -> list[list[int]]:
        """stage -> candidate -> parameters."""
        return [[parameters_of(block) for block in blocks] for blocks in self.stages]  # type: ignore[union-attr, attr-defined]


class Assembled(Network):
    """What is left of an assembly once its blocks are chosen; the layers are the assembly's own."""

    title = "Put together from blocks"

    def __init__(self, stem: nn.Module, blocks: Sequence[nn.Module], head: nn.Module, layers: tuple[str, ...]) -> None:
        super().__init__()
        self.stem, self.blocks, self.head, self.layers = stem, nn.ModuleList(blocks), head, layers

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        """Nothing: it is made of what is there."""

    def look(self, images: Tensor) -> Seen:
        return _look(self.stem, self.blocks, self.head, images)


def _look(stem: nn.Module, blocks: Iterable[nn.Module], head: nn.Module, images: Tensor) -> Seen:
    maps, preacts = [], []
    features = stem(images)
    for block in blocks:
        preact = block(features)
        features = F.relu(preact)
        preacts.append(preact)
        maps.append(features)
    embedding = pool(features)
    return Seen(head(embedding), tuple(maps), tuple(preacts), embedding)


def best(losses: Sequence[Sequence[float]], sizes: Sequence[Sequence[int]], budget: int) -> tuple[int, ...]:
    """Of every way to choose one candidate a stage, the one with the least sum of losses that fits the budget.

    Ties go to the smaller one. Raises ValueError where none fits.
    """
    found = [
        (sum(losses[stage][kind] for stage, kind in enumerate(way)), total, way)
        for way in product(*(range(len(stage)) for stage in losses))
        if (total := sum(sizes[stage][kind] for stage, kind in enumerate(way))) <= budget
    ]
    if not found:
        raise ValueError(f"no assembly has {budget:,} parameters or fewer")
    return min(found)[2]
