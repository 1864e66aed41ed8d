"""Cross-attention: every place of the student's map reads all places of the teacher's before they are compared."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.alignment import map_pairs
from kdcore.connector import channels, linear_connector
from kdcore.geometry import inner
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def standardised(features: Tensor) -> Tensor:
    """Each channel of each image at mean 0 and variance 1 over its places, (N, c, h, w); a constant one becomes 0."""
    apart = features - features.mean(dim=(2, 3), keepdim=True)
    return apart * (apart.square().mean(dim=(2, 3), keepdim=True) + 1e-5).rsqrt()


class CrossAttention(Method):
    """Compare the student's map with the teacher's after it has attended to all of the teacher's places.

    A non-local block adds to each place of the student what it finds anywhere in the teacher's map, so the pull on a
    place comes from the whole picture. Channels are compared by their pattern, not by their scale.
    """

    title = "Cross-attention (CanKD)"
    family = "feature"
    formula = (
        r"\frac{1}{2chw} \left\Vert \mathrm{IN}(Z_S) - \mathrm{IN}(F_T) \right\Vert_2^2, "
        r"\quad Z_S = F_S + W\left( \frac{1}{n} \, \theta(F_S)^\top \phi(F_T) \; g(F_T) \right)"
    )
    paper = Paper(
        "Sun, Ohyama",
        2026,
        "https://arxiv.org/abs/2511.21503",
        "CanKD: Cross-Attention-based Non-local Operation for Feature-based Knowledge Distillation",
    )
    provenance = (
        "authors' code, written for detection and segmentation. Our decision: one layer of a classifier, by default a "
        "middle one, since the last has too few places to attend to on small pictures"
    )
    convention = (
        "Half the mean over all elements, dot products divided by the number of teacher places, no softmax, as the "
        "authors have it, there with weight 10 (5 in the paper, which has no half)."
        " Here 1.5, by measurement: on small pictures its gradient is then 0.4 to 1.7 times cross-entropy's."
    )
    pitfalls = (
        "A layer without a plane (1x1) has nothing to say: one place has no variance.",
        "The block reads the teacher: it may bring the answer along, and the student need not change.",
        "The block starts silent (its last batch norm at zero), so most of it learns from the second step on.",
    )
    weight = 1.5
    rests = True
    matches = "one"
    prefers = "middle"
    reads = ("maps",)
    shows = (Shown("channels", "maps after cross-attention", "activation in standard deviations of its channel"),)

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        width = channels(teacher.maps[0])
        half = max(1, width // 2)
        self.connector = linear_connector(student.maps[0], teacher.maps[0])
        self.asks, self.answers, self.says = (nn.Conv2d(width, half, 1) for _ in range(3))
        silent = nn.BatchNorm2d(width)
        nn.init.zeros_(silent.weight)
        nn.init.zeros_(silent.bias)
        self.adds = nn.Sequential(nn.Conv2d(half, width, 1), silent)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        return {"cankd": 0.5 * (ours - theirs).square().mean(dim=(1, 2, 3))}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The student's map with what it read in the teacher's, and the teacher's, standardised, (N, c, h, w)."""
        ((ours, theirs),) = map_pairs(student, teacher)
        ours = at_least_float(self.connector(ours))
        return [standardised(ours + self.read(ours, theirs))], [standardised(theirs)]

    def read(self, student: Tensor, teacher: Tensor) -> Tensor:
        """What each place of the student takes from all places of the teacher, (N, c, h, w)."""
        asked = at_least_float(self.asks(student)).flatten(2).transpose(1, 2)
        answers = coarse(self.answers(teacher)).flatten(2)
        said = coarse(self.says(teacher)).flatten(2)
        attention = inner(asked, answers.transpose(1, 2)) / answers.shape[2]
        found = inner(attention, said).transpose(1, 2)
        return at_least_float(self.adds(found.reshape(len(student), -1, *student.shape[2:])))


def coarse(features: Tensor) -> Tensor:
    """The largest of each 2x2 places, (N, c, h, w) -> (N, c, h/2, w/2), rounded up."""
    return F.max_pool2d(at_least_float(features), 2, ceil_mode=True)
