"""The sources study, the whole second-order form: soft targets for a small difference."""

from __future__ import annotations

from torch import Tensor

from kdcore.fisher import curvature
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.vocabulary import Batch, Paper, Seen, Terms


class CurvatureSource(Method):
    """Match the teacher's logits in the metric of the teacher's own Fisher information.

    It is what soft targets come to when the two are close: the variance, under the teacher's probabilities, of the
    difference of logits. Unlike its diagonal it does not see a constant added to all logits of an image.
    """

    title = "Sources study: whole Fisher form"
    family = "gradient"
    formula = r"\Delta^\top \left( \mathrm{diag}(p_T) - p_T p_T^\top \right) \Delta, \quad \Delta = z_S - z_T"
    paper = Paper(
        "Hsu, Smith, Shen, Kira, Jin",
        2022,
        "https://arxiv.org/abs/2203.10163",
        "A Closer Look at Knowledge Distillation with Features, Logits, and Gradients",
    )
    provenance = "our derivation: the paper approximates it; written out here as the yardstick of its approximations"
    convention = (
        "Mean over images of the form without the half of the expansion: twice the KL divergence if small. "
        "Here 1, by measurement: on small pictures its gradient is then 0.4 to 0.7 times cross-entropy's "
        "(0.3 to 0.9 on 28x28)."
    )
    pitfalls = (
        "Far from the teacher it is no approximation: it grows with the square where the divergence grows evenly.",
        "Where the teacher is sure of a class it says nothing, however wrong the student is.",
    )
    weight = 1.0
    rests = True
    reads = ("logits",)
    shows = (Shown("classes", "logits", "logit"),)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        return {"hsu_logit_full": curvature(theirs, ours - theirs)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The logits that are compared, (N, C) each."""
        return [at_least_float(student.logits)], [at_least_float(teacher.logits)]
