"""How far two classifiers are apart, from their logits: fidelity, calibration, soft labels, neighbours.

All in float64. Fidelity after Stanton et al. 2021 (arXiv 2106.05945), calibration after Guo et al. 2017
(arXiv 1706.04599).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.answers.calibration import COLDEST, HOTTEST


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """Whether both name the same class, from logits (N, C) each: (N,) bool."""
    return first.argmax(dim=1) == second.argmax(dim=1)


def divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """KL(teacher ‖ student) in nats of the untempered probabilities, from logits (N, C) each: (N,).

    The other way round it is the reverse KL: large where the student is sure of what the teacher rules out.
    """
    theirs, ours = F.log_softmax(teacher.double(), dim=1), F.log_softmax(student.double(), dim=1)
    return (theirs.exp() * (theirs - ours)).sum(dim=1).clamp(min=0.0)


def wins(teacher: Tensor, student: Tensor, truth: Tensor) -> Tensor:
    """How often both are right, the student alone of the two, the teacher alone of the two, neither: (4,) counts."""
    theirs, ours = teacher.argmax(dim=1) == truth, student.argmax(dim=1) == truth
    return torch.stack([(theirs & ours).sum(), (~theirs & ours).sum(), (theirs & ~ours).sum(), (~theirs & ~ours).sum()])


def soft_labels(logits: Tensor, temperature: float) -> Tensor:
    """softmax(z / T), (N, C)."""
    return torch.softmax(logits.double() / temperature, dim=1)


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """What two rows of shares (N, C) have in common, (N,) in [0, 1]: 1 less their total variation distance."""
    return torch.minimum(first, second).sum(dim=1)


def by_class(values: Tensor, truth: Tensor, classes: int) -> Tensor:
    """Mean of the rows of (N, K) over the inputs of each class: (classes, K), zeros for a class without inputs."""
    member = F.one_hot(truth, classes).to(values.dtype)
    return (member.T @ values) / member.sum(dim=0).clamp(min=1.0)[:, None]


def confusion(logits: Tensor, truth: Tensor) -> Tensor:
    """Share of each true class (rows) that is taken for each class (columns): (C, C), zeros without inputs."""
    classes = logits.shape[1]
    return by_class(F.one_hot(logits.argmax(dim=1), classes).double(), truth, classes)


@dataclass(frozen=True)
class Reliability:
    """Inputs sorted into equally wide bins of confidence, (lower, upper] each."""

    accuracy: Tensor
    """(M,) share that is right, 0 for an empty bin."""
    confidence: Tensor
    """(M,) mean confidence, 0 for an empty bin."""
    count: Tensor
    """(M,)."""

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance of accuracy and confidence, bins weighted by their inputs."""
        weight = self.count / self.count.sum().clamp(min=1.0)
        return float((weight * (self.accuracy - self.confidence).abs()).sum())


def shared_bins(first: Reliability, second: Reliability) -> float:
    """Share in [0, 1] of the inputs that two diagrams of the same inputs have in common: 1 is the same diagram.

    Of each bin, as many of those that were right as there are in both, and as many of those that were wrong.
    """
    right = torch.minimum(first.count * first.accuracy, second.count * second.accuracy)
    wrong = torch.minimum(first.count * (1.0 - first.accuracy), second.count * (1.0 - second.accuracy))
    return float((right + wrong).sum() / first.count.sum().clamp(min=1.0))


def reliability(confidence: Tensor, right: Tensor, *, bins: int) -> Reliability:
    """The bins of (N,) confidences in [0, 1], and whether each was right."""
    edges = torch.linspace(0.0, 1.0, bins + 1, dtype=torch.float64, device=confidence.device)[1:-1]
    member = F.one_hot(torch.bucketize(confidence.double(), edges), bins).double()
    count = member.sum(dim=0)
    shared = count.clamp(min=1.0)
    return Reliability(member.T @ right.double() / shared, member.T @ confidence.double() / shared, count)


def reliability_of(logits: Tensor, truth: Tensor, *, bins: int, temperature: float = 1.0) -> Reliability:
    """The bins of a classifier whose confidence is its greatest probability at that temperature."""
    confidence, said = soft_labels(logits, temperature).max(dim=1)
    return reliability(confidence, said == truth, bins=bins)


def brier(logits: Tensor, truth: Tensor, *, temperature: float = 1.0) -> float:
    """Squared distance of probabilities and the right answer, summed over classes, mean over inputs: 0 to 2."""
    right = F.one_hot(truth, logits.shape[1]).double()
    return float((soft_labels(logits, temperature) - right).square().sum(dim=1).mean())


def fit_temperature(logits: Tensor, truth: Tensor) -> float:
    """The temperature in [0.05, 20] with the smallest mean cross-entropy on these labels.

    The cross-entropy is convex in 1/T, so it has one valley in log T; where it rises there is halved until it is found.
    """
    logits = logits.double()
    logits = logits - logits.max(dim=1, keepdim=True).values
    right = logits.gather(1, truth[:, None]).mean()

    def rises(log_temperature: float) -> bool:
        weighed = torch.softmax(logits / math.exp(log_temperature), dim=1) * logits
        return bool(weighed.sum(dim=1).mean() <= right)

    low, high = math.log(COLDEST), math.log(HOTTEST)
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (low, middle) if rises(middle) else (middle, high)
    return math.exp((low + high) / 2)


def likeness(theirs: Tensor, ours: Tensor) -> float:
    """Correlation in [-1, 1] of two class-similarity matrices (C, C) off their diagonals, 0 where one is flat."""
    off = ~torch.eye(len(theirs), dtype=torch.bool, device=theirs.device)
    a, b = theirs[off] - theirs[off].mean(), ours[off] - ours[off].mean()
    return float((a @ b) / (a.norm() * b.norm()).clamp(min=1e-300))


def neighbours(embedding: Tensor, count: int) -> Tensor:
    """Whether each is among the nearest others of each row of (N, D), Euclidean: (N, N) bool, `count` in each row.

    Of equally near ones, the first.
    """
    distance = torch.cdist(embedding.double(), embedding.double())
    distance.fill_diagonal_(float("inf"))
    last = distance.kthvalue(count, dim=1, keepdim=True).values
    nearer, even = distance < last, distance == last
    return nearer | (even & (even.cumsum(dim=1) <= count - nearer.sum(dim=1, keepdim=True)))


def shared_neighbours(theirs: Tensor, ours: Tensor) -> float:
    """Share in [0, 1] of the nearest neighbours in one embedding that are nearest in the other, from `neighbours`."""
    return int((theirs & ours).sum()) / int(theirs.sum())


def principal_plane(embedding: Tensor) -> Tensor:
    """The rows of (N, D) in the plane of their two greatest variances: (N, 2); one feature gives a line."""
    centred = embedding.double() - embedding.double().mean(dim=0)
    left, sizes, _ = torch.linalg.svd(centred, full_matrices=False)
    plane = left[:, :2] * sizes[:2]
    return F.pad(plane, (0, 2 - plane.shape[1]))


def laid_over(theirs: Tensor, ours: Tensor) -> Tensor:
    """(N, 2) `ours`, turned, mirrored and shifted, never stretched, so that it lies on `theirs` as well as it can.

    Where a picture of an embedding points is arbitrary; this leaves only differences that are real.
    """
    target, moved = theirs - theirs.mean(dim=0), ours - ours.mean(dim=0)
    left, _, right = torch.linalg.svd(moved.T @ target)
    return moved @ (left @ right) + theirs.mean(dim=0)
