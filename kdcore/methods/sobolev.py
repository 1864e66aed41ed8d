"""Sobolev training: match how the answers change with the picture, along random mixtures of classes."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.geometry import unit
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.slopes import input_slope, same_pictures
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def mixtures(index: Tensor, classes: int, moment: int) -> Tensor:
    """A direction of length one over the classes for each image, (N,) -> (N, C), another at each moment.

    Drawn from the image's place and the moment alone, so that neither the order of a batch nor a global generator
    matters. Two uniform numbers from a multiplicative hash make a normal one, and normal ones an even direction.
    """
    numbers = index.double()[:, None] * 12.9898 + torch.arange(2 * classes, device=index.device) * 78.233
    uniform = ((numbers + moment % 4093 * 37.719).sin() * 43758.5453).frac().abs().clamp(min=1e-9)
    first, second = uniform.view(-1, classes, 2).unbind(dim=2)
    return unit((-2 * first.log()).sqrt() * (2 * torch.pi * second).cos())


def slopes_along(student: Seen, teacher: Seen, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Both networks' gradients, on their pictures, of their log-probabilities summed with these weights (N, C)."""

    def value(seen: Seen) -> Tensor:
        said = at_least_float(seen.logits).log_softmax(dim=1)
        return (weights.to(said.dtype) * said).sum(dim=1)

    return same_pictures(
        input_slope(student, value(student), learning=True), input_slope(teacher, value(teacher), learning=False)
    )


class Sobolev(Method):
    """Match how the teacher's answers change with the picture, along random mixtures of classes.

    A function is known better by its values and its slopes than by its values alone. One random mixture of classes a
    step stands for all slopes on average, at the price of one. The values themselves are left to soft targets.
    """

    title = "Sobolev training"
    family = "gradient"
    formula = (
        r"C \; \left\Vert \nabla_x \langle \log p_S, v \rangle - \nabla_x \langle \log p_T, v \rangle "
        r"\right\Vert_2^2, \quad v \sim \mathrm{U}(\Vert v \Vert_2 = 1)"
    )
    paper = Paper(
        "Czarnecki, Osindero, Jaderberg, Swirszcz, Pascanu",
        2017,
        "https://arxiv.org/abs/1706.04859",
        "Sobolev Training for Neural Networks",
    )
    provenance = (
        "paper only (its stochastic form). Our decisions: slopes of log-probabilities, the factor C, which makes the "
        "mean over mixtures the squared difference of all slopes, and mixtures drawn from the image's place in the "
        "data and the step, so that a run can be repeated. Public code under this name is Jacobian matching"
    )
    convention = (
        "Sum over pixels and, on average, over classes; mean over images. Without the factor C it is the number of "
        "classes times smaller. "
        "Here 0.05, by measurement: on small pictures its gradient is then 0.4 to 0.5 times cross-entropy's "
        "(0.02 to 0.4 on 28x28)."
    )
    pitfalls = (
        "It compares sizes, not only directions: a teacher with steep logits takes over the loss.",
        "Each step takes several times as long: the teacher looks anew and the student differentiates twice.",
        "With batch norms a picture's gradient also holds how it moves the statistics of its batch.",
    )
    weight = 0.05
    rests = True
    reads = ("logits", "inputs")
    shows = (Shown("pixels", "how a mixture of classes hangs on the picture", "slope of log-probability on the input"),)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        classes = student.logits.shape[1]
        weights = mixtures(batch.index, classes, round(batch.progress * 2**24))
        ours, theirs = slopes_along(student, teacher, weights)
        return {"sobolev": classes * (ours - theirs).square().flatten(1).sum(dim=1)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]] | None:
        """Both slopes along the mixtures of the first images at the start, (N, *shape); None without slopes."""
        if student.inputs is None or teacher.inputs is None:
            return None
        index = torch.arange(len(student.logits), device=student.logits.device)
        ours, theirs = slopes_along(student, teacher, mixtures(index, student.logits.shape[1], 0))
        return [ours], [theirs]
