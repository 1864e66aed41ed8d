"""Smoothed labels: a teacher that finds every class equally likely."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from kdcore.method import Method
from kdcore.response import at_least_float, label_mean
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy with (1 - smoothing) on the label and smoothing spread over all classes, (N, C) x (N,) -> (N,).

    Labels of -1 are read as class 0: whoever calls takes these images out.
    """
    log_likely = F.log_softmax(at_least_float(logits), dim=1)
    of_label = log_likely.gather(1, labels.clamp(min=0).unsqueeze(1)).squeeze(1)
    return -(1.0 - smoothing) * of_label - smoothing * log_likely.mean(dim=1)


class LabelSmoothing(Method):
    """Learn labels that leave a little room for every class.

    It is cross-entropy mixed with soft targets from a teacher that knows nothing: the yardstick that tells how much of
    a distillation's gain is mere softness. It takes the place of cross-entropy rather than standing beside it.
    """

    title = "Label smoothing"
    family = "labels"
    formula = r"-(1-\varepsilon) \log \sigma(z_S)_y - \frac{\varepsilon}{C} \sum_k \log \sigma(z_S)_k"
    paper = Paper(
        "Szegedy, Vanhoucke, Ioffe, Shlens, Wojna",
        2016,
        "https://arxiv.org/abs/1512.00567",
        "Rethinking the Inception Architecture for Computer Vision",
    )
    provenance = "the framework's own definition (uniform); authors' code of teacher-free KD (km1)"
    convention = (
        "Mean over the labelled images. uniform spreads over all C classes; km1 over the C-1 wrong ones, which is "
        "uniform with a smoothing C/(C-1) times larger. Public code: weight 1 in place of cross-entropy."
    )
    pitfalls = (
        "A teacher trained with it often teaches worse: its wrong classes have lost their ranking.",
        "Beside full cross-entropy the smoothing is only about half as strong as the knob says.",
    )
    weight = 1.0
    rests = False
    reads = ("labels", "logits")
    needs_teacher = False
    no_view = "It compares the student with smoothed labels: no teacher takes part."
    smoothing: float = knob(0.1, 0.0, 0.9, help="Probability taken from the label and spread over the classes.")
    variant: str = knob(
        "uniform", choices=("uniform", "km1"), help="Spread over all classes, or (km1) over the wrong ones only."
    )

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        classes = student.logits.shape[1]
        smoothing = self.smoothing if self.variant == "uniform" else self.smoothing * classes / (classes - 1)
        losses = smoothed_cross_entropy(student.logits, batch.labels, smoothing)
        return {"label_smoothing": label_mean(losses, batch.labels)}
