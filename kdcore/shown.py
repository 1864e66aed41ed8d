"""What the tensors of a method's view are, so that a chart can draw each as what it is. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["channels", "plane", "pixels", "matrix", "images", "angles", "classes", "numbers", "weights"]


@dataclass(frozen=True)
class Shown:
    """One tensor of a view. A method names those of its view in the class attribute `shows`, over and over again.

    The kinds, N images:
        channels  (N, c, h, w), a plane for each channel of each image
        plane     (N, h, w), one plane for each image
        pixels    (N, *shape), a number for each number of the input
        matrix    (N, a, b), one matrix for each image
        images    (N, N), all images with all
        angles    (N, N, N), all images with all, as seen from each
        classes   (N, C), a number for each class
        numbers   (N, D), so many numbers for each image
        weights   the network's own, whatever the images
    """

    kind: Kind
    name: str
    """What it is called: "attention map"."""
    value: str
    """What its numbers are, with their unit: "share of the energy"."""
    rows: str = ""
    """What the rows of a matrix are, or what the D numbers are."""
    columns: str = ""
    names: tuple[str, ...] = ()
    """Of the numbers, where each has one."""
    of: Literal["pair", "next", "whole"] = "pair"
    """Of which layers: of a matched pair, of a pair and the next, or of all together."""
    untaught: bool = False
    """Whether it is made without the method's learned parts, so that it means the same for any network."""


def guessed(shape: tuple[int, ...], images: int, classes: int) -> Shown:
    """What a tensor probably is that its method has not named, by its shape for so many images."""
    if len(shape) == 4:
        return Shown("channels", "maps", "activation")
    if len(shape) == 3 and shape[1] == shape[2] == images:
        return Shown("angles", "relations", "value")
    if len(shape) == 3:
        return Shown("matrix", "matrix", "value", "row", "column")
    if len(shape) == 2 and shape[1] == classes:
        return Shown("classes", "answers", "value")
    if len(shape) == 2 and shape[1] == images:
        return Shown("images", "relations", "value")
    return Shown("numbers", "numbers", "value", "number")
