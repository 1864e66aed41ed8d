"""Contrastive distillation without a memory: find the teacher's view of an image among those of its batch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from kdcore.contrast import Direction
from kdcore.geometry import inner
from kdcore.method import Method
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def choice(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding an image's teacher view among the batch's, (N, D) x (N, D) -> (N,)."""
    return -F.log_softmax(inner(student, teacher) / temperature, dim=1).diagonal()


class BatchContrast(Method):
    """Tell the teacher's view of an image from its views of the batch's other images, and the other way round.

    The idea of contrastive distillation at its simplest, with InfoNCE in place of noise contrast: no memory and no
    labels, so it has only as many candidates as the batch has images. It is not CRD.
    """

    title = "Contrast within the batch (InfoNCE, not CRD)"
    family = "relation"
    formula = (
        r"-\log \frac{e^{g_S(i)^\top g_T(i) / \tau}}{\sum_j e^{g_S(i)^\top g_T(j) / \tau}} "
        r"-\log \frac{e^{g_S(i)^\top g_T(i) / \tau}}{\sum_j e^{g_S(j)^\top g_T(i) / \tau}}"
    )
    paper = Paper(
        "van den Oord, Li, Vinyals",
        2018,
        "https://arxiv.org/abs/1807.03748",
        "Representation Learning with Contrastive Predictive Coding",
    )
    provenance = "our own design decision: InfoNCE (paper) between student and teacher, for comparison with crd"
    convention = (
        "Sum of both directions, mean over images; public code often takes half the sum."
        " Here 0.1, by measurement: on small pictures its gradient is then 0.6 to 0.7 times cross-entropy's."
    )
    pitfalls = (
        "Images of the same class in a batch are pushed apart: with few classes that works against the labels.",
        "Its value depends on the batch size: chance level is twice the logarithm of N.",
    )
    weight = 0.1
    rests = False
    reads = ("embedding",)
    shows = (Shown("numbers", "direction in the common space", "coordinate, the whole at length one", "coordinate"),)
    features: int = knob(128, 4, 512, help="Length of the directions that are compared.", scale="log")
    temperature: float = knob(0.07, 0.02, 1.0, help="Lower: only the most similar candidates matter.", scale="log")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        self.student_embed = Direction(student.embedding.shape[1], self.features)
        self.teacher_embed = Direction(teacher.embedding.shape[1], self.features)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        return {
            "student": choice(ours, theirs, self.temperature),
            "teacher": choice(theirs, ours, self.temperature),
        }

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The directions of either side in the common space, (N, features)."""
        return [self.student_embed(student.embedding)], [self.teacher_embed(teacher.embedding)]
