"""Hard-label distillation: the teacher's decision as the label."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def decided(teacher: Tensor) -> Tensor:
    """The class that the teacher finds likeliest, (N, C) -> (N,)."""
    return teacher.argmax(dim=1)


class HardLabels(Method):
    """Learn what the teacher decides as if it were the label.

    There is nothing to tune, it follows the picture as it was augmented where the label does not, and it needs no
    labels. What the teacher finds of the other classes is lost.
    """

    title = "Hard-label KD"
    family = "response"
    formula = r"-\log \sigma(z_S)_{\hat{y}}, \quad \hat{y} = \mathrm{argmax}_k \, z_{T,k}"
    paper = Paper(
        "Touvron, Cord, Douze, Massa, Sablayrolles, Jégou",
        2021,
        "https://arxiv.org/abs/2012.12877",
        "Training data-efficient image transformers & distillation through attention",
    )
    provenance = "authors' code, without its second head (distillation token): one head learns both labels here"
    convention = (
        "Mean over images. The authors take half of it and half of cross-entropy, each on a head of its own, and "
        "average the heads' probabilities at test; weight 1 here is that share on one head."
        " By measurement its gradient on small pictures is then 1.0 times cross-entropy's."
    )
    pitfalls = (
        "The teacher's mistakes are taught as truth; with a poor teacher it is worse than the labels.",
        "On pictures that the teacher gets right it is cross-entropy once more.",
    )
    weight = 1.0
    rests = False
    reads = ("logits",)
    shows = (Shown("classes", "the teacher's decision and the student's classes", "probability"),)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        ours = at_least_float(student.logits)
        return {"hard_label_kd": F.cross_entropy(ours, decided(teacher.logits), reduction="none")}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The student's class probabilities and the teacher's decision as such, (N, C) each."""
        ours = at_least_float(student.logits).softmax(dim=1)
        return [ours], [F.one_hot(decided(teacher.logits), ours.shape[1]).to(ours.dtype)]
