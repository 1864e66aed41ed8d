"""Teacher-free distillation: a virtual teacher that is nearly always right."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdcore.method import Method
from kdcore.response import at_least_float, label_mean, soft_kl
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def virtual_teacher(labels: Tensor, *, classes: int, correct: float, dtype: torch.dtype) -> Tensor:
    """Log-probabilities of a teacher that gives `correct` to the label and shares the rest, (N,) -> (N, C).

    Labels of -1 are read as class 0: whoever calls takes these images out.
    """
    wrong = math.log((1.0 - correct) / (classes - 1))
    found = torch.full((len(labels), classes), wrong, dtype=dtype, device=labels.device)
    return found.scatter(1, labels.clamp(min=0).unsqueeze(1), math.log(correct))


class TeacherFree(Method):
    """Learn from an imagined teacher that finds the label likely and all other classes equally unlikely.

    It needs no teacher: what remains of distillation is its softness. Softened by the temperature, the imagined teacher
    keeps the student from growing too sure. It stands beside cross-entropy.
    """

    title = "Teacher-free KD (Tf-KD, virtual teacher)"
    family = "labels"
    formula = (
        r"T^2 \; \mathrm{KL}\left(\sigma(\log p^d / T) \,\Vert\, \sigma(z_S / T)\right), "
        r"\quad p^d_y = a, \; p^d_{k \neq y} = \frac{1-a}{C-1}"
    )
    paper = Paper(
        "Yuan, Tay, Li, Wang, Feng",
        2020,
        "https://arxiv.org/abs/1909.11723",
        "Revisiting Knowledge Distillation via Label Smoothing Regularization",
    )
    provenance = "paper (form paper) and authors' code (form repo, kept to reproduce its numbers)"
    convention = (
        "Default: the paper's form, times T squared, summed over classes, mean over the labelled images. The authors' "
        "code (form repo) divides the virtual probabilities themselves by T, leaves the student untempered, drops "
        "T squared and divides by C, with 0.9 of cross-entropy and 0.1 times 100 of this, or 0.05 and 0.95."
        " Here 0.5, by measurement: on small pictures its gradient is then 0.4 times cross-entropy's."
    )
    pitfalls = (
        "Form repo takes the softmax of probabilities: at T=20 its teacher is nearly uniform, a confidence penalty.",
        "Only the softness is taught: no class looks more like the label than another.",
    )
    weight = 0.5
    rests = False
    reads = ("labels", "logits")
    needs_teacher = False
    no_view = "It compares the student with an imagined teacher, the same for every image of a class."
    correct: float = knob(0.99, 0.01, 0.999, help="Probability that the virtual teacher gives to the label.")
    temperature: float = knob(20.0, 1.0, 100.0, help="Softness of the virtual teacher and, in form paper, the student.")
    form: str = knob("paper", choices=("paper", "repo"), help="The paper's formula, or what the authors' code does.")

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        logits = at_least_float(student.logits)
        virtual = virtual_teacher(batch.labels, classes=logits.shape[1], correct=self.correct, dtype=logits.dtype)
        if self.form == "paper":
            losses = soft_kl(logits, virtual, self.temperature)
        else:
            losses = soft_kl(logits, virtual.exp() / self.temperature, 1.0) / logits.shape[1]
        return {"tfkd_reg": label_mean(losses, batch.labels)}
