"""Depthwise separable: a filter for each channel, then a mixture of channels."""

from __future__ import annotations

import torch
from torch import nn

from kdcore.derivation import Replacing, geometry, like, splits
from kdcore.vocabulary import Paper


class DepthwiseSeparable(Replacing):
    """Each convolution becomes one filter for each channel and a 1x1 convolution that mixes the channels.

    Of a k x k convolution with C outputs, 1/C + 1/k² of the numbers and of the arithmetic is left. Both parts come from
    the best rank-one approximation of the teacher's filters, input channel by input channel. That is a linear map, so
    nothing stands between the two here, where MobileNet has a norm and a ReLU. The first convolution and 1x1 ones stay.
    How much is left follows from the layers: the ratio has no say.
    """

    title = "Depthwise separable"
    paper = Paper(
        "Howard et al.", 2017, "https://arxiv.org/abs/1704.04861",
        "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
    )  # fmt: skip
    provenance = "layers from the paper; the start from the teacher is our decision"

    @torch.no_grad()
    def instead(self, layer: nn.Conv2d | nn.Linear) -> nn.Module | None:
        if not isinstance(layer, nn.Conv2d) or not splits(layer) or layer.in_channels <= 3:
            return None
        outputs, inputs, height, width = layer.weight.shape
        if height * width == 1:
            return None
        slices = layer.weight.permute(1, 0, 2, 3).flatten(2)  # (C_in, C_out, k k)
        left, values, right = torch.linalg.svd(slices.double(), full_matrices=False)
        root = values[:, 0].sqrt()
        kind = like(layer.weight)
        stride, padding = geometry(layer)
        depthwise = nn.Conv2d(inputs, inputs, (height, width), stride, padding, groups=inputs, bias=False, **kind)
        pointwise = nn.Conv2d(inputs, outputs, 1, bias=layer.bias is not None, **kind)
        depthwise.weight.copy_((root[:, None] * right[:, 0]).view(inputs, 1, height, width))
        pointwise.weight.copy_((root[:, None] * left[:, :, 0]).T[:, :, None, None])
        if layer.bias is not None and pointwise.bias is not None:
            pointwise.bias.copy_(layer.bias)
        return nn.Sequential(depthwise, pointwise)
