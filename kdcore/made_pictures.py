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
"""Collapsed below this spread of a pixel over the pictures, in standard deviations of the pixels of real ones."""


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
        fresh = int(maker.norm.num_batches_tracked or 0) == 0
        says = "The generator has not learned yet." if fresh else variety(pictures, logits, between.data())
        return [grid("What the generator makes", says, pictures, logits, between.data())]

    return shows


def variety(pictures: Tensor, logits: Tensor, data: Data) -> str:
    """One sentence on how various pictures (N, *shape) are, and whether their generator has collapsed."""
    mean = F.softmax(logits, dim=1).mean(dim=0)
    count = float(torch.exp(torch.special.entr(mean).sum()))
    spread = float(pictures.std(dim=0).mean())
    if count < 1.0 + FEW * (data.classes - 1):
        most = int(mean.argmax())
        return (
            f"The generator has collapsed: {100 * float(mean[most]):.0f} % of the teacher's answers are "
            f"{data.class_names[most]}, as if there were {count:.1f} of {data.classes} classes."
        )
    if spread < ALIKE:
        return (
            f"The generator has collapsed: its pictures are almost the same, their pixels differ by {spread:.2f} "
            "standard deviations of real ones."
        )
    return (
        f"The teacher's answers are spread as if over {count:.1f} of {data.classes} classes; from picture to picture "
        f"a pixel varies by {spread:.2f} standard deviations of real ones."
    )


def grid(title: str, says: str, pictures: Tensor, logits: Tensor, data: Data) -> PictureGrid:
    """The first of these pictures (N, *shape), each with the class that the teacher sees in it."""
    pixels = data.pixels(pictures[:SHOWN]).permute(0, 2, 3, 1)
    sure, said = F.softmax(logits[:SHOWN], dim=1).max(dim=1)
    return PictureGrid(
        title, says, numpy.rint(pixels.cpu().numpy() * 255).astype(numpy.uint8),
        [data.class_names[one] for one in said.tolist()], sure.float().cpu().numpy(),
        names_say="class that the teacher sees", shares_say="how sure the teacher is",
    )  # fmt: skip
