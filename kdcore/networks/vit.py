"""A tiny vision transformer: patches of the picture as tokens that look at one another."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.network import Network
from kdcore.spec import knob
from kdcore.vocabulary import Seen


class Block(nn.Module):
    """Attention, then two layers on each token alone, each on normalised tokens and added to the sum so far."""

    def __init__(self, heads: int, head_width: int) -> None:
        super().__init__()
        width = heads * head_width
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.gather = nn.Linear(width, width)
        self.alone = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, tokens, width) -> the same shape."""
        images, count, width = tokens.shape
        parts = self.queries_keys_values(self.attention_norm(tokens)).view(images, count, 3, self.heads, -1)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        # written out, since fused attention has no second derivative, which methods that match gradients need
        attention = torch.softmax(queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1]), dim=-1)
        tokens = tokens + self.gather((attention @ values).transpose(1, 2).reshape(images, count, width))
        return tokens + self.alone(tokens)


class ViT(Network):
    """A vision transformer small enough for a CPU: patches become tokens, and attention mixes them.

    The patch is as large as the chosen grid asks for; a picture that does not divide is padded with zeros to the right
    and below. Maps are the token grids after each block; a block ends without an activation, so pre-activations are the
    same tensors. The classifier reads the mean of the normalised tokens.
    Source: Dosovitskiy et al. 2021; pooled instead of a class token as in Beyer et al. 2022.
    """

    title = "Vision transformer (tiny)"
    depth: int = knob(4, 1, 12, help="Transformer blocks.")
    heads: int = knob(4, 1, 8, help="Attention heads in each block.")
    head_width: int = knob(16, 4, 64, help="Numbers per head; a token has heads times as many.", scale="log")
    grid: int = knob(4, 2, 8, help="Patches along each side of the picture, at most.")

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        channels, height, width = shape
        patch = (math.ceil(height / self.grid), math.ceil(width / self.grid))
        rows, columns = math.ceil(height / patch[0]), math.ceil(width / patch[1])
        features = self.heads * self.head_width
        self.padding = (0, columns * patch[1] - width, 0, rows * patch[0] - height)
        self.patches = nn.Conv2d(channels, features, patch, stride=patch)
        self.position = nn.Parameter(torch.zeros(1, features, rows, columns))
        nn.init.trunc_normal_(self.position, std=0.02)
        self.blocks = nn.ModuleList(Block(self.heads, self.head_width) for _ in range(self.depth))
        self.norm = nn.LayerNorm(features)
        self.head = nn.Linear(features, classes)
        self.layers = tuple(f"block {number + 1}" for number in range(self.depth))

    def look(self, images: Tensor) -> Seen:
        grid = self.patches(F.pad(images, self.padding)) + self.position
        tokens = grid.flatten(2).transpose(1, 2)
        maps = []
        for block in self.blocks:
            tokens = block(tokens)
            maps.append(tokens.transpose(1, 2).reshape(grid.shape))
        embedding = self.norm(tokens).mean(dim=1)
        return Seen(self.head(embedding), tuple(maps), tuple(maps), embedding)
