"""The sources study, logits: squared error, every logit alike."""

from __future__ import annotations

from torch import Tensor

from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.vocabulary import Batch, Paper, Seen, Terms


class LogitSource(Method):
    """Match the teacher's logits, every class alike.

    One of five ways to approximate soft targets that are compared on one footing: with or without gradients, by logits
    or by features. Here it is the logits alone, without what the teacher's gradients say of their importance.
    """

    title = "Sources study: logits"
    family = "response"
    formula = r"\left\Vert z_S - z_T \right\Vert_2^2"
    paper = Paper(
        "Hsu, Smith, Shen, Kira, Jin",
        2022,
        "https://arxiv.org/abs/2203.10163",
        "A Closer Look at Knowledge Distillation with Features, Logits, and Gradients",
    )
    provenance = "paper only (no public code was found); sums as we derive them from the expansion of soft targets"
    convention = (
        "Sum over classes, mean over images, without the half of the expansion. C times logit regression's mean. "
        "Here 0.03, by measurement: on small pictures its gradient is then 0.4 to 0.6 times cross-entropy's "
        "(0.1 to 0.4 on 28x28)."
    )
    pitfalls = (
        "It punishes a constant added to all logits of an image, which the softmax does not see.",
        "A few huge logits of an overconfident teacher take over the loss.",
    )
    weight = 0.03
    rests = True
    reads = ("logits",)
    shows = (Shown("classes", "logits", "logit"),)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        return {"hsu_logit": (ours - theirs).square().sum(dim=1)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The logits that are compared, (N, C) each."""
        return [at_least_float(student.logits)], [at_least_float(teacher.logits)]
