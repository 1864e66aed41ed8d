"""Pruned: the smallest weights are zero and stay zero."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.derivation import Derivation, like, put, weighted
from kdcore.network import Network
from kdcore.spec import knob
from kdcore.vocabulary import Paper


class Pruned(Derivation):
    """The smallest weights of the whole network are set to zero and stay zero while the rest learns.

    One threshold for all layers, so that a layer keeps as much as its weights are worth. The zeros are stored and
    multiplied like other numbers: neither file nor arithmetic gets smaller by itself, and nothing here says so. The
    classifier, norms and biases stay whole.
    """

    title = "Pruned (magnitude)"
    paper = Paper(
        "Han, Pool, Tran, Dally", 2015, "https://arxiv.org/abs/1506.02626",
        "Learning both Weights and Connections for Efficient Neural Networks",
    )  # fmt: skip
    provenance = "one step of the paper's procedure; masks as buffers are our decision"
    ratio: float = knob(0.5, 0.02, 1.0, help="Share of the weights that are kept.")

    @torch.no_grad()
    def derive(self, network: Network) -> Network:
        derived = copy.deepcopy(network)
        layers = [(name, layer) for name, layer in weighted(derived) if name != "head"]
        sizes = torch.cat([layer.weight.abs().flatten() for _, layer in layers])
        keep = max(1, round(self.ratio * len(sizes)))
        kept = torch.zeros_like(sizes, dtype=torch.bool)
        kept[sizes.topk(keep).indices] = True  # by place and not by threshold: exactly so many, ties or not
        for (name, layer), mask in zip(layers, kept.split([layer.weight.numel() for _, layer in layers]), strict=True):
            put(derived, name, masked(layer, mask.view_as(layer.weight)))
        return derived


class MaskedConvolution(nn.Conv2d):
    """A convolution with some weights held at zero."""

    mask: Tensor

    def forward(self, input: Tensor) -> Tensor:
        """(N, c, h, w) -> as the convolution gives."""
        return self._conv_forward(input, self.weight * self.mask, self.bias)


class MaskedLinear(nn.Linear):
    """A linear layer with some weights held at zero."""

    mask: Tensor

    def forward(self, input: Tensor) -> Tensor:
        """(N, n) -> (N, m)."""
        return F.linear(input, self.weight * self.mask, self.bias)


def masked(layer: nn.Conv2d | nn.Linear, mask: Tensor) -> MaskedConvolution | MaskedLinear:
    """The layer with a mask, a buffer of its weight's shape.

    What is masked gets no gradient and begins at zero, so momentum and weight decay leave it there too.
    """
    other: MaskedConvolution | MaskedLinear
    kind = {**like(layer.weight), "bias": layer.bias is not None}
    if isinstance(layer, nn.Linear):
        other = MaskedLinear(layer.in_features, layer.out_features, **kind)
    else:
        shape: tuple[Any, ...] = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups)
        other = MaskedConvolution(layer.in_channels, layer.out_channels, *shape, **kind)
    other.register_buffer("mask", mask.to(layer.weight.dtype))
    with torch.no_grad():
        other.weight.copy_(layer.weight * mask)
        if other.bias is not None and layer.bias is not None:
            other.bias.copy_(layer.bias)
    return other
