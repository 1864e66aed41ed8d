"""What probes answer: typed plain arrays (numpy), kept as safetensors with a JSON header. No torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy
from safetensors.numpy import load, save


@dataclass(frozen=True)
class Answer:
    """One answer. `says` is one sentence on what to see, with its number; `title` names the picture."""

    title: str
    says: str

    kinds: ClassVar[dict[str, type[Answer]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Answer.kinds[cls.__name__] = cls

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


def answer_from_bytes(found: bytes) -> Answer:
    """The answer in such a file. Raises ValueError if it is none."""
    try:
        length = int.from_bytes(found[:8], "little")
        plain = json.loads(json.loads(found[8 : 8 + length])["__metadata__"]["answer"])
        arrays = load(found)
        kind = Answer.kinds[plain.pop("is")]
        values: dict[str, Any] = {}
        for entry in fields(kind):
            if entry.name in arrays:
                values[entry.name] = arrays[entry.name]
            elif isinstance(plain.get(entry.name), dict) and "arrays" in plain[entry.name]:
                names = plain[entry.name]["arrays"]
                values[entry.name] = {name: arrays[f"{entry.name}/{number}"] for number, name in enumerate(names)}
            else:
                values[entry.name] = plain[entry.name]
        return kind(**values)
    except Exception as error:
        raise ValueError(f"this is no answer of a probe: {error}") from error


@dataclass(frozen=True)
class Matrix(Answer):
    """A heat map per panel: rows x columns, with names."""

    panels: dict[str, numpy.ndarray]
    """title -> (R, K) float32; panels may differ in size only if rows/columns are given per panel."""
    rows: list[str]
    columns: list[str]
    row_axis: str
    column_axis: str
    value_axis: str
    """What the colour means, with its unit."""
    low: float
    high: float
    spread: dict[str, numpy.ndarray]
    """title -> (R, K) float32, the standard deviation behind each value, or nothing."""
    centre: dict[str, float]
    """title -> the value of no effect, where colours turn; without, they go from low to high."""


@dataclass(frozen=True)
class Bars(Answer):
    """Grouped bars: one group of bars per category, one bar per series."""

    series: dict[str, numpy.ndarray]
    """name -> (K,) float32."""
    categories: list[str]
    category_axis: str
    value_axis: str
    low: float
    high: float
    parts: dict[str, str]
    """name -> teacher|student|baseline, whose colour it has."""
    reference: float | None
    """A value worth a line, or None."""
    reference_says: str


@dataclass(frozen=True)
class MapGrid(Answer):
    """Feature maps beside one another: named rows of small pictures that share a scale."""

    picture: numpy.ndarray
    """(h, w, 1 or 3) pixels in [0, 1]."""
    picture_says: str
    looks: dict[str, numpy.ndarray]
    """part -> (h, w) float32: mean squared activation of each place, the sum being 1: where that network looks."""
    rows: dict[str, numpy.ndarray]
    """title -> (K, h, w) float32, K maps."""
    parts: dict[str, str]
    """title -> teacher|student|baseline|difference."""
    notes: dict[str, str]
    """title -> what stands under it: layer and shape."""
    scales: dict[str, list[float]]
    """title -> [low, high] of its colours; rows of the same unit have the same."""
    channels: dict[str, list[int]]
    """title -> which of the layer's channels are shown."""
    diverging: list[str]
    """Rows whose colours are centred on zero."""


@dataclass(frozen=True)
class Plane(Answer):
    """A two-dimensional input plane per network: decision regions and the zero lines of a layer's neurons."""

    x: numpy.ndarray
    """(W,) input coordinate."""
    y: numpy.ndarray
    """(H,)."""
    decisions: dict[str, numpy.ndarray]
    """part -> (H, W) int16: the predicted class."""
    lines: dict[str, numpy.ndarray]
    """part -> (P, 2) float32: the zero lines of the chosen layer's neurons, a NaN row after each line."""
    disagreement: dict[str, numpy.ndarray]
    """part -> (H, W) int16: 1 where it decides otherwise than the teacher."""
    agreement: dict[str, float]
    """part -> share in [0, 1] of the test points on which it decides as the teacher does."""
    points: numpy.ndarray
    """(N, 2) test points."""
    labels: numpy.ndarray
    """(N,) int16."""
    class_names: list[str]
    layers: dict[str, str]
    """part -> the layer drawn and how many neurons it has."""
    x_axis: str
    y_axis: str
