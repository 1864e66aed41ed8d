"""Layers fused from deep to shallow through learned gates, the piece that review-based methods share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kdcore.alignment import to_plane
from kdcore.response import at_least_float


def enlarged(features: Tensor, plane: tuple[int, int]) -> Tensor:
    """Each place repeated to that (h, w), (N, c, h', w') -> (N, c, h, w); a plane that is no multiple is averaged."""
    count, width = features.shape[:2]
    tall, wide = plane[0] // features.shape[2], plane[1] // features.shape[3]
    if (tall * features.shape[2], wide * features.shape[3]) != plane:
        return to_plane(features, plane)
    repeated = features[:, :, :, None, :, None].expand(-1, -1, -1, tall, -1, wide)
    return repeated.reshape(count, width, *plane)


def normalised_convolution(inputs: int, outputs: int, size: int) -> nn.Sequential:
    """Convolution without bias, batch norm behind it, (N, inputs, h, w) -> (N, outputs, h, w); Kaiming-uniform, a=1."""
    convolution = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
    nn.init.kaiming_uniform_(convolution.weight, a=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class Fusion(nn.Module):
    """Every layer joined with all deeper ones: a gate says place by place how much of either passes."""

    def __init__(self, widths: Sequence[int], features: int) -> None:
        """`widths` are the layers' channels, shallow to deep; every fused layer has `features` channels."""
        super().__init__()
        self.squeezes = nn.ModuleList(normalised_convolution(width, features, 1) for width in widths)
        self.gates = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * features, 2, 1), nn.Sigmoid()) for _ in range(len(widths) - 1)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Shallow to deep, (N, c, h, w) each -> the same planes with `features` channels. The deepest stands alone."""
        squeezed = [squeeze(at_least_float(layer)) for squeeze, layer in zip(self.squeezes, maps, strict=True)]
        fused = [squeezed[-1]]
        for gate, layer in zip(reversed(self.gates), reversed(squeezed[:-1]), strict=True):
            deeper = enlarged(fused[0], (layer.shape[2], layer.shape[3]))
            shares = gate(torch.cat([layer, deeper], dim=1))
            fused.insert(0, layer * shares[:, :1] + deeper * shares[:, 1:])
        return fused
