"""Soft targets: the teacher's softened class probabilities."""

from __future__ import annotations

from torch import Tensor

from kdcore.method import Method
from kdcore.response import log_softened, soft_kl
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


class SoftTargets(Method):
    """Match the teacher's softened class probabilities.

    A wrong class that the teacher finds likely tells the student what the image resembles. A higher temperature shows
    more of these small probabilities.
    """

    title = "Soft targets (KD)"
    family = "response"
    formula = r"T^2 \; \mathrm{KL}\left(\sigma(z_T/T) \,\Vert\, \sigma(z_S/T)\right)"
    paper = Paper(
        "Hinton, Vinyals, Dean",
        2015,
        "https://arxiv.org/abs/1503.02531",
        "Distilling the Knowledge in a Neural Network",
    )
    provenance = "paper and benchmark code (RepDistiller, mdistiller)"
    convention = (
        "times T squared, summed over classes, mean over images ('batchmean'). Code that takes the mean over classes "
        "too is C times smaller; code without T squared is T squared times smaller."
    )
    pitfalls = (
        "Without the factor T squared a high temperature silences the term.",
        "With clean labels, few epochs and a weak teacher it often does not help: compare with the student alone.",
    )
    weight = 1.0
    rests = True
    reads = ("logits",)
    shows = (Shown("classes", "softened classes", "probability"),)
    temperature: float = knob(4.0, 1.0, 20.0, help="Softness of both distributions. At 1 they are the plain softmax.")

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        return {"kd": soft_kl(student.logits, teacher.logits, self.temperature)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The softened class probabilities, (N, C) each."""
        ours, theirs = (log_softened(seen.logits, self.temperature).exp() for seen in (student, teacher))
        return [ours], [theirs]
