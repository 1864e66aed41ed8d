"""MobileNetV2: inverted residuals with linear bottlenecks, for few multiply-accumulates."""

from __future__ import annotations

from torch import Tensor, nn

from kdcore.network import Network, pool, start_evenly
from kdcore.spec import knob
from kdcore.vocabulary import Seen

GROUPS = ((1, 16, 1, 1), (0, 24, 2, 1), (0, 32, 3, 2), (0, 64, 4, 2), (0, 96, 3, 1), (0, 160, 3, 2), (0, 320, 1, 1))
"""Expansion (0: the knob's), channels, blocks and first stride of each group."""
STAGES = ((0, 2), (2, 3), (3, 5), (5, 7))
"""The groups of each stage; a stage ends where the next one halves the plane, or at the end."""


class Mobile(Network):
    """A MobileNetV2: each block widens, filters every channel on its own, and narrows again without an activation.

    Maps are the outputs of those linear bottlenecks at each resolution; nothing activates them, so their
    pre-activations are the same tensors. Two groups keep the plane that the ImageNet form halves, as in the CIFAR
    benchmarks, and below 32 pixels a side the stem keeps it too.
    Source: Sandler et al. 2018; strides and layers as in Tian et al. 2020.
    """

    title = "MobileNetV2"
    width: float = knob(0.5, 0.1, 2.0, help="Factor on all channels; 0.5 is the benchmarks' MobileNetV2.")
    expansion: int = knob(6, 1, 6, help="How many times a block widens its channels before it filters them.")
    last: int = knob(
        1280, 8, 1280, help="Channels of the last 1x1 convolution: what the classifier reads.", scale="log"
    )

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        from torchvision.models.mobilenetv2 import InvertedResidual  # here: torchvision takes a second to import
        from torchvision.ops import Conv2dNormActivation

        inputs = self._channels(32)
        stride = 2 if min(shape[1:]) >= 32 else 1
        self.stem = Conv2dNormActivation(shape[0], inputs, stride=stride, activation_layer=nn.ReLU6)
        self.stages = nn.ModuleList()
        for first, end in STAGES:
            stage = nn.Sequential()
            for expansion, channels, count, stride in GROUPS[first:end]:
                for number in range(count):
                    outputs = self._channels(channels)
                    stage.append(
                        InvertedResidual(inputs, outputs, stride if number == 0 else 1, expansion or self.expansion)
                    )
                    inputs = outputs
            self.stages.append(stage)
        self.mixer = Conv2dNormActivation(inputs, self.last, kernel_size=1, activation_layer=nn.ReLU6)
        self.head = nn.Linear(self.last, classes)
        self.layers = tuple(f"stage {number + 1}" for number in range(len(STAGES)))
        start_evenly(self)

    def _channels(self, full: int) -> int:
        return max(1, int(full * self.width))

    def look(self, images: Tensor) -> Seen:
        maps = []
        features = self.stem(images)
        for stage in self.stages:
            features = stage(features)
            maps.append(features)  # kept whole: the ReLU6 in place that follows works on a batch norm's output
        embedding = pool(self.mixer(features))
        return Seen(self.head(embedding), tuple(maps), tuple(maps), embedding)
