"""What a frozen teacher says of every training picture, kept so that it looks at each only once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import torch
from torch import Tensor, nn

from kdcore.dataset import Split
from kdcore.looking import PARTS, with_parts
from kdcore.stage import Stage
from kdcore.vocabulary import Seen

MEMORY = 2**30
"""Bytes that a frozen teacher's kept outputs may take; above that the teacher looks at every batch again."""
SHARED = 2**26
"""Bytes up to which a process keeps a memory for its next run: a grid's runs mostly have one teacher."""
_shared: OrderedDict[tuple[bytes, tuple[str, ...]], tuple[Tensor, TeacherMemory]] = OrderedDict()


def remembered(stage: Stage, role: str, split: Split, reads: set[str]) -> TeacherMemory:
    """A teacher's memory, made now or for an earlier run of this process: same weights, same pictures, same fields."""
    if any(part in reads for part in PARTS):
        return TeacherMemory(stage, role, split, reads)  # its parts are those of this run's own network
    images = stage.eyes(role, split)
    key = (_digest(stage.cast[role]), tuple(sorted(reads)))
    if key in _shared and _shared[key][0] is images:
        _shared.move_to_end(key)
        return _shared[key][1]
    found = TeacherMemory(stage, role, split, reads)
    if found.bytes() <= SHARED:
        _shared[key] = images, found
        while len(_shared) > 2:
            _shared.popitem(last=False)
    return found


def _digest(network: nn.Module) -> bytes:
    """What the network is and holds."""
    found = hashlib.sha256(repr(network).encode())
    for name, tensor in network.state_dict().items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.digest()


class TeacherMemory:
    """What a frozen teacher makes of every training picture, computed once: the largest saving there is here.

    Only the fields that the methods read are kept; the others come back empty.
    """

    def __init__(self, stage: Stage, role: str, split: Split, reads: set[str]) -> None:
        images, network = stage.eyes(role, split), stage.cast[role]
        network.eval()
        pieces: list[Seen] = []
        with torch.no_grad():
            for start in range(0, len(split), 512):
                seen = network.look(images[start : start + 512])
                keep = "maps" in reads, "preacts" in reads, "embedding" in reads
                pieces.append(
                    Seen(
                        seen.logits,
                        seen.maps if keep[0] else tuple(features.new_empty(0) for features in seen.maps),
                        seen.preacts if keep[1] else tuple(features.new_empty(0) for features in seen.preacts),
                        seen.embedding if keep[2] else seen.embedding.new_empty(0),
                    )
                )
        self.logits = torch.cat([piece.logits for piece in pieces])
        self.embedding = torch.cat([piece.embedding for piece in pieces])
        # Contiguous: rows of maps with their channels last are taken nine times slower.
        self.maps = tuple(torch.cat(one).contiguous() for one in zip(*(piece.maps for piece in pieces), strict=True))
        self.preacts = tuple(
            torch.cat(one).contiguous() for one in zip(*(piece.preacts for piece in pieces), strict=True)
        )
        parts = with_parts(network, pieces[0], reads, still=True)
        self.classifier, self.parameters = parts.classifier, parts.parameters

    def at(self, places: Tensor) -> Seen:
        """What the teacher saw at these rows of the split."""

        def rows(kept: Tensor) -> Tensor:
            return kept.index_select(0, places) if len(kept) else kept

        return Seen(
            rows(self.logits), tuple(map(rows, self.maps)), tuple(map(rows, self.preacts)), rows(self.embedding),
            classifier=self.classifier, parameters=self.parameters,
        )  # fmt: skip

    def bytes(self) -> int:
        """What it takes."""
        kept = (self.logits, self.embedding, *self.maps, *self.preacts)
        return sum(tensor.numel() * tensor.element_size() for tensor in kept)

    @staticmethod
    def size(seen: Seen, reads: set[str], pictures: int) -> int:
        """Bytes that it would take for so many pictures, from what was seen of one batch."""
        kept = [seen.logits, *([seen.embedding] if "embedding" in reads else [])]
        kept += list(seen.maps) if "maps" in reads else []
        kept += list(seen.preacts) if "preacts" in reads else []
        return sum(tensor[0].numel() * tensor.element_size() for tensor in kept) * pictures
