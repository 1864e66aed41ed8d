"""Multi-level logit distillation: images, pairs of images, pairs of classes, at five temperatures and on two views."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.geometry import inner
from kdcore.method import Method
from kdcore.response import at_least_float, label_mean, soft_kl
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms

TEMPERATURES = (2.0, 3.0, 4.0, 5.0, 6.0)
MASKED = (3.0, 4.0, 5.0)
"""Temperatures at which only what the teacher is less sure of counts."""


def softened(logits: Tensor, temperature: float) -> Tensor:
    """Class probabilities, (N, C) -> (N, C), in float32 at least."""
    return (at_least_float(logits) / temperature).softmax(dim=1)


def between_images(student: Tensor, teacher: Tensor) -> Tensor:
    """How differently an image goes with all others, summed over them, of probabilities (N, C) -> (N,)."""
    return (inner(student, student) - inner(teacher, teacher)).square().sum(dim=1)


def between_classes(student: Tensor, teacher: Tensor) -> Tensor:
    """How differently a class goes with all others, summed over them, of probabilities (N, C) -> (C,)."""
    return (inner(student.T, student.T) - inner(teacher.T, teacher.T)).square().sum(dim=1)


def less_sure(confidence: Tensor, share: float) -> Tensor:
    """1 for that share of the entries (k,) with the smallest confidence, 0 for the others; those at the bound count."""
    return (confidence <= torch.quantile(at_least_float(confidence), share)).to(confidence.dtype)


class MultiLevel(Method):
    """Match each image's classes, how images go together and how classes go together, softened in five ways.

    One temperature shows one side of what a teacher says, and single images do not show what it holds alike. A second,
    stronger view of the picture asks for the same where the picture is harder.
    """

    title = "Multi-level logit distillation (MLKD)"
    family = "response"
    formula = (
        r"\sum_{v} \sum_{T=2}^{6} \left( T^2 \, \mathrm{KL}(p_T \Vert p_S) "
        r"+ \frac{1}{N} \left\Vert P_T P_T^\top - P_S P_S^\top \right\Vert_F^2 "
        r"+ \frac{\lambda}{C} \left\Vert P_T^\top P_T - P_S^\top P_S \right\Vert_F^2 \right) + \mathrm{CE}(z_S', y)"
    )
    paper = Paper(
        "Jin, Wang, Lin",
        2023,
        "https://openaccess.thecvf.com/content/CVPR2023/html/Jin_Multi-Level_Logit_Distillation_CVPR_2023_paper.html",
        "Multi-Level Logit Distillation",
    )
    provenance = (
        "authors' code, without its slips: confidence decides image by image and class by class (there it multiplies "
        "means, so that everything is halved), the stronger view is used at every temperature (there the plain one at "
        "2 and 6), and its pairs of images and classes count too (there they are computed and dropped). Our decision: "
        "temperatures 3 to 5 are masked, on the plain view only, and withheld labels do not count"
    )
    convention = (
        "Temperature squared on the divergence alone, pairs divided by N and by C, sums over temperatures and both "
        "views, as the authors have it, there with weight 1 beside cross-entropy on both views and half the usual "
        "learning rate. Pairs of classes grow with the square of pictures per class: 64 of a hundred classes there, "
        "128 of ten here, hence their factor (1 is the authors'). "
        "Here 0.1, by measurement: on small pictures its gradient is then 0.4 to 0.8 times cross-entropy's (1.7 to "
        "3.4 on 28x28)."
    )
    pitfalls = (
        "Each step takes about twice as long: both networks look at a second view.",
        "A stronger view that changes the class teaches a lie twice: by the teacher and by the label.",
    )
    weight = 0.1
    rests = False
    reads = ("labels", "logits", "second")
    shows = (
        Shown("classes", "softened classes", "probability at temperature 4"),
        Shown("images", "how images go together", "inner product of softened classes"),
    )
    masked: float = knob(
        0.5, 0.05, 1.0, help="Share of images and of classes, those the teacher is less sure of, that count at 3 to 5."
    )
    classes: float = knob(0.01, 0.0, 20.0, help="Factor of the pairs of classes (lambda); the authors take 1.")
    labels: float = knob(1.0, 0.0, 20.0, help="Factor of cross-entropy on the stronger view; 0 leaves it out.")

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        if student.second is None or teacher.second is None:
            raise ValueError("mlkd compares two views of each picture, and only one was seen here; pictures have two")
        sure = softened(teacher.logits, 1.0)
        images, classes = (
            less_sure(confidence, self.masked) for confidence in (sure.max(dim=1).values, sure.sum(dim=0))
        )
        plain = self.levels(student.logits, teacher.logits, images, classes)
        strong = self.levels(
            student.second.logits, teacher.second.logits, torch.ones_like(images), torch.ones_like(classes)
        )
        terms = {name: plain[name] + strong[name] for name in plain}
        if self.labels > 0.0:
            logits = at_least_float(student.second.logits)
            losses = F.cross_entropy(logits, batch.labels, ignore_index=-1, reduction="none")
            terms["labels"] = self.labels * label_mean(losses, batch.labels)
        return terms

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Of the plain view at temperature 4, the softened classes (N, C) and their inner products (N, N)."""
        ours, theirs = (softened(seen.logits, 4.0) for seen in (student, teacher))
        return [ours, inner(ours, ours)], [theirs, inner(theirs, theirs)]

    def levels(self, student: Tensor, teacher: Tensor, images: Tensor, classes: Tensor) -> Terms:
        """The three levels on one view, (N,) each; `images` (N,) and `classes` (C,) count where they are 1."""
        found: dict[str, list[Tensor]] = {"images": [], "pairs": [], "classes": []}
        for temperature in TEMPERATURES:
            counted = images if temperature in MASKED else torch.ones_like(images)
            named = classes if temperature in MASKED else torch.ones_like(classes)
            ours, theirs = (softened(side, temperature) for side in (student, teacher.detach()))
            found["images"].append(counted * soft_kl(student, teacher.detach(), temperature))
            found["pairs"].append(counted * between_images(ours, theirs))
            found["classes"].append(self.classes * (named * between_classes(ours, theirs)).mean().expand(len(student)))
        return {name: torch.stack(losses).sum(dim=0) for name, losses in found.items()}
