"""Made pictures as they are shown: with what the teacher sees in them, and whether their generator has collapsed."""

from __future__ import annotations

from collections.abc import Callable

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.answer import Answer
from kdcore.answers.picture_grid import PictureGrid
from kdcore.data import Data
from kdcore.generation import Generator
from kdcore.network import Network
from kdcore.scheme import Between
from kdcore.scoring import logits_of

SHOWN = 24
"""Made pictures that are shown; the same noise or the same places each time, so that they can be seen to form."""
JUDGED = 240
"""Made pictures by which the shown ones' variety is judged."""
FEW = 0.25
"""Collapsed below this share of the way from one class to all, counted as the teacher's mean answer is spread."""
ALIKE = 0.1
"""Collapsed below this spread of a pixel over the pictures, or over those of a class, in standard deviations of the
pixels of real ones."""


def generated(maker: Generator, teacher: Network, between: Between) -> Callable[[], list[Answer]]:
    """Shows what a generator makes of noise that stays the same, with what the teacher says of it."""
    with between.seeded("shown noise"):
        noise = torch.randn(JUDGED, maker.noise).to(between.device())

    def shows() -> list[Answer]:
        was = maker.training
        maker.eval()
        with torch.no_grad():
            pictures = maker(noise)
        maker.train(was)
        logits = logits_of(teacher, pictures).float()
        says = "The generator has not learned yet." if maker.fresh() else variety(pictures, logits, between.data())
        return [grid("What the generator makes", says, pictures, logits, between.data())]

    return shows


def variety(pictures: Tensor, logits: Tensor, data: Data) -> str:
    """One sentence on how various pictures (N, *shape) are, and whether their generator has collapsed."""
    if few := collapsed(pictures, logits, logits.argmax(dim=1), data):
        return f"The generator has collapsed: {few}"
    return (
        f"The teacher's answers are spread as if over {classes_seen(logits):.1f} of {data.classes} classes; from "
        f"picture to picture a pixel varies by {spread(pictures):.2f} standard deviations of real ones."
    )


def collapsed(pictures: Tensor, logits: Tensor, classes: Tensor, data: Data) -> str:
    """How pictures (N, *shape) are of few classes, all the same one, or one for each of their `classes` (N,).

    "" where they are various. `logits` (N, C) are the teacher's.
    """
    count = classes_seen(logits)
    if count < 1.0 + FEW * (data.classes - 1):
        mean = F.softmax(logits, dim=1).mean(dim=0)
        most = int(mean.argmax())
        return (
            f"{100 * float(mean[most]):.0f} % of the teacher's answers are {data.class_names[most]}, as if there were "
            f"{count:.1f} of {data.classes} classes."
        )
    far = spread(pictures)
    if far < ALIKE:
        return f"its pictures are almost the same, their pixels differ by {far:.2f} standard deviations of real ones."
    groups = [group for one in classes.unique() if len(group := pictures[classes == one]) > 1]
    if not groups:
        return ""
    far = sum(len(group) * spread(group) for group in groups) / sum(map(len, groups))
    if far < ALIKE:
        return (
            f"it makes one picture for each class, within a class pixels differ by {far:.2f} standard deviations of "
            "real ones."
        )
    return ""


def classes_seen(logits: Tensor) -> float:
    """As if over how many classes the teacher's mean answer is spread: 1 for one of them, C for all alike."""
    return float(torch.exp(torch.special.entr(F.softmax(logits, dim=1).mean(dim=0)).sum()))


def spread(pictures: Tensor) -> float:
    """How much a pixel varies over the pictures (N, *shape), in standard deviations of the pixels of real ones."""
    return float(pictures.std(dim=0).mean())


def grid(title: str, says: str, pictures: Tensor, logits: Tensor, data: Data) -> PictureGrid:
    """The first of these pictures (N, *shape), each with the class that the teacher sees in it."""
    pixels = data.pixels(pictures[:SHOWN]).permute(0, 2, 3, 1)
    sure, said = F.softmax(logits[:SHOWN], dim=1).max(dim=1)
    return PictureGrid(
        title, says, numpy.rint(pixels.cpu().numpy() * 255).astype(numpy.uint8),
        [data.class_names[one] for one in said.tolist()], sure.float().cpu().numpy(),
        names_say="class that the teacher sees", shares_say="how sure the teacher is",
    )  # fmt: skip
