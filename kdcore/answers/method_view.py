"""What a distillation method compares, of teacher, student and student alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class MethodView(Answer):
    """The tensors that one method of a run lays side by side, each as what it is."""

    method: str
    """Its name in the run."""
    methods: dict[str, str]
    """name -> title of the run's methods that can be shown."""
    without: dict[str, str]
    """title -> why the others cannot be."""
    parts: list[str]
    """What it compares, one after the other: "attention map, stage 1 ↔ stage 2"."""
    drawn: list[dict[str, Any]]
    """Of those drawn {"part": place in `parts`, "kind": plane|channels|matrix|images|classes|numbers, "name", "layers",
    "value", "rows", "columns", "names", "note", "channels"}."""
    values: dict[str, numpy.ndarray]
    """"0/teacher", "0/student", "0/baseline" -> float32 of one shape: (h, w), (K, h, w), (a, b), (N, N), (C,), (D,)."""
    distance: dict[str, list[float]]
    """student|baseline -> for each of `parts` the length of the difference in lengths of the teacher's."""
    labels: list[int]
    """N classes of the inputs that are compared with one another, in the order of rows and columns; -1 for none."""
    class_names: list[str]
    picture: numpy.ndarray
    """(h, w, 1 or 3) in [0, 1], (0, 0, 1) for a point."""
    picture_says: str
    inputs: str
    """What the inputs are called: pictures or points."""
