"""What teacher, student and student alone say of a split: logits and embeddings, kept for the next question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from kdcore.beside import Sides
from kdcore.dataset import Split
from kdcore.network import lots
from kdcore.patience import Way
from kdcore.recalled import network_key, recalled, tensors_key
from kdcore.side_by_side import side_by_side

if TYPE_CHECKING:
    from kdcore.revive import Revived

NAMES = {"teacher": "Teacher", "student": "Student", "baseline": "Student alone"}


@dataclass(frozen=True)
class Outputs:
    """Of one network: logits (N, C) and embeddings (N, D), on the CPU."""

    logits: Tensor
    embedding: Tensor


def outputs(who: Sides, split: Split) -> dict[str, Outputs]:
    """part -> what it says of all the split's inputs, each of those that it is shown. Nothing else is kept of them."""
    theirs = split.images if split.partner is None else split.partner
    return {
        part: _outputs(who.revived, view, theirs if part == "teacher" else split.images)
        for part, view in who.views().items()
    }


def some(split: Split, count: int) -> Split:
    """At most `count` rows, evenly spread over the split: the same object each time, which is known by its key."""
    if len(split) <= count:
        return split
    parts = _SOME.setdefault(split, {})
    if count not in parts:
        parts[count] = split.of(torch.linspace(0, len(split) - 1, count, dtype=torch.float64).round().long())
    return parts[count]


_SOME: WeakIdKeyDictionary = WeakIdKeyDictionary()
"""Split -> {count: some of it}, as long as the split is there."""


def _outputs(revived: Revived, view: str, images: Tensor) -> Outputs:
    return recalled(
        ("outputs", *network_key(revived, view), tensors_key(images)), lambda: _said(revived, view, images)
    )  # fmt: skip


def _said(revived: Revived, view: str, images: Tensor) -> Outputs:
    role, _, exit_number = view.partition(":")
    network = revived.networks[role]
    chunks = lots(images)
    way = Way(len(chunks))

    def look(chunk: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            seen = network.look(chunk)
        seen = seen.exits[int(exit_number)] if exit_number else seen
        way.step()
        return seen.logits.float().cpu(), seen.embedding.flatten(1).float().cpu()

    logits, embeddings = zip(*side_by_side(look, chunks), strict=True)
    return Outputs(torch.cat(logits), torch.cat(embeddings))
