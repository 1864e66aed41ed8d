"""Wide residual networks, which normalise and activate before each convolution."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.network import Network, pool, start_evenly
from kdcore.spec import knob
from kdcore.vocabulary import Seen


class Block(nn.Module):
    """Two 3x3 convolutions on an activated input, added to the sum so far. The norm ahead of it stands outside."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )
        self.shortcut = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, total: Tensor, active: Tensor) -> Tensor:
        """The sum so far and the same normalised and activated, (N, inputs, h, w) each -> the sum, (N, outputs, …)."""
        return self.residual(active) + (total if self.shortcut is None else self.shortcut(active))


class WideResNet(Network):
    """A wide residual network, WRN-d-k: 6n+4 layers whose stages are k times as wide as a thin ResNet's.

    WRN-16-2 is 2 blocks widened 2 times, WRN-40-2 is 6 blocks. A stage's pre-activation is its sum after the next
    batch norm (the following block's first, or the final one), and its map is the ReLU of that: the plain sum has no
    activation of its own. Source: Zagoruyko and Komodakis 2016; layers read as in Heo et al. 2019.
    """

    title = "Wide ResNet"
    blocks: int = knob(1, 1, 6, help="Blocks in each stage, n: the depth is 6n+4, so 1 is WRN-10, 2 WRN-16, 6 WRN-40.")
    widen: int = knob(1, 1, 10, help="How many times as wide as 16, 32 and 64 channels, k.")

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        self.stem = nn.Conv2d(shape[0], 16, 3, padding=1, bias=False)
        self.blocks_in_order = nn.ModuleList()
        self.norms = nn.ModuleList([nn.BatchNorm2d(16)])  # norms[i] stands ahead of block i, the last ahead of the pool
        inputs = 16
        for number in range(3):
            outputs = 16 * 2**number * self.widen
            for place in range(self.blocks):
                stride = 2 if number > 0 and place == 0 else 1
                self.blocks_in_order.append(Block(inputs, outputs, stride=stride))
                self.norms.append(nn.BatchNorm2d(outputs))
                inputs = outputs
        self.head = nn.Linear(inputs, classes)
        self.layers = ("stage 1", "stage 2", "stage 3")
        start_evenly(self)

    def look(self, images: Tensor) -> Seen:
        maps, preacts = [], []
        total = self.stem(images)
        active = F.relu(self.norms[0](total))
        for number, (block, norm) in enumerate(zip(self.blocks_in_order, self.norms[1:], strict=True), start=1):
            total = block(total, active)
            preact = norm(total)
            active = F.relu(preact)  # not in place: preact is kept
            if number % self.blocks == 0:
                preacts.append(preact)
                maps.append(active)
        embedding = pool(active)
        return Seen(self.head(embedding), tuple(maps), tuple(preacts), embedding)
