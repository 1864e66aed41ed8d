"""Which channel of one layer goes with which of another: correlation over pictures and places, optimal assignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

MOST = 65_536
"""Places that the correlations are taken over; of more, evenly spread ones."""
LOT = 4096
"""Places that are added up together: what they need stays near the processor, and their sum exact."""


class Partners(NamedTuple):
    """Two channels that were assigned to each other."""

    ours: int
    theirs: int
    correlation: float


@dataclass(frozen=True)
class Channels:
    """A layer's channels on one plane, over all pictures and places: one side of a correlation."""

    mean: Tensor
    """(c,)."""
    spread: Tensor
    """(c,) standard deviations, 0 for a channel that varies only by rounding."""
    directions: Tensor
    """(c, n) around their means at length one, over evenly spread places, MOST or fewer; zero as `spread` is."""


def channels(maps: Tensor) -> Channels:
    """The channels of (N, c, h, w), in the maps' own precision."""
    rows = maps.permute(1, 0, 2, 3).flatten(1).contiguous()
    rounding = 1e-6 * _farthest(rows).clamp(min=1e-30)
    mean = rows.mean(dim=1, keepdim=True)
    apart = rows - mean
    spread = (_squares(apart) / rows.shape[1]).sqrt()
    some = apart[:, :: max(1, -(-rows.shape[1] // MOST))]
    some = some - some.mean(dim=1, keepdim=True)
    far = _farthest(some)
    varies = far > rounding
    some *= torch.where(varies, 1.0 / torch.where(varies, far, 1.0), 0.0)  # first, as squares may be too small
    some *= _squares(some).clamp(min=1.0).rsqrt()
    return Channels(mean[:, 0], torch.where(spread > rounding, spread, 0.0)[:, 0], some)


def correlated(ours: Channels, theirs: Channels) -> Tensor:
    """Pearson's r of all channels with all, (c, c') in float64. 0 for a channel that is the same everywhere."""
    lots = zip(ours.directions.split(LOT, dim=1), theirs.directions.split(LOT, dim=1), strict=True)
    return torch.stack([(mine @ yours.T).double() for mine, yours in lots]).sum(dim=0).clamp(-1.0, 1.0)


def _farthest(rows: Tensor) -> Tensor:
    """The greatest distance from 0 in each, (c, n) -> (c, 1)."""
    return torch.maximum(rows.amax(dim=1, keepdim=True), -rows.amin(dim=1, keepdim=True))


def _squares(rows: Tensor) -> Tensor:
    """The sum of squares of each, (c, n) -> (c, 1)."""
    return rows.square().sum(dim=1, keepdim=True)


def assigned(correlation: Tensor) -> list[Partners]:
    """Each channel of the narrower side with a partner of its own so that the correlations add up to the most.

    (c, c') -> min(c, c') pairs, the best first.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(correlation.cpu().numpy(), maximize=True)
    pairs = [Partners(int(s), int(t), float(correlation[s, t])) for s, t in zip(rows, columns, strict=True)]
    return sorted(pairs, key=lambda pair: (-pair.correlation, pair.theirs))
