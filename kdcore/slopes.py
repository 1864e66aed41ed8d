"""Slopes of what a network says, on the pictures or on its layers, for methods that compare them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.response import at_least_float
from kdcore.vocabulary import Batch, Seen


def slope(seen: Seen, values: Tensor, of: Tensor, *, learning: bool) -> Tensor:
    """The gradient of each image's value (N,) on its own rows of `of`, (N, ...) like it. In float32 at least.

    With `learning` it can be differentiated again, which is how a student is taught by it; a teacher's cannot be.
    Raises ValueError where nothing was kept to take slopes on, or where `of` does not lie on the way to the values.
    """
    if seen.inputs is None or not values.requires_grad:
        raise ValueError('no graph leads from the pictures to what was seen; a method that takes slopes reads "inputs"')
    with torch.autocast(values.device.type, enabled=False):
        (found,) = torch.autograd.grad(
            values.sum(), of, create_graph=learning, retain_graph=True, allow_unused=True
        )  # fmt: skip
    if found is None:
        raise ValueError(
            f"a layer of shape {tuple(of.shape[1:])} is a copy that the network's logits do not come from (tokens laid "
            "out as a plane, or a unit without one), so they have no slope on it; convolutional networks have one"
        )
    return at_least_float(found)


def input_slope(seen: Seen, values: Tensor, *, learning: bool) -> Tensor:
    """The gradient of each image's value (N,) on its own pixels, (N, *shape). Raises ValueError as `slope` does."""
    if seen.inputs is None:
        raise ValueError('no graph leads from the pictures to what was seen; a method that takes slopes reads "inputs"')
    return slope(seen, values, seen.inputs, learning=learning)


def same_pictures(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both gradients, the teacher's without a graph. Raises ValueError where the pictures differ in shape."""
    if student.shape != teacher.shape:
        raise ValueError(
            f"the student sees inputs of shape {tuple(student.shape[1:])}, the teacher of {tuple(teacher.shape[1:])}; "
            "slopes on inputs can be compared where both see the same"
        )
    return student, teacher.detach()


def named_class(batch: Batch, teacher: Seen) -> Tensor:
    """(N,) each image's label, or where it is withheld the teacher's first choice."""
    return torch.where(batch.labels >= 0, batch.labels, teacher.logits.detach().argmax(dim=1))


def logit_of(logits: Tensor, classes: Tensor) -> Tensor:
    """The logit of one class of each image, (N, C) and (N,) -> (N,), in float32 at least."""
    return at_least_float(logits).gather(1, classes[:, None]).squeeze(1)


def cross_entropy_of(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy with one class of each image, (N, C) and (N,) -> (N,), in float32 at least."""
    return F.cross_entropy(at_least_float(logits), classes, reduction="none")
