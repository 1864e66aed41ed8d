"""Softmax regression representation learning: the student's features go through the teacher's classifier."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.fisher import linear_classifier
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.vocabulary import Batch, Classifier, Paper, Seen, Terms


def through(embedding: Tensor, classifier: Classifier) -> Tensor:
    """The logits that a classifier gives an embedding, (N, D) -> (N, C), in float32 at least."""
    return F.linear(embedding, at_least_float(classifier.weight), at_least_float(classifier.bias))


class RegressionRepresentation(Method):
    """Make features with which the teacher's own classifier says what the teacher says.

    The frozen classifier is the judge of the student's translated features: what it does not listen to need not be
    right. A second term asks for the features themselves.
    """

    title = "Softmax regression representation (SRRL)"
    family = "feature"
    formula = (
        r"\frac{1}{D} \left\Vert r(h_S) - h_T \right\Vert_2^2 "
        r"+ \frac{1}{C} \left\Vert U_T \, r(h_S) + b_T - z_T \right\Vert_2^2"
    )
    paper = Paper(
        "Yang, Martinez, Bulat, Tzimiropoulos",
        2021,
        "https://openreview.net/forum?id=ZzwDy_wiWv",
        "Knowledge Distillation via Softmax Regression Representation Learning",
    )
    provenance = (
        "authors' code (both terms, weight 1 together), benchmark code (the connector on pooled features instead of "
        "the map)"
    )
    convention = (
        "Mean over features and mean over classes, weight one each, as the authors' code has it, there with weight 1. "
        "Here 0.3, by measurement: on small pictures its gradient is then 0.3 to 1.7 times cross-entropy's "
        "(0.1 to 1.9 on 28x28)."
    )
    pitfalls = (
        "The connector ends in a ReLU: a teacher whose embedding is negative in places cannot be reached.",
        "The student is judged by the teacher's classifier but answers with its own: cross-entropy has to train that.",
        "Not zero for equal networks: the connector does not start as the identity.",
    )
    weight = 0.3
    rests = False
    reads = ("logits", "embedding", "classifier")
    shows = (Shown("numbers", "embedding", "activation", "feature"),)

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        linear_classifier(teacher, whose="teacher")
        ours, theirs = student.embedding.shape[1], teacher.embedding.shape[1]
        layer = nn.Linear(ours, theirs, bias=False)
        nn.init.kaiming_normal_(layer.weight, mode="fan_out")
        self.connector = nn.Sequential(layer, nn.BatchNorm1d(theirs), nn.ReLU())

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        said = through(ours, linear_classifier(teacher, whose="teacher"))
        return {
            "feature": (ours - theirs).square().mean(dim=1),
            "regression": (said - at_least_float(teacher.logits)).square().mean(dim=1),
        }

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """What the connector makes of the student's embedding, and the teacher's, (N, D) each."""
        ours = at_least_float(self.connector(at_least_float(student.embedding)))
        return [ours], [at_least_float(teacher.embedding)]
