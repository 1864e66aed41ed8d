"""Formulas between class probabilities that several methods share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def soft_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL divergence from the teacher's softened classes to the student's, (N, C) x (N, C) -> (N,).

    Scaled by temperature squared so that its gradient keeps its size as the temperature moves. In float32 at least.

    >>> from torch import tensor
    >>> soft_kl(tensor([[0.0, 1.0986]]), tensor([[0.0, 0.0]]), temperature=1.0)  # ln(2 / sqrt 3)
    tensor([0.1438])
    """
    ours, theirs = log_softened(student, temperature), log_softened(teacher, temperature)
    return F.kl_div(ours, theirs, reduction="none", log_target=True).sum(dim=1) * temperature**2


def log_softened(logits: Tensor, temperature: float) -> Tensor:
    """Logarithms of the softened class probabilities, (N, C) -> (N, C). In float32 at least."""
    return F.log_softmax(at_least_float(logits) / temperature, dim=1)


def label_mean(losses: Tensor, labels: Tensor) -> Tensor:
    """(N,) losses of which only the labelled count, scaled so that their mean over N is the mean over the labelled.

    `labels` is (N,), -1 where withheld; without any label all are zero.
    """
    known = (labels >= 0).to(losses.dtype)
    return losses * known * (known.numel() / known.sum().clamp(min=1.0))


def at_least_float(values: Tensor) -> Tensor:
    """The same in float32 where it was a half; losses are computed in float32 or better."""
    return values.float() if values.element_size() < 4 else values
