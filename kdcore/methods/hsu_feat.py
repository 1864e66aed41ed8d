"""The sources study, features: squared error between embeddings, every feature alike."""

from __future__ import annotations

from torch import Tensor

from kdcore.connector import linear_projection
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.vocabulary import Batch, Paper, Seen, Terms


class FeatureSource(Method):
    """Match the teacher's embedding, every feature alike.

    One of five ways to approximate soft targets that are compared on one footing. A learned linear map translates where
    the numbers of features differ. The study ranks it behind weighted features, and these behind logits.
    """

    title = "Sources study: features"
    family = "feature"
    formula = r"\left\Vert r(h_S) - h_T \right\Vert_2^2"
    paper = Paper(
        "Hsu, Smith, Shen, Kira, Jin",
        2022,
        "https://arxiv.org/abs/2203.10163",
        "A Closer Look at Knowledge Distillation with Features, Logits, and Gradients",
    )
    provenance = (
        "paper only (no public code was found); sums as we derive them from the expansion of soft targets. Our "
        "decision: a learned linear map only where the numbers of features differ"
    )
    convention = (
        "Sum over features, mean over images, without the half of the expansion: D times the mean over elements. "
        "Here 0.05, by measurement: on small pictures its gradient is then 0.4 to 1 times cross-entropy's "
        "(0.2 to 1.2 on 28x28)."
    )
    pitfalls = (
        "Features that the teacher's classifier ignores are matched with the same zeal.",
        "It grows with the number of features: another teacher wants another weight.",
    )
    weight = 0.05
    rests = True
    reads = ("embedding",)
    shows = (Shown("numbers", "embedding", "activation", "feature"),)

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        self.connector = linear_projection(student.embedding, teacher.embedding)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        return {"hsu_feat": (ours - theirs).square().sum(dim=1)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """What the linear map makes of the student's embedding, and the teacher's, (N, D) each."""
        ours = at_least_float(self.connector(at_least_float(student.embedding)))
        return [ours], [at_least_float(teacher.embedding)]
