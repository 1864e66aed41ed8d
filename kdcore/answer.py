"""What probes answer: typed plain arrays (numpy), kept as safetensors with a JSON header. No torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import numpy
from safetensors.numpy import load, save

from kdcore.registry import discover


@dataclass(frozen=True)
class Answer:
    """One answer. `says` is one sentence on what to see, with its number; `title` names the picture."""

    title: str
    says: str
    nearness: dict[str, float] = field(default_factory=dict, kw_only=True)
    """student|baseline -> how near it is to the teacher in what is shown: 1 is the same, 0 nothing in common. Empty
    where that is not the question."""
    nearness_of: str = field(default="", kw_only=True)
    """What that is a share or a likeness of."""

    def to_bytes(self) -> bytes:
        """Safetensors: arrays as tensors, everything else as JSON in the header."""
        plain: dict[str, Any] = {"is": type(self).__name__}
        arrays: dict[str, numpy.ndarray] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, numpy.ndarray):
                arrays[entry.name] = numpy.ascontiguousarray(value)
            elif isinstance(value, dict) and value and all(isinstance(item, numpy.ndarray) for item in value.values()):
                plain[entry.name] = {"arrays": list(value)}
                for number, item in enumerate(value.values()):
                    arrays[f"{entry.name}/{number}"] = numpy.ascontiguousarray(item)
            else:
                plain[entry.name] = value
        return save(arrays or {"none": numpy.zeros(1, dtype=numpy.float32)}, metadata={"answer": json.dumps(plain)})


@lru_cache(maxsize=1)
def kinds() -> dict[str, type[Answer]]:
    """Every kind of answer by its name: each file in kdcore/answers holds one."""
    import kdcore.answers as folder

    return {kind.__name__: kind for kind in discover(folder, Answer).values()}


def answer_from_bytes(found: bytes) -> Answer:
    """The answer in such a file. Raises ValueError if it is none."""
    try:
        length = int.from_bytes(found[:8], "little")
        plain = json.loads(json.loads(found[8 : 8 + length])["__metadata__"]["answer"])
        arrays = load(found)
        kind = kinds()[plain.pop("is")]
        values: dict[str, Any] = {}
        for entry in fields(kind):
            if entry.name in arrays:
                values[entry.name] = arrays[entry.name]
            elif isinstance(plain.get(entry.name), dict) and "arrays" in plain[entry.name]:
                names = plain[entry.name]["arrays"]
                values[entry.name] = {name: arrays[f"{entry.name}/{number}"] for number, name in enumerate(names)}
            elif entry.name in plain or entry.name not in ("nearness", "nearness_of"):  # kept before there were these
                values[entry.name] = plain[entry.name]
        return kind(**values)
    except Exception as error:
        raise ValueError(f"this is no answer of a probe: {error}") from error
