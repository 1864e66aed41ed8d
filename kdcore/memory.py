"""What a frozen teacher says of every training picture, kept so that it looks at each only once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from kdcore.dataset import Split
from kdcore.fingerprint import weights_key
from kdcore.looking import PARTS, with_parts
from kdcore.network import Network, lots
from kdcore.scoring import logits_of
from kdcore.stage import Stage
from kdcore.vocabulary import Seen

MEMORY = 2**30
"""Bytes that a frozen teacher's kept outputs may take; above that they go to a file (`mapped`), or the teacher
looks at every batch again."""
SHARED = 2**26
"""Bytes up to which a process keeps a memory for its next run: the newest one, and older ones that together take no
more than that either."""
SCORED = 16
"""Networks of which a process keeps what they say of the same held-out pictures."""
Made = TypeVar("Made")
Empty = Callable[[Tensor, Sequence[int]], Tensor]
_shared: OrderedDict[tuple[object, ...], tuple[Tensor, Tensor, Any]] = OrderedDict()
_said: WeakIdKeyDictionary = WeakIdKeyDictionary()
"""Held-out pictures -> key of a network's weights -> its logits."""


class Rows:
    """What a network made of so many pictures, a row for each. Fields and layers that nothing reads come back empty.

    "maps" keeps the maps of all layers, "maps 1" those of the second; so with preacts. What is kept beside logits lies
    where `empty` (a tensor like it, shape) makes room, and raises what that raises. Contiguous: rows of maps with their
    channels last are taken nine times slower.
    """

    def __init__(self, like: Seen, reads: set[str], pictures: int, empty: Empty = Tensor.new_empty) -> None:
        def room(one: Tensor, *names: str) -> Tensor:
            return one.new_empty(0) if reads.isdisjoint(names) else empty(one, (pictures, *one.shape[1:]))

        self.logits = like.logits.new_empty((pictures, *like.logits.shape[1:]))
        self.maps = tuple(room(one, "maps", f"maps {layer}") for layer, one in enumerate(like.maps))
        self.preacts = tuple(room(one, "preacts", f"preacts {layer}") for layer, one in enumerate(like.preacts))
        self.embedding = room(like.embedding, "embedding")

    def put(self, places: Tensor, seen: Seen) -> None:
        """Keep what was seen of the pictures in these rows."""
        for kept, one in zip(fields_of(self), fields_of(seen), strict=True):
            if len(kept):
                kept.index_copy_(0, places, one)

    def at(self, places: Tensor) -> Seen:
        """What was seen of the pictures in these rows."""

        def rows(kept: Tensor) -> Tensor:
            return kept.index_select(0, places) if len(kept) else kept

        return Seen(
            rows(self.logits), tuple(map(rows, self.maps)), tuple(map(rows, self.preacts)), rows(self.embedding)
        )

    def bytes(self) -> int:
        """What it takes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in fields_of(self))


def size(seen: Seen, reads: set[str], pictures: int) -> int:
    """Bytes that the rows of so many pictures would take, from what was seen of a few."""
    return Rows(seen, reads, 1).bytes() * pictures


def fields_of(seen: Seen | Rows) -> Sequence[Tensor]:
    """What has a row for each picture: logits, embedding, maps, and what stood before their activation."""
    return seen.logits, seen.embedding, *seen.maps, *seen.preacts


def apart(kept: Seen, live: Seen) -> float:
    """How far what is kept lies from what is seen of the same pictures, as a share of how far pictures lie apart.

    Root mean squares, the worst of all fields that are kept; values that hardly differ between pictures count by a
    tenth of their size. About 1.2 where the pictures are others, and what rounding makes where they are the same.
    """
    found = []
    for one, other in zip(fields_of(kept), fields_of(live), strict=True):
        if len(one):
            ours, theirs = one.float(), other.float()
            spread = _size(theirs - theirs.mean(dim=0)) + 0.1 * _size(theirs)
            found.append(_size(ours - theirs) / spread.clamp(min=1e-12))
    return float(torch.stack(found).max())


def _size(values: Tensor) -> Tensor:
    return values.square().mean().sqrt()


class TeacherMemory(Rows):
    """What a frozen teacher makes of every training picture as it is, computed at once: the largest saving there is."""

    def __init__(self, stage: Stage, role: str, split: Split, reads: set[str]) -> None:
        images, network = stage.eyes(role, split), stage.cast[role]
        network.eval()
        pictures = lots(images)
        places = torch.arange(len(split), device=images.device).split(len(pictures[0]))
        with torch.no_grad():
            for number, (lot, rows) in enumerate(zip(pictures, places, strict=True)):
                seen = network.look(lot)
                if not number:
                    super().__init__(seen, reads, len(split))
                    parts = with_parts(network, seen, reads, still=True)
                self.put(rows, seen)
        self.classifier, self.parameters = parts.classifier, parts.parameters

    def at(self, places: Tensor) -> Seen:
        """What the teacher saw at these rows of the split, with what of its parts is read."""
        return replace(super().at(places), classifier=self.classifier, parameters=self.parameters)


def remembered(stage: Stage, role: str, split: Split, reads: set[str]) -> TeacherMemory:
    """A teacher's memory, made now or for an earlier run of this process: same weights, same pictures, same fields."""

    def make() -> TeacherMemory:
        return TeacherMemory(stage, role, split, reads)

    if any(part in reads for part in PARTS):
        return make()  # its parts are those of this run's own network
    key = ("as they are", weights_key(stage.cast[role]), *sorted(reads))
    return shared(key, stage.eyes(role, split), split.index, make, keep=lambda found: found.bytes() <= SHARED)


def shared(
    key: tuple[object, ...], images: Tensor, index: Tensor, make: Callable[[], Made],
    *, keep: Callable[[Made], bool] = lambda found: True,
) -> Made:  # fmt: skip
    """What an earlier run of this process made of these very pictures under this key; made now where none has."""
    there = _shared.get(key)
    if there is not None and there[0] is images and there[1] is index:
        _shared.move_to_end(key)
        return there[2]  # type: ignore[no-any-return]
    found = make()
    if keep(found):
        _shared[key] = images, index, found
        _shared.move_to_end(key)
        _make_room()
    return found


def _make_room() -> None:
    """Lets go of the oldest until all but the newest fit, with pictures that the newest is not of."""
    newest, *older = reversed(_shared)
    pictures, total = {id(_shared[newest][0])}, 0
    for key in older:
        images, _, found = _shared[key]
        total += _bytes(found) + (0 if id(images) in pictures else images.nbytes)
        pictures.add(id(images))
        if total > SHARED:
            del _shared[key]


def _bytes(found: Any) -> int:
    """What a memory takes: rows, or rows for each view."""
    return sum(map(_bytes, found.values())) if isinstance(found, dict) else int(found.bytes())


def kept_logits(network: Network, images: Tensor) -> Tensor:
    """`scoring.logits_of`, or what an earlier run of this process got by it: same weights, same pictures, (N, C)."""
    kept: OrderedDict[str, Tensor] = _said.setdefault(images, OrderedDict())
    key = weights_key(network)
    if key not in kept:
        kept[key] = logits_of(network, images)
    kept.move_to_end(key)
    while len(kept) > SCORED:
        kept.popitem(last=False)
    return kept[key]


def forget() -> None:
    """Let go of everything that is kept for the next run of this process."""
    _shared.clear()
    _said.clear()
