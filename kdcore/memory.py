"""What a frozen teacher says of every training picture, kept so that it looks at each only once."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.dataset import Split
from kdcore.looking import with_parts
from kdcore.stage import Stage
from kdcore.vocabulary import Seen

MEMORY = 2**30
"""Bytes that a frozen teacher's kept outputs may take; above that the teacher looks at every batch again."""


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

    @staticmethod
    def size(seen: Seen, reads: set[str], pictures: int) -> int:
        """Bytes that it would take for so many pictures, from what was seen of one batch."""
        kept = [seen.logits, *([seen.embedding] if "embedding" in reads else [])]
        kept += list(seen.maps) if "maps" in reads else []
        kept += list(seen.preacts) if "preacts" in reads else []
        return sum(tensor[0].numel() * tensor.element_size() for tensor in kept) * pictures
