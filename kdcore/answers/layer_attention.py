"""Attention over layers beside the similarity of the same layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from kdcore.answer import Answer


@dataclass(frozen=True)
class LayerAttention(Answer):
    """How a method shares out its attention between S layers of the student and T layers of the teacher."""

    method: str
    """Key of the method."""
    attends: str
    """student: each row of S shares out 1 over the teacher's layers; teacher: each column, over the student's."""
    rows: list[str]
    """Names of the S layers of the student."""
    columns: list[str]
    """Names of the T layers of the teacher."""
    student_layers: list[int]
    """Their numbers among all layers of the student, counted from 0."""
    teacher_layers: list[int]
    count: int
    """Inputs behind the mean."""
    mean: numpy.ndarray
    """(S, T) float32, mean attention over inputs."""
    spread: numpy.ndarray
    """(S, T) float32, its standard deviation over inputs."""
    one: numpy.ndarray
    """(S, T) float32, the attention for the chosen input."""
    entropy: numpy.ndarray
    """(S,) or (T,) float32, mean over inputs of the entropy of each attending layer's attention, in nats."""
    entropy_spread: numpy.ndarray
    """Its standard deviation over inputs."""
    entropy_one: numpy.ndarray
    """The same for the chosen input."""
    similarity: numpy.ndarray
    """(S, T) float32."""
    similarity_alone: numpy.ndarray
    """(S, T) float32, the same of the layers of the student alone; (0, 0) where it has no such layers."""
    measure: str
    """What the similarity is: "linear CKA"."""
    correlation: float | None
    """Rank correlation of mean attention and similarity within each attending layer, in [-1, 1]; None for no ranks."""
    by_depth: list[list[int]]
    """[row, column] of each attending layer and the layer of like relative depth."""
    strongest: list[list[int]]
    """[row, column] of each attending layer and the layer that it attends to most on average."""
    number: int
    """Of the chosen input, counted from 0."""
    picture: numpy.ndarray
    """(h, w, 1 or 3) in [0, 1], the chosen input; (0, 0, 1) for inputs that are no pictures."""
    picture_says: str
    """What it is: "a 7"."""

    @property
    def even(self) -> float:
        """What an even share would be."""
        return 1.0 / self.mean.shape[1 if self.attends == "student" else 0]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """(student layer, teacher layer) of `strongest`, counted from 0 among all layers."""
        return [(self.student_layers[row], self.teacher_layers[column]) for row, column in self.strongest]
