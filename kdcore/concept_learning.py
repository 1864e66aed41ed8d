"""How early and how stably concepts were learned, from answers over the snapshots of one network. No torch.

After Cheng et al. 2020 (arXiv 2003.03622).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from kdcore.answers.concepts import Concepts


@dataclass(frozen=True)
class Learning:
    """Concepts of one network over K of its snapshots, M pictures."""

    epochs: numpy.ndarray
    """(K,)."""
    on: numpy.ndarray
    """(K,) concepts on the object, mean over the pictures."""
    beside: numpy.ndarray
    """(K,) concepts on the background."""
    share: numpy.ndarray
    """(K,) mean over the pictures of the share that is on the object, in [0, 1]; pictures without any left out."""
    path: numpy.ndarray
    """(K,) length of the way that the weights went until then, over the length of the weights at its beginning."""
    early: float
    """D_mean: how long that way was, mean over the pictures, when a picture had most concepts on the object."""
    spread: float
    """D_std: its standard deviation; small where all pictures' concepts come at the same time."""
    stability: float
    """Share in [0, 1] of the concepts on the object at any snapshot that are there at the last."""


def shared(theirs: Concepts, ours: Concepts) -> float:
    """Of the cells that are a concept for either network, the share in [0, 1] that are one for both.

    The mean over the pictures, those left out of which neither holds any; 0 where there is no other.
    """
    first, second = theirs.concept.astype(bool), ours.concept.astype(bool)
    both, either = (first & second).sum(axis=(1, 2)), (first | second).sum(axis=(1, 2))
    return float((both[either > 0] / either[either > 0]).mean()) if (either > 0).any() else 0.0


def learning(answers: Sequence[Concepts]) -> Learning:
    """From one network's answers in the order of training, on the same pictures. Raises ValueError for none."""
    if not answers:
        raise ValueError("answers is empty; one or more are needed")
    counts = numpy.stack([answer.counts for answer in answers]).astype(float)  # (K, M, 2)
    weights = numpy.stack([answer.weights for answer in answers]).astype(float)
    steps = numpy.linalg.norm(numpy.diff(weights, axis=0), axis=1)
    path = numpy.concatenate([[0.0], numpy.cumsum(steps)]) / max(float(numpy.linalg.norm(weights[0])), 1e-12)
    best = path[counts[:, :, 0].argmax(axis=0)]
    there = numpy.stack([answer.concept.astype(bool) & answer.inside.astype(bool) for answer in answers])
    ever = there.any(axis=0).sum()
    whole = counts.sum(axis=2)
    with numpy.errstate(invalid="ignore"):
        shares = counts[:, :, 0] / whole
    share = [
        float(line[total > 0].mean()) if (total > 0).any() else 0.0 for line, total in zip(shares, whole, strict=True)
    ]
    return Learning(
        epochs=numpy.array([answer.epoch for answer in answers]),
        on=counts[:, :, 0].mean(axis=1),
        beside=counts[:, :, 1].mean(axis=1),
        share=numpy.array(share),
        path=path,
        early=float(best.mean()),
        spread=float(best.std()),
        stability=float(there[-1].sum() / ever) if ever else 1.0,
    )
