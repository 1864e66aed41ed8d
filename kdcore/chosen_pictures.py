"""Which validation pictures a line or a plane goes through: those that were asked for, or one of each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy
import torch
from torch import Tensor

from kdcore.dataset import Data
from kdcore.probe import ProbeError

WORDS = {2: "two", 3: "three"}


def choose_pictures(data: Data, asked: Sequence[int]) -> list[int]:
    """Places in the validation split, each once: what was asked for, and for each -1 the first picture of a class that
    is not among them yet, or of any where there are too few classes.

    Raises ProbeError where pictures, classes or places are too few or stand twice.
    """
    truth = data.validation.truth.tolist()
    count = WORDS[len(asked)]
    if len(truth) < len(asked):
        raise ProbeError(f"there are {len(truth)} validation pictures; {count} different ones are needed")
    if len(set(truth)) < 2:
        raise ProbeError(
            f"all {len(truth):,} validation pictures are of one class, {data.class_names[truth[0]]}: between them no "
            "network has a boundary to draw; two classes or more are needed"
        )
    given = [place for place in asked if place >= 0]
    for place in given:
        if place >= len(truth):
            raise ProbeError(f"picture {place}: there are validation pictures 0 to {len(truth) - 1}")
    if len(set(given)) < len(given):
        raise ProbeError(f"pictures {', '.join(map(str, given))}: one stands twice; {count} different ones are needed")
    chosen = list(given)
    found = []
    for place in asked:
        if place < 0:
            used = {truth[other] for other in chosen}
            free = [other for other in range(len(truth)) if other not in chosen]
            place = next((other for other in free if truth[other] not in used), free[0])
            chosen.append(place)
        found.append(place)
    return found


def as_pixels(data: Data, places: Sequence[int]) -> numpy.ndarray:
    """These validation pictures, (K, h, w, 1 or 3) uint8; of other channels their mean."""
    shown = data.pixels(data.validation.images[list(places)])
    if shown.shape[1] not in (1, 3):
        shown = shown.mean(dim=1, keepdim=True)
    return (shown.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).cpu().numpy()


def sides_images(data: Data, places: Sequence[int], part: str) -> Tensor:
    """What that network is shown of them, (K, c, h, w): a teacher with eyes of its own sees its own scenes."""
    split = data.validation
    images = split.partner if part == "teacher" and split.partner is not None else split.images
    return images[list(places)]
