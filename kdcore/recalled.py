"""What was computed of networks and inputs, kept for the next question: over a film the teacher stays as it is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from kdcore.fingerprint import tensor_key, weights_key

if TYPE_CHECKING:
    from kdcore.revive import Revived

ROOM = 256 * 2**20
"""Bytes that one process keeps."""

Value = TypeVar("Value")
Key = tuple[object, ...]


class Recalled:
    """Keeps values under all that they were computed from; what was not asked for the longest time goes first.

    Whoever is given a value changes nothing in it.
    """

    def __init__(self, room: int = ROOM) -> None:
        """`room` in bytes; what is larger than half of it is not kept."""
        self._room, self._held = room, 0
        self._kept: OrderedDict[Key, tuple[Any, int]] = OrderedDict()

    def __call__(self, key: Key, make: Callable[[], Value]) -> Value:
        """What is kept under the key, or what `make` gives."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        value = make()
        size = size_of(value)
        if size > self._room // 2:
            return value
        self._kept[key] = (value, size)
        self._held += size
        while self._held > self._room:
            _, (_, freed) = self._kept.popitem(last=False)
            self._held -= freed
        return value

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def forget(self) -> None:
        """Keeps nothing any more."""
        self._kept.clear()
        self._held = 0


recalled = Recalled()
"""Of this process."""


def network_key(revived: Revived, view: str) -> Key:
    """Under what that is kept which a view ("role" or "role:exit") of a run makes of something: its weights, to the
    last bit, and what else it is.
    """
    network = revived.networks[view.partition(":")[0]]
    return revived.recipe.to_text(), view, str(network.settings()), weights_key(network)


def tensors_key(*tensors: Tensor) -> str:
    """Some letters that change with any number in these tensors, their shapes, kinds or devices."""
    return " ".join(_read(one) for one in tensors)


def _read(tensor: Tensor) -> str:
    """Its key. Read once, as long as nothing is written into it."""
    version = -1 if tensor.is_inference() else tensor._version
    known = _READ.get(tensor)
    if known is not None and known[0] == version:
        return known[1]
    key = tensor_key(tensor)
    _READ[tensor] = version, key
    return key


_READ: WeakIdKeyDictionary = WeakIdKeyDictionary()
"""Tensor -> (its version, its key)."""


def size_of(value: object) -> int:
    """Bytes that tensors and arrays in a value hold, about."""
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    if isinstance(value, numpy.ndarray):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(size_of(one) for one in value.values())
    if isinstance(value, list | tuple):
        return sum(size_of(one) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        return sum(size_of(getattr(value, entry.name)) for entry in fields(value))
    return 64
