"""The small residual networks of the CIFAR literature, 6n+2 layers in three stages."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.network import Network, pool, start_evenly
from kdcore.networks.plain import convolution
from kdcore.spec import knob
from kdcore.vocabulary import Seen


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; gives their sum before the activation."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(convolution(inputs, outputs, stride), nn.ReLU(), convolution(outputs, outputs))
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, h, w) after an activation -> (N, outputs, h/stride, w/stride) before one, rounded up."""
        return self.residual(features) + self.shortcut(features)


class Stage(nn.Sequential):
    """Blocks with an activation between them and none at the end."""

    def forward(self, features: Tensor) -> Tensor:
        for number, block in enumerate(self):
            features = block(F.relu(features) if number else features)
        return features


class ResNet(Network):
    """A residual network of 6n+2 layers: what a block adds is learned, what came in is passed on.

    The usual teacher and student of CIFAR papers. ResNet-20 is 3 blocks of the thin style, ResNet-8x4 is 1 block and
    ResNet-32x4 5 blocks of the x4 style, both at width 16. These are not torchvision's ResNets.
    Source: He et al. 2016, section 4.2; the x4 style and the 1x1 shortcuts as in the distillation benchmarks.
    """

    title = "ResNet (CIFAR)"
    blocks: int = knob(
        1, 1, 18, help="Blocks in each stage, n: 6n+2 layers, so 1 is ResNet-8, 3 ResNet-20, 9 ResNet-56."
    )
    width: int = knob(
        16, 1, 64, help="Channels of the thin style's first stage; each later has twice as many.", scale="log"
    )
    style: str = knob(
        "thin",
        choices=("thin", "x4"),
        help="thin: stem and stages w, w, 2w, 4w. x4: 2w, 4w, 8w, 16w, which is 32, 64, 128, 256 at width 16.",
    )

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        times = {"thin": (1, 1, 2, 4), "x4": (2, 4, 8, 16)}[self.style]
        stem, *widths = (self.width * factor for factor in times)
        self.stem = convolution(shape[0], stem)
        self.stages = nn.ModuleList()
        inputs = stem
        for number, outputs in enumerate(widths):
            stage = Stage(Block(inputs, outputs, stride=1 if number == 0 else 2))
            for _ in range(self.blocks - 1):
                stage.append(Block(outputs, outputs, stride=1))
            self.stages.append(stage)
            inputs = outputs
        self.head = nn.Linear(inputs, classes)
        self.layers = tuple(f"stage {number + 1}" for number in range(len(widths)))
        start_evenly(self)

    def look(self, images: Tensor) -> Seen:
        maps, preacts = [], []
        features = F.relu(self.stem(images))
        for stage in self.stages:
            preact = stage(features)
            features = F.relu(preact)  # not in place: preact is kept
            preacts.append(preact)
            maps.append(features)
        embedding = pool(features)
        return Seen(self.head(embedding), tuple(maps), tuple(preacts), embedding)
