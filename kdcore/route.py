"""A network's way through training: its weights at some moments, kept in one module."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kdcore.network import Network


class Route(nn.Module):
    """The weights of one network at several moments of its training, and which of them was picked in each stage.

    It is kept in snapshots, so that an interrupted run can go on. Until something was kept it does nothing.
    """

    kept: Tensor
    values: Tensor
    picked: Tensor

    def __init__(self, network: Network, moments: int) -> None:
        super().__init__()
        self._shapes = {name: (one.shape, one.dtype) for name, one in network.state_dict().items()}
        size = sum(one.numel() for one in network.state_dict().values())
        device = next(network.parameters()).device
        self.register_buffer("kept", torch.zeros(moments, dtype=torch.bool, device=device))
        self.register_buffer("picked", torch.full((moments,), -1, dtype=torch.long, device=device))
        self.register_buffer("values", torch.zeros(moments, size, device=device))

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def whole(self) -> bool:
        """Whether every moment was kept."""
        return bool(self.kept.all())

    @torch.no_grad()
    def passed(self, network: Network, step: int, progress: float) -> None:
        """Keep the network after this step (steps and share of the training done before it) where a moment ends.

        The moments lie at equal distances; the last is the end.
        """
        total = round(step / progress) if step else 0
        ends = [-(-(moment + 1) * total // len(self)) for moment in range(len(self))]
        moments = [moment for moment, end in enumerate(ends) if not step or end == step + 1]
        if moments:  # whole numbers (batches counted) stay exact below 2^24
            self.values[moments] = torch.cat([one.flatten().float() for one in network.state_dict().values()])
            self.kept[moments] = True

    @torch.no_grad()
    def put(self, moment: int, network: Network) -> None:
        """Set a network of the same kind to where the first one stood then."""
        if not bool(self.kept[moment]):
            return
        state, place = {}, 0
        for name, (shape, dtype) in self._shapes.items():
            state[name] = self.values[moment, place : place + shape.numel()].view(shape).to(dtype)
            place += shape.numel()
        network.load_state_dict(state)


def farthest(gap: Callable[[int], float], current: int, last: int, limit: float) -> int:
    """The latest moment after `current` whose gap to the student is within the limit; the very next if none is."""
    return next((one for one in range(last, current + 1, -1) if gap(one) <= limit), min(current + 1, last))
