"""Masked generative distillation: rebuild the teacher's map from part of the student's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcore.alignment import map_pairs
from kdcore.augmentation import replayable
from kdcore.connector import channels, linear_connector
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def kept(features: Tensor, index: Tensor, *, share: float, hides: str, seed: int, moment: int) -> Tensor:
    """1 where a map is kept and 0 where it is hidden, (N, c, 1, 1) for "channels", (N, 1, h, w) for "places".

    Depends on nothing but (seed, moment, index), so it is the same in any order and on any device.
    """
    count, width, *plane = features.shape
    shape = (count, width, 1, 1) if hides == "channels" else (count, 1, *plane)
    numbers = shape[1] * shape[2] * shape[3]
    drawn = replayable(seed, moment, index[:, None] * numbers + torch.arange(numbers, device=index.device), 4)
    return (drawn >= share).to(features.dtype).view(shape)


class MaskedGeneration(Method):
    """Hide part of the student's map, and let a small generator rebuild the teacher's from the rest.

    A map from which the hidden part can be told carries its surroundings. The student is not asked to copy the
    teacher, only to hold what the teacher's map can be made from.
    """

    title = "Masked generation (MGD)"
    family = "feature"
    formula = r"\frac{1}{chw} \left\Vert G\left(M \odot r(F_S)\right) - F_T \right\Vert_2^2"
    paper = Paper(
        "Yang, Li, Shao, Shi, Yuan, Yuan", 2022, "https://arxiv.org/abs/2205.01529", "Masked Generative Distillation"
    )
    provenance = (
        "authors' code for classification. Our decision: the mean over elements, pooling of the larger map, a start of "
        "the generator that keeps the scale of what passes, and a mask that is drawn from the image's place in the "
        "data and the moment of training, so that it can be replayed"
    )
    convention = (
        "Mean over elements. The authors sum over them (chw times larger) with weight 0.00007 for classification, "
        "0.00002 and 0.0000005 for detection. They hide 15% of the channels for classification, 45 to 75% of the "
        "places elsewhere, where the paper's formula stands."
        " Here 2, by measurement: on small pictures its gradient is then 0.2 to 0.4 times cross-entropy's (1 to 4 "
        "on 28x28)."
    )
    pitfalls = (
        "The generator's 3x3 convolutions may outweigh a small student and do the work in its place.",
        "What it hides changes at every step: the loss is noisy.",
        "Not zero for equal networks: the generator does not start as the identity.",
    )
    weight = 2.0
    rests = False
    matches = "one"
    prefers = "last"
    reads = ("maps",)
    shows = (Shown("channels", "rebuilt map", "activation"),)
    share: float = knob(0.15, 0.0, 0.95, help="How much of the student's map is hidden, on average.")
    hides: str = knob("channels", choices=("channels", "places"), help="What is hidden: whole channels, or places.")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        width = channels(teacher.maps[0])
        self.seed = int(torch.randint(2**31, ()))
        self.connector = linear_connector(student.maps[0], teacher.maps[0])
        first, second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        for layer in (first, second):  # the framework's start shrinks what passes: the student would feel little
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.generator = nn.Sequential(first, nn.ReLU(), second)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        moment = round(batch.progress * 2**24)  # a number of its own for every step of any phase
        ours, theirs = self.rebuilt(student, teacher, batch.index, moment)
        return {"mgd": (ours - theirs).square().mean(dim=(1, 2, 3))}

    def rebuilt(self, student: Seen, teacher: Seen, index: Tensor, moment: int) -> tuple[Tensor, Tensor]:
        """What the generator makes of the student's masked map, and the teacher's map, (N, c, h, w)."""
        ((ours, theirs),) = map_pairs(student, teacher)
        ours = self.connector(ours)
        mask = kept(ours, index, share=self.share, hides=self.hides, seed=self.seed, moment=moment)
        return at_least_float(self.generator(ours * mask)), theirs

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """What the generator makes of the student's map, masked as the first images are at the start, and the teacher's
        map, (N, c, h, w).
        """
        index = torch.arange(len(student.maps[0]), device=student.maps[0].device)
        ours, theirs = self.rebuilt(student, teacher, index, 0)
        return [ours], [theirs]
