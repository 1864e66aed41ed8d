"""A stem and a few convolution stages, each halving the plane: the network to read first."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.network import Network, pool, start_evenly
from kdcore.spec import knob
from kdcore.vocabulary import Seen


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution and batch norm, (N, inputs, h, w) -> (N, outputs, h/stride, w/stride), rounded up."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Plain(Network):
    """A plain stack of 3x3 convolutions in a few stages.

    Each stage but the first halves the plane and doubles the channels, so width and depth can be felt one at a time.
    """

    title = "Plain convolutions"
    width: int = knob(16, 1, 256, help="Channels of the first stage; each later stage has twice as many.", scale="log")
    stage_count: int = knob(3, 1, 4, help="How many stages; each but the first halves the plane.")
    depth: int = knob(1, 1, 8, help="Convolutions in each stage.")

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        self.stem = nn.Sequential(convolution(shape[0], self.width), nn.ReLU())
        self.stages = nn.ModuleList()
        inputs = self.width
        for number in range(self.stage_count):
            outputs = self.width * 2**number
            layers: list[nn.Module] = [convolution(inputs, outputs, stride=1 if number == 0 else 2)]
            for _ in range(self.depth - 1):
                layers += [nn.ReLU(), convolution(outputs, outputs)]
            self.stages.append(nn.Sequential(*layers))
            inputs = outputs
        self.head = nn.Linear(inputs, classes)
        self.layers = tuple(f"stage {number + 1}" for number in range(self.stage_count))
        start_evenly(self)

    def look(self, images: Tensor) -> Seen:
        maps, preacts = [], []
        features = self.stem(images)
        for stage in self.stages:
            preact = stage(features)
            features = F.relu(preact)  # not in place: preact is kept
            preacts.append(preact)
            maps.append(features)
        embedding = pool(features)
        return Seen(self.head(embedding), tuple(maps), tuple(preacts), embedding)
