"""Fully connected layers: the network for points in a plane and for the smallest pictures."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.network import Network
from kdcore.spec import knob
from kdcore.vocabulary import Seen


class MLP(Network):
    """A multilayer perceptron: every neuron reads all of the layer below.

    On points in a plane each neuron's zero line can be drawn. Pictures are read as one long row of pixels.
    A layer's map has no plane: (N, width, 1, 1).
    """

    title = "Multilayer perceptron"
    takes = ("images", "points")
    width: int = knob(64, 1, 2048, help="Neurons in each hidden layer.", scale="log")
    depth: int = knob(1, 1, 8, help="Hidden layers.")

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        sizes = [math.prod(shape), *([self.width] * self.depth)]
        layers = [nn.Linear(sizes[place], sizes[place + 1]) for place in range(self.depth)]
        for layer in layers:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        self.hidden = nn.ModuleList(layers)
        self.head = nn.Linear(self.width, classes)
        self.layers = tuple(f"hidden {number + 1}" for number in range(self.depth))

    def look(self, images: Tensor) -> Seen:
        maps, preacts = [], []
        features = images.flatten(1)
        for layer in self.hidden:
            preact = layer(features)
            features = F.relu(preact)  # not in place: preact is kept
            preacts.append(preact[:, :, None, None])
            maps.append(features[:, :, None, None])
        return Seen(self.head(features), tuple(maps), tuple(preacts), features)
