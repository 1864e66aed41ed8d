"""Fisher information of a softmax, which says how much each logit or feature matters to what a network says."""

from __future__ import annotations

from torch import Tensor

from kdcore.response import at_least_float
from kdcore.vocabulary import Classifier, Seen


def class_weights(logits: Tensor) -> Tensor:
    """p (1 - p), the diagonal of the Fisher information of the logits, (N, C) -> (N, C)."""
    chances = at_least_float(logits).softmax(dim=1)
    return chances * (1 - chances)


def feature_weights(logits: Tensor, weight: Tensor) -> Tensor:
    """The variance of each feature's column of `weight` over the classes, (N, C) and (C, D) -> (N, D).

    It is the diagonal of the Fisher information of features that a linear classifier reads. Centred before it is
    squared: the difference of two large squares would lose it.
    """
    chances, weight = at_least_float(logits).softmax(dim=1), at_least_float(weight)
    middle = weight.mean(dim=0)
    weight = weight - middle
    return (chances @ weight.square() - (chances @ weight).square()).clamp(min=0.0)


def curvature(logits: Tensor, change: Tensor) -> Tensor:
    """The whole quadratic form: variance of the change over the classes, (N, C) x (N, C) -> (N,).

    Twice the KL divergence that a small change of the logits makes.
    """
    chances = at_least_float(logits).softmax(dim=1)
    change = change - (chances * change).sum(dim=1, keepdim=True)
    return (chances * change.square()).sum(dim=1)


def mean_one(weights: Tensor) -> Tensor:
    """Each image's weights with a mean of one, (N, k) -> (N, k); all one where they have vanished."""
    mean = weights.mean(dim=1, keepdim=True)
    there = mean > 1e-12
    return (weights / mean.where(there, 1.0)).where(there, 1.0)


def linear_classifier(seen: Seen, *, whose: str) -> Classifier:
    """The classifier that was seen. Raises ValueError where there is none."""
    if seen.classifier is None:
        raise ValueError(
            f"the {whose} has no linear classifier on its embedding (it pools after classifying, or ends otherwise); "
            f"a {whose} such as plain, resnet or mlp has one"
        )
    return seen.classifier
