"""The visible piece between a student's map and a teacher's: a learned 1x1 convolution where their channels differ."""

from __future__ import annotations

from torch import Tensor, nn


def channels(features: Tensor) -> int:
    """How many channels a map (N, c, h, w) has."""
    return features.shape[1]


def linear_connector(student: Tensor, teacher: Tensor) -> nn.Module:
    """1x1 convolution with bias from the student's channels to the teacher's; the identity where they are equal."""
    if channels(student) == channels(teacher):
        return nn.Identity()
    return nn.Conv2d(channels(student), channels(teacher), 1)


def normalised_connector(student: Tensor, teacher: Tensor) -> nn.Module:
    """The same without bias and with batch norm behind it, (N, c, h, w) -> (N, c', h, w)."""
    if channels(student) == channels(teacher):
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(channels(student), channels(teacher), 1, bias=False),
        nn.BatchNorm2d(channels(teacher)),
    )


def linear_projection(student: Tensor, teacher: Tensor) -> nn.Module:
    """Linear map with bias from the student's features (N, D) to the teacher's (N, D'); the identity where D = D'."""
    if student.shape[1] == teacher.shape[1]:
        return nn.Identity()
    return nn.Linear(student.shape[1], teacher.shape[1])
