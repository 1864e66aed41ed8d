"""Cross-entropy with the labels."""

from __future__ import annotations

import torch.nn.functional as F

from kdcore.method import Method
from kdcore.response import at_least_float, label_mean
from kdcore.vocabulary import Batch, Paper, Seen, Terms


class CrossEntropy(Method):
    """Learn the labels themselves.

    What every classifier is trained on without a teacher; the yardstick beside which all other weights are chosen.
    Images whose label is withheld do not count.
    """

    title = "Cross-entropy"
    family = "labels"
    formula = r"-\log \sigma(z_S)_y"
    paper = Paper("Good", 1952, "https://www.jstor.org/stable/2984087", "Rational Decisions")
    provenance = "textbook; checked against the framework's own cross-entropy"
    convention = "mean over the labelled images of the batch"
    weight = 1.0
    rests = False
    reads = ("labels", "logits")
    needs_teacher = False
    no_view = "It compares the student with the labels: no teacher takes part."

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        losses = F.cross_entropy(at_least_float(student.logits), batch.labels, ignore_index=-1, reduction="none")
        return {"ce": label_mean(losses, batch.labels)}
