"""VGG with batch norm: five stages of 3x3 convolutions with max pooling between them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.network import Network, pool, start_evenly
from kdcore.networks.plain import convolution
from kdcore.spec import knob
from kdcore.vocabulary import Seen

COUNTS = {
    "8": (1, 1, 1, 1, 1),
    "11": (1, 1, 2, 2, 2),
    "13": (2, 2, 2, 2, 2),
    "16": (2, 2, 3, 3, 3),
    "19": (2, 2, 4, 4, 4),
}


class VGG(Network):
    """A VGG with batch norm, as the CIFAR distillation benchmarks have it: five stages and one linear layer.

    No shortcut anywhere, so it is the classic partner for a ResNet of another kind. The plane is halved before stages
    2, 3 and 4, and before stage 5 only where both sides of the picture have 64 pixels or more.
    Source: Simonyan and Zisserman 2015; stages as in Tian et al. 2020.
    """

    title = "VGG"
    depth: str = knob("8", choices=tuple(COUNTS), help="The name's number; the classifier counts as three layers.")
    width: int = knob(
        32, 1, 128, help="Channels w of the first stage; the stages have w, 2w, 4w, 8w, 8w. VGG's is 64.", scale="log"
    )

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        self.halved = (False, True, True, True, min(shape[1:]) >= 64)
        self.stages = nn.ModuleList()
        inputs = shape[0]
        for count, factor in zip(COUNTS[self.depth], (1, 2, 4, 8, 8), strict=True):
            outputs = self.width * factor
            layers: list[nn.Module] = [convolution(inputs, outputs)]
            for _ in range(count - 1):
                layers += [nn.ReLU(), convolution(outputs, outputs)]
            self.stages.append(nn.Sequential(*layers))
            inputs = outputs
        self.head = nn.Linear(inputs, classes)
        self.layers = tuple(f"stage {number + 1}" for number in range(5))
        start_evenly(self)

    def look(self, images: Tensor) -> Seen:
        maps, preacts = [], []
        features = images
        for halved, stage in zip(self.halved, self.stages, strict=True):
            preact = stage(F.max_pool2d(features, 2) if halved else features)
            features = F.relu(preact)  # not in place: preact is kept
            preacts.append(preact)
            maps.append(features)
        embedding = pool(features)
        return Seen(self.head(embedding), tuple(maps), tuple(preacts), embedding)
