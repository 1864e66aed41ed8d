"""What networks saw and methods say. Letters: N images, C classes, D features, maps (N, c, h, w)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from torch import Tensor

Terms = dict[str, Tensor]
"""Named parts of a loss, each (N,): one number per image. The mean is the loss."""


class Classifier(NamedTuple):
    """The linear map from a network's embedding to its logits."""

    weight: Tensor
    """(C, D)."""
    bias: Tensor
    """(C,)."""


@dataclass(frozen=True)
class Seen:
    """What a network made of a batch. What follows `exits` is there for methods that say that they read it."""

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
    inputs: Tensor | None = None
    """(N, *shape), the pictures it looked at; everything seen hangs on them, so that slopes can be taken."""
    classifier: Classifier | None = None
    """What stands between embedding and logits; None too where that is not linear."""
    parameters: Mapping[str, Tensor] = field(default_factory=dict)
    """The network's learned numbers by name."""
    second: Seen | None = None
    """What it made of a second, stronger view of the same pictures, where that is read."""

    def each(self, change: Callable[[Tensor], Tensor]) -> Seen:
        """The same with every tensor that has a row for each image changed."""
        return replace(
            self,
            logits=change(self.logits),
            maps=tuple(change(tensor) for tensor in self.maps),
            preacts=tuple(change(tensor) for tensor in self.preacts),
            embedding=change(self.embedding),
            exits=tuple(seen.each(change) for seen in self.exits),
            inputs=None if self.inputs is None else change(self.inputs),
            second=None if self.second is None else self.second.each(change),
        )

    def detach(self) -> Seen:
        """The same without a graph: what a teacher says."""
        return self.each(lambda tensor: tensor.detach()).fixed()

    def fixed(self) -> Seen:
        """The same with classifier and parameters cut off from the graph."""
        return replace(
            self,
            exits=tuple(seen.fixed() for seen in self.exits),
            classifier=None if self.classifier is None else Classifier(*(one.detach() for one in self.classifier)),
            parameters={name: tensor.detach() for name, tensor in self.parameters.items()},
            second=None if self.second is None else self.second.fixed(),
        )

    def of(self, layers: Sequence[int]) -> Seen:
        """The same with only these layers' maps and preacts, in this order (a layer may stand more than once)."""
        return replace(
            self,
            maps=tuple(self.maps[layer] for layer in layers),
            preacts=tuple(self.preacts[layer] for layer in layers),
            second=None if self.second is None else self.second.of(layers),
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
    other: Tensor | None = None
    """(N,) labels of the pictures that were mixed in; None where nothing is mixed."""
    share: Tensor | None = None
    """(N,) in [0.5, 1]: how much of each picture is its own."""


@dataclass(frozen=True)
class Paper:
    """Where a method comes from."""

    authors: str
    year: int
    link: str
    title: str = ""
