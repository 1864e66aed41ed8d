"""Weighted soft labels: soft targets count where the teacher fits the label better than the student."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from kdcore.method import Method
from kdcore.response import at_least_float, label_mean, log_softened
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of the student's softened classes with the teacher's, (N, C) x (N, C) -> (N,)."""
    return -(log_softened(teacher, temperature).exp() * log_softened(student, temperature)).sum(dim=1)


def teachability(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """How much an image's soft labels count, (N, C) x (N, C) x (N,) -> (N,) in [0, 1], without a gradient.

    Near 1 where the student fits the label far worse than the teacher does, near 0 where it fits it better.
    """
    ours, theirs = (
        F.cross_entropy(at_least_float(side.detach()), labels, ignore_index=-1, reduction="none")
        for side in (student, teacher)
    )
    return 1.0 - (-ours / (theirs + 1e-7)).exp()


class WeightedSoftLabels(Method):
    """Match the teacher's soft targets, more on images that the teacher fits better than the student.

    Soft labels lower the variance but bring the teacher's bias along. Where the student already fits the label better
    than the teacher there is only the bias left, and the image counts little.
    """

    title = "Weighted soft labels (WSLD)"
    family = "response"
    formula = (
        r"-\tau^2 \left(1 - e^{-\mathrm{CE}_S / \mathrm{CE}_T}\right) "
        r"\sum_k \sigma(z_T/\tau)_k \log \sigma(z_S/\tau)_k"
    )
    paper = Paper(
        "Zhou, Song, Chen, Zhou, Wang, Yuan, Zhang",
        2021,
        "https://arxiv.org/abs/2102.00650",
        "Rethinking Soft Labels for Knowledge Distillation: A Bias-Variance Tradeoff Perspective",
    )
    provenance = "benchmark code (mmrazor); labels that are withheld do not count, by our decision"
    convention = (
        "Cross-entropy, not KL: times tau squared, summed over classes, mean over the labelled images, as benchmark "
        "code has it, there with weight 2.5. KL would be smaller by the teacher's entropy, with the same gradient."
        " Here 1, by measurement: on small pictures its gradient is then 1.0 to 1.1 times cross-entropy's."
    )
    pitfalls = (
        "The weight of an image is held fixed: the gradient is not the slope of the number shown.",
        "It never reaches zero, not even for equal networks: it is a cross-entropy.",
    )
    weight = 1.0
    rests = False
    holds = True
    reads = ("labels", "logits")
    shows = (Shown("classes", "softened classes", "probability"),)
    temperature: float = knob(2.0, 1.0, 20.0, help="Softness of both distributions. The weights are taken without it.")

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        counts = teachability(student.logits, teacher.logits, batch.labels)
        losses = self.temperature**2 * counts * soft_cross_entropy(student.logits, teacher.logits, self.temperature)
        return {"wsld": label_mean(losses, batch.labels)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The softened class probabilities, (N, C) each, before an image is weighed."""
        ours, theirs = (log_softened(seen.logits, self.temperature).exp() for seen in (student, teacher))
        return [ours], [theirs]
