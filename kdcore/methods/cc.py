"""Correlation congruence: images resemble each other as they do to the teacher."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kdcore.geometry import gram, unit
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def resemblance(embedding: Tensor, *, gamma: float, order: int) -> Tensor:
    """Gaussian kernel between the directions of all images, expanded to that order, (N, D) -> (N, N).

    exp(-2 gamma) times the sum of (2 gamma)^p / p! (x . y)^p up to p = order. In float32 at least.
    """
    cosines = gram(unit(at_least_float(embedding)))
    powers = [(2.0 * gamma) ** power / math.factorial(power) * cosines.pow(power) for power in range(1, order + 1)]
    return math.exp(-2.0 * gamma) * (1.0 + torch.stack(powers).sum(dim=0))


def neighbours(student: Tensor, teacher: Tensor) -> Tensor:
    """Products of the absolute errors of images that follow each other, (N, D) x (N, D) -> (N,).

    The product of two neighbours is shared evenly between them; the mean over N is that over the N-1 pairs.
    """
    errors = (student - teacher).abs()
    products = (errors[:-1] * errors[1:]).sum(dim=1)
    none = errors.new_zeros(1)
    shared = 0.5 * (torch.cat([products, none]) + torch.cat([none, products]))
    return shared * (len(errors) / max(1, len(errors) - 1))


class CorrelationCongruence(Method):
    """Let images resemble each other as they do to the teacher, not only look right one by one.

    A Gaussian kernel, cut off after a few orders, sees more than the angle between two images: higher orders tell near
    from nearer.
    """

    title = "Correlation congruence (CC)"
    family = "relation"
    formula = (
        r"\frac{1}{N^2} \left\Vert K_S - K_T \right\Vert_F^2, "
        r"\quad K_{ij} = e^{-2\gamma} \sum_{p=0}^{P} \frac{(2\gamma)^p}{p!} \left(f_i^\top f_j\right)^p"
    )
    paper = Paper(
        "Peng, Jin, Liu, Zhou, Wu, Liu, Li, Zhang, Liu",
        2019,
        "https://arxiv.org/abs/1904.01802",
        "Correlation Congruence for Knowledge Distillation",
    )
    provenance = (
        "paper and benchmark code (KD-Zoo) for variant gauss; for variant pairs the authors' snippet in RepDistiller. "
        "Our decision: the teacher's embedding stays as it is; trained along, as in the sources, both could shrink to "
        "one point. Variant pairs gets a learned linear map from the student's features to the teacher's"
    )
    convention = (
        "Mean over all pairs of a batch (gauss, in KD-Zoo with weight 100). Variant pairs, the mean of products of "
        "neighbours' errors, is another loss: weight 0.02 in RepDistiller. torchdistill takes the norm, not its square."
        " Here 10 for gauss, by measurement: on small pictures its gradient is then 0.2 to 1.2 times cross-entropy's."
    )
    pitfalls = (
        "Random batches with many classes hold few images of one class; the paper draws batches class by class.",
        "Variant pairs depends on the order of the batch, and is silent on a batch of one.",
        "Variant pairs needs another weight, about 0.05 where gauss has 10: at 10 it drowns cross-entropy.",
    )
    weight = 10.0
    rests = True
    reads = ("embedding",)
    variant: str = knob("gauss", choices=("gauss", "pairs"), help="The paper's kernel, or the code passed on for it.")
    gamma: float = knob(0.4, 0.01, 10.0, help="Sharpness of the Gaussian kernel.", scale="log")
    order: int = knob(2, 1, 8, help="Highest order of the kernel's expansion.")

    @property
    def shows(self) -> tuple[Shown, ...]:  # type: ignore[override]
        """What the view is."""
        if self.variant == "pairs":
            return (Shown("numbers", "embedding", "activation", "feature"),)
        return (Shown("images", "how images resemble each other", "kernel"),)

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        ours, theirs = student.embedding.shape[1], teacher.embedding.shape[1]
        self.embed = nn.Identity() if self.variant == "gauss" or ours == theirs else nn.Linear(ours, theirs)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        return {"cc": (ours - theirs).square().mean(dim=1) if self.variant == "gauss" else neighbours(ours, theirs)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """How images resemble each other, (N, N), or with variant pairs the embeddings, (N, D)."""
        if self.variant == "pairs":
            return [at_least_float(self.embed(at_least_float(student.embedding)))], [at_least_float(teacher.embedding)]
        ours, theirs = (resemblance(seen.embedding, gamma=self.gamma, order=self.order) for seen in (student, teacher))
        return [ours], [theirs]
