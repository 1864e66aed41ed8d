"""Bringing a student's and a teacher's map to one plane: the larger is averaged down, nothing is blown up."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

from kdcore.response import at_least_float
from kdcore.vocabulary import Seen


def to_plane(features: Tensor, plane: tuple[int, int]) -> Tensor:
    """Adaptive average pooling to that (h, w), (N, c, h', w') -> (N, c, h, w); a smaller map is repeated."""
    height, width = features.shape[2:]
    if (height, width) == plane:
        return features
    if height % plane[0] == 0 and width % plane[1] == 0:  # on CUDA adaptive pooling has no deterministic gradient
        return F.avg_pool2d(features, (height // plane[0], width // plane[1]))
    return F.adaptive_avg_pool2d(features, plane)


def one_plane(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float32 at least and at the smaller height and width, (N, c, h, w) and (N, c', h', w')."""
    plane = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
    return to_plane(at_least_float(student), plane), to_plane(at_least_float(teacher), plane)


def map_pairs(student: Seen, teacher: Seen) -> Iterator[tuple[Tensor, Tensor]]:
    """The matched maps, pair by pair, each pair on one plane. Raises ValueError when the sides differ in number."""
    return _pairs(student.maps, teacher.maps)


def preact_pairs(student: Seen, teacher: Seen) -> Iterator[tuple[Tensor, Tensor]]:
    """The same for what stood before the last activation."""
    return _pairs(student.preacts, teacher.preacts)


def _pairs(student: tuple[Tensor, ...], teacher: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
    if not student or len(student) != len(teacher):
        raise ValueError(
            f"{len(student)} student layers stand beside {len(teacher)} teacher layers; "
            "layers matched pair by pair are equally many, and at least one"
        )
    return (one_plane(ours, theirs) for ours, theirs in zip(student, teacher, strict=True))
