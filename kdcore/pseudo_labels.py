"""What a teacher says of pictures without a label, taken as their label; and how far that can be trusted."""

from __future__ import annotations

from dataclasses import replace

import numpy
import torch
from torch import Tensor

from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.data import Data, Split
from kdcore.network import Network
from kdcore.schooling import eyes
from kdcore.scoring import logits_of


def unlabelled(split: Split) -> Tensor:
    """Rows of the pictures without a label; all rows where every label is known, for then labels are set aside."""
    rows = (split.labels < 0).nonzero().flatten()
    return rows if len(rows) else torch.arange(len(split), device=split.labels.device)


def sure(teacher: Network, split: Split, confidence: float) -> tuple[Tensor, Tensor]:
    """Rows of the pictures without a label on which the teacher is so sure, and what it says there, (K,) and (K,).

    Where it is that sure of fewer than a tenth, the surest tenth: a filter must leave something to learn from.
    """
    rows = unlabelled(split)
    likely, said = logits_of(teacher, eyes(split)[rows]).softmax(dim=1).max(dim=1)
    chosen = _chosen(likely, confidence)
    return rows[chosen], said[chosen]


def _chosen(likely: Tensor, confidence: float) -> Tensor:
    """Which probabilities, (N,), reach the confidence, or belong to the largest tenth."""
    tenth = likely.topk(max(1, len(likely) // 10)).values[-1]
    return likely >= torch.clamp(tenth, max=confidence)


def balanced(rows: Tensor, said: Tensor, classes: int) -> Tensor:
    """The rows with each class that was said standing equally often: as often as the median class, over and over.

    Rows come back sorted by class; of a class that was said more often, only its first ones are taken.
    """
    counts = torch.bincount(said, minlength=classes)
    wanted = int(counts[counts > 0].float().median().round())
    found = []
    for label in range(classes):
        own = rows[said == label]
        if len(own):
            found.append(own.repeat(-(-wanted // len(own)))[:wanted])
    return torch.cat(found)


def pseudo_labelled(teacher: Network, split: Split, confidence: float) -> Split:
    """The pictures on which the teacher is so sure, with what it says as their label."""
    rows, said = sure(teacher, split, confidence)
    return replace(split.of(rows), labels=said)


def trust(teacher: Network, name: str, data: Data, confidence: float) -> list[Answer]:
    """For each class, on which share of the pictures without a label the teacher is sure, and right where it is."""
    split = data.train
    rows = unlabelled(split)
    truth = split.truth[rows]
    likely, said = logits_of(teacher, eyes(split)[rows]).softmax(dim=1).max(dim=1)
    chosen = _chosen(likely, confidence)
    right = (said == truth) & chosen

    def per_class(hits: Tensor, of: Tensor) -> numpy.ndarray:
        return numpy.array(
            [
                float(hits[truth == label].sum()) / max(1, int(of[truth == label].sum()))
                for label in range(data.classes)
            ],
            dtype=numpy.float32,
        )

    who = f"the {name}" if name.isalpha() else name  # "generation 1" needs no article
    series = {
        "sure": per_class(chosen, torch.ones_like(chosen)),
        f"right where {who} is sure": per_class(right, chosen),
    }
    share = float(right.sum()) / max(1, int(chosen.sum()))
    return [
        Bars(
            "What the labels that the teacher gives are worth",
            f"{who[:1].upper()}{who[1:]} is sure of {int(chosen.sum())} of {len(rows)} pictures, right on "
            f"{100 * share:.1f} % of them.",
            series, list(data.class_names), "class", "share of its pictures", 0.0, 1.0,
            {"sure": "baseline", f"right where {who} is sure": "teacher"}, None, "",
        )
    ]  # fmt: skip
