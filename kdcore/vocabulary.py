"""What networks saw and methods say. Letters: N images, C classes, D features, maps (N, c, h, w)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

Terms = dict[str, Tensor]
"""Named parts of a loss, each (N,): one number per image. The mean is the loss."""


@dataclass(frozen=True)
class Seen:
    """What a network made of a batch."""

    logits: Tensor
    """(N, C), before the softmax."""
    maps: tuple[Tensor, ...]
    """(N, c, h, w) each, after the stage's last activation, shallow to deep; h = w = 1 for a layer without a plane."""
    preacts: tuple[Tensor, ...]
    """The same stages before that activation, same shapes."""
    embedding: Tensor
    """(N, D), what the classifier reads."""
    exits: tuple[Seen, ...] = ()
    """What earlier exits of the same network saw, shallow to deep, where a scheme gave it any."""

    def each(self, change: Callable[[Tensor], Tensor]) -> Seen:
        """The same with every tensor changed."""
        return Seen(
            change(self.logits),
            tuple(change(tensor) for tensor in self.maps),
            tuple(change(tensor) for tensor in self.preacts),
            change(self.embedding),
            tuple(seen.each(change) for seen in self.exits),
        )

    def detach(self) -> Seen:
        """The same without a graph: what a teacher says."""
        return self.each(lambda tensor: tensor.detach())

    def of(self, layers: Sequence[int]) -> Seen:
        """The same with only these layers' maps and preacts, in this order (a layer may stand more than once)."""
        return replace(
            self,
            maps=tuple(self.maps[layer] for layer in layers),
            preacts=tuple(self.preacts[layer] for layer in layers),
        )


@dataclass(frozen=True)
class Batch:
    """Images and what is known about them."""

    images: Tensor
    """(N, c, h, w), normalised; (N, 2) for points in a plane."""
    labels: Tensor
    """(N,) whole numbers in [0, C); -1 where the label is withheld."""
    index: Tensor
    """(N,) place in the training set, for methods with a memory."""
    progress: float = 0.0
    """How far the phase is, in [0, 1], for methods with a schedule."""


@dataclass(frozen=True)
class Paper:
    """Where a method comes from."""

    authors: str
    year: int
    link: str
    title: str = ""
