"""Relations between all images of a batch, layer by layer: any two layers fit, whatever their channels and planes."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.geometry import inner
from kdcore.response import at_least_float
from kdcore.vocabulary import Seen


def squared_distances(features: Tensor) -> Tensor:
    """Squared distances between all images, (N, …) -> (N, N), by one matrix product. In float32 at least.

    The batch is centred first: subtracting large products would eat the small distances.

    >>> squared_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[ 0., 25.],
            [25.,  0.]])
    """
    rows = at_least_float(features).flatten(1)
    rows = rows - rows.mean(dim=0)
    lengths = rows.square().sum(dim=1)
    apart = (lengths.unsqueeze(1) + lengths.unsqueeze(0) - 2.0 * inner(rows, rows)).clamp(min=0.0)
    return apart * (1.0 - torch.eye(len(rows), dtype=rows.dtype, device=rows.device))


def matched_maps(student: Seen, teacher: Seen) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Both sides' maps as they are, pair by pair. Raises ValueError when the sides differ in number."""
    if not student.maps or len(student.maps) != len(teacher.maps):
        raise ValueError(
            f"{len(student.maps)} student layers stand beside {len(teacher.maps)} teacher layers; "
            "layers matched pair by pair are equally many, and at least one"
        )
    return student.maps, teacher.maps
