"""The contract of a network: a stem, named stages and a head, which return what they saw without hooks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from kdcore.spec import Spec
from kdcore.vocabulary import Seen

LOT, FEWEST, MOST = 50_000, 16, 1024
"""Numbers that the pictures of a lot have together, about; the fewest and the most pictures in one. In lots of 64
Fashion-MNIST pictures a look costs a processor half of what it does 1,024 at a time, which need new memory for every
layer."""


class Network(Spec, nn.Module, ABC):
    """A classifier with knobs. The docstring is its card.

    Life: `Net(**knobs)`, then `build(shape, classes)` once, then `look(images)`. Every network takes any shape that
    `takes` allows and any number of classes from 2 on.
    """

    title: ClassVar[str]
    takes: ClassVar[tuple[Literal["images", "points"], ...]] = ("images",)
    """images: (c, h, w) from 8x8 to 64x64; points: (2,)."""
    layers: tuple[str, ...]
    """The stages' names, shallow to deep, one for each of `Seen.maps`; set by `build`."""

    @classmethod
    def skeleton(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Settings that build the same layers without reading any file, for weights that come from a snapshot."""
        return settings

    @abstractmethod
    def build(self, shape: tuple[int, ...], classes: int) -> None:
        """Make the layers for inputs of this shape, without the batch. Uses torch's global generator."""

    @abstractmethod
    def look(self, images: Tensor) -> Seen:
        """What the network makes of (N, *shape): logits, maps, preacts and embedding (see Seen)."""

    def deployed(self) -> Network:
        """What is left once training is over: the network itself, or what a scheme dressed."""
        return self

    def forward(self, images: Tensor) -> Tensor:
        """The logits, (N, C)."""
        return self.look(images).logits


def lots(images: Tensor) -> tuple[Tensor, ...]:
    """(N, *shape) in lots to look at one after another: on a processor what layers make of one stays near it."""
    small = max(FEWEST, min(MOST, LOT // max(1, images[:1].numel())))
    return images.split(MOST if images.is_cuda else small)


def pool(features: Tensor) -> Tensor:
    """Global average over the plane, (N, c, h, w) -> (N, c)."""
    return features.mean(dim=(2, 3))


def start_evenly(network: nn.Module) -> None:
    """He initialisation of convolutions, as the small ResNets of the literature have it; batch norms start at one."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def parameters_of(network: nn.Module) -> int:
    """How many numbers the network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def macs_of(network: Network, shape: tuple[int, ...]) -> int:
    """Multiply-accumulates for one image, counted by torch's flop counter (two flops each)."""
    from torch.utils.flop_counter import FlopCounterMode

    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fused attention hides its products from the counter
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network.look(torch.zeros(1, *shape, device=device))
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    network.train(was_training)
    return counter.get_total_flops() // 2
