"""The sources study, logits weighted by gradients: where the teacher wavers, a logit counts."""

from __future__ import annotations

from torch import Tensor

from kdcore.fisher import class_weights, mean_one
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


class WeightedLogitSource(Method):
    """Match the teacher's logits, each weighted by how much it matters to what the teacher says.

    The weights are the diagonal of the Fisher information, which is made of the teacher's gradients: a class of which
    the teacher is sure, in or out, moves nothing and counts for nothing.
    """

    title = "Sources study: logits with gradients"
    family = "gradient"
    formula = r"\sum_k w_k \left(z_{S,k} - z_{T,k}\right)^2, \quad w_k \propto p_{T,k} (1 - p_{T,k})"
    paper = Paper(
        "Hsu, Smith, Shen, Kira, Jin",
        2022,
        "https://arxiv.org/abs/2203.10163",
        "A Closer Look at Knowledge Distillation with Features, Logits, and Gradients",
    )
    provenance = (
        "paper only (no public code was found): that the Fisher information weighs. Our derivation: its diagonal for "
        "logits, and the option to bring each image's weights to a mean of one"
    )
    convention = (
        "Sum over classes, mean over images, without the half of the expansion (which scale fisher and one half would "
        "give). "
        "Here 0.015, by measurement: on small pictures its gradient is then 0.4 to 0.9 times cross-entropy's "
        "(0.04 to 0.2 on 28x28)."
    )
    pitfalls = (
        "With scale fisher an image of which the teacher is sure counts for next to nothing.",
        "The diagonal sees a constant added to all logits of an image, which the softmax does not.",
    )
    weight = 0.015
    rests = True
    reads = ("logits",)
    shows = (Shown("classes", "weighted logits", "logit times the root of its weight"),)
    scale: str = knob(
        "mean1", choices=("mean1", "fisher"), help="Each image's weights with a mean of one, or as they are."
    )

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        weights = class_weights(teacher.logits)
        weights = mean_one(weights) if self.scale == "mean1" else weights
        change = at_least_float(student.logits) - at_least_float(teacher.logits)
        return {"hsu_logit_g": (weights * change.square()).sum(dim=1)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The logits times the roots of their weights, (N, C) each: the distance is between these."""
        weights = class_weights(teacher.logits)
        roots = (mean_one(weights) if self.scale == "mean1" else weights).sqrt()
        return [roots * at_least_float(student.logits)], [roots * at_least_float(teacher.logits)]
