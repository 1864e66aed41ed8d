"""What teacher, student and student alone say of a split: logits and embeddings, kept for the next question."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kdcore.beside import CHUNK, Sides
from kdcore.dataset import Split
from kdcore.network import Network

if TYPE_CHECKING:
    from kdcore.revive import Revived

NAMES = {"teacher": "Teacher", "student": "Student", "baseline": "Student alone"}
KEPT = 24
"""Outputs kept: over the epochs of a student, its teacher and the student alone stay as they are."""


@dataclass(frozen=True)
class Outputs:
    """Of one network: logits (N, C) and embeddings (N, D), on the CPU."""

    logits: Tensor
    embedding: Tensor


_KEPT: OrderedDict[tuple[object, ...], Outputs] = OrderedDict()


def outputs(who: Sides, split: Split) -> dict[str, Outputs]:
    """part -> what it says of all the split's inputs, each of those that it is shown. Nothing else is kept of them."""
    theirs = split.images if split.partner is None else split.partner
    return {
        part: _outputs(who.revived, view, theirs if part == "teacher" else split.images)
        for part, view in who.views().items()
    }


def some(split: Split, count: int) -> Split:
    """At most `count` rows, evenly spread over the split."""
    if len(split) <= count:
        return split
    return split.of(torch.linspace(0, len(split) - 1, count, dtype=torch.float64).round().long())


def _outputs(revived: Revived, view: str, images: Tensor) -> Outputs:
    role, _, exit_number = view.partition(":")
    network = revived.networks[role]
    key = (view, _weights(network), tuple(images.shape), float(images.double().sum()), float(images.double().norm()))
    if key in _KEPT:
        _KEPT.move_to_end(key)
        return _KEPT[key]
    logits, embeddings = [], []
    with torch.no_grad():
        for chunk in images.split(CHUNK):
            seen = network.look(chunk)
            seen = seen.exits[int(exit_number)] if exit_number else seen
            logits.append(seen.logits.float().cpu())
            embeddings.append(seen.embedding.flatten(1).float().cpu())
    _KEPT[key] = Outputs(torch.cat(logits), torch.cat(embeddings))
    while len(_KEPT) > KEPT:
        _KEPT.popitem(last=False)
    return _KEPT[key]


def _weights(network: Network) -> str:
    """Some letters that change with any weight, and with the kind of network."""
    digest = hashlib.blake2b(repr(network).encode(), digest_size=16)
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
