"""Which channel of one layer goes with which of another: correlation over pictures and places, optimal assignment."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from kdcore.alignment import one_plane
from kdcore.geometry import unit

MOST = 65_536
"""Places that the correlations are taken over; of more, evenly spread ones."""


class Partners(NamedTuple):
    """Two channels that were assigned to each other."""

    ours: int
    theirs: int
    correlation: float


def correlations(ours: Tensor, theirs: Tensor) -> Tensor:
    """Pearson's r of all channels with all, (N, c, h, w) and (N, c', h', w') -> (c, c') in float64.

    Over all pictures and places of the smaller plane. 0 for a channel that is the same everywhere.
    """
    planes = one_plane(ours, theirs)
    stride = -(-planes[0].shape[2] * planes[0].shape[3] * len(ours) // MOST)
    rows = [plane.permute(1, 0, 2, 3).flatten(1)[:, :: max(1, stride)].double() for plane in planes]
    mine, yours = (_directions(row) for row in rows)
    return (mine @ yours.T).clamp(-1.0, 1.0)


def assigned(correlation: Tensor) -> list[Partners]:
    """Each channel of the narrower side with a partner of its own so that the correlations add up to the most.

    (c, c') -> min(c, c') pairs, the best first.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(correlation.cpu().numpy(), maximize=True)
    pairs = [Partners(int(s), int(t), float(correlation[s, t])) for s, t in zip(rows, columns, strict=True)]
    return sorted(pairs, key=lambda pair: (-pair.correlation, pair.theirs))


def _directions(rows: Tensor) -> Tensor:
    """Around their means at length one, (c, n); one that varies only by rounding becomes zero."""
    apart = rows - rows.mean(dim=1, keepdim=True)
    scale = rows.abs().amax(dim=1, keepdim=True)
    varies = apart.abs().amax(dim=1, keepdim=True) > 1e-6 * scale
    return unit(torch.where(varies, apart / scale.clamp(min=1e-300), 0.0))
