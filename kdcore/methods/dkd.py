"""Decoupled distillation: the label's probability and the ranking of the others, weighed apart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.method import Method
from kdcore.response import at_least_float, label_mean
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def split_by_label(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The label's logit and the others', (N, C) x (N,) -> (N,) and (N, C-1), in float32 at least.

    Labels of -1 are read as class 0: whoever calls takes these images out.
    """
    logits, label = at_least_float(logits), labels.clamp(min=0).unsqueeze(1)
    places = torch.arange(logits.shape[1] - 1, device=logits.device)
    return logits.gather(1, label).squeeze(1), logits.gather(1, places + (places >= label).long())


def label_or_not(of_label: Tensor, of_others: Tensor) -> Tensor:
    """Log-probabilities of the label and of all other classes together, (N,) x (N, C-1) -> (N, 2).

    Taken from the gap between the two, so that neither is ever the logarithm of a rounded zero.
    """
    gap = of_label - of_others.logsumexp(dim=1)
    return torch.stack([F.logsigmoid(gap), F.logsigmoid(-gap)], dim=1)


def log_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL divergence from the teacher's to the student's, both log-probabilities, (N, C) x (N, C) -> (N,)."""
    return F.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=1)


def with_gap(of_others: Tensor, labels: Tensor) -> Tensor:
    """The others' values at their classes, with 0 at the label, (N, C-1) x (N,) -> (N, C)."""
    places = torch.arange(of_others.shape[1], device=of_others.device)
    classes = places + (places >= labels.unsqueeze(1)).long()
    return of_others.new_zeros(len(of_others), of_others.shape[1] + 1).scatter(1, classes, of_others)


class DecoupledDistillation(Method):
    """Match how sure the teacher is of the label, and apart from that how it ranks the wrong classes.

    In plain soft targets the ranking counts only as much as the teacher doubts the label, so a sure teacher teaches
    little of it. Weighed apart, it counts in full.
    """

    title = "Decoupled KD (DKD)"
    family = "response"
    formula = (
        r"T^2 \left(\alpha \, \mathrm{KL}(b_T \Vert b_S) + \beta \, \mathrm{KL}(\hat{p}_T \Vert \hat{p}_S)\right), "
        r"\quad b = (p_y, 1 - p_y), \; \hat{p} = \sigma(z_{k \neq y} / T)"
    )
    paper = Paper(
        "Zhao, Cui, Song, Qiu, Liang", 2022, "https://arxiv.org/abs/2203.08679", "Decoupled Knowledge Distillation"
    )
    provenance = "authors' code (mdistiller); labels that are withheld do not count, by our decision"
    convention = (
        "Times T squared, summed over classes, mean over the labelled images, as the authors have it, there with "
        "weight 1, beta 2 to 8 and a warm-up over 20 of 240 epochs (warmup 0.083; off here by default)."
        " Here 0.2, by measurement: on small pictures its gradient is then 0.7 to 0.8 times cross-entropy's."
    )
    pitfalls = (
        "With alpha and beta at 1 it is not plain KD, whose beta is the teacher's doubt of the label, image by image.",
        "With two classes there is no ranking: its second term is always zero.",
        "A large beta hands over a weak teacher's mistakes in full.",
    )
    weight = 0.2
    rests = True
    reads = ("labels", "logits")
    shows = (
        Shown("numbers", "how sure of the likeliest class", "probability", names=("that class", "all others")),
        Shown("classes", "ranking of the other classes", "probability among the others"),
    )
    temperature: float = knob(4.0, 1.0, 20.0, help="Softness of all distributions.")
    alpha: float = knob(1.0, 0.0, 20.0, help="Factor of the label's own probability.")
    beta: float = knob(8.0, 0.0, 20.0, help="Factor of the ranking of the other classes.")
    warmup: float = knob(0.0, 0.0, 1.0, help="Share of the phase over which the loss rises from nothing to full.")

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        ours, theirs = (self.decoupled(seen.logits, batch.labels) for seen in (student, teacher))
        risen = min(1.0, batch.progress / self.warmup) if self.warmup > 0.0 else 1.0
        scale = risen * self.temperature**2
        return {
            "label": scale * self.alpha * label_mean(log_kl(ours[0], theirs[0]), batch.labels),
            "ranking": scale * self.beta * label_mean(log_kl(ours[1], theirs[1]), batch.labels),
        }

    def decoupled(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the label or not, (N, 2), and of the other classes among themselves, (N, C-1)."""
        of_label, of_others = split_by_label(logits / self.temperature, labels)
        return label_or_not(of_label, of_others), F.log_softmax(of_others, dim=1)

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Both pairs of distributions with the teacher's first choice as the label, (N, 2) and (N, C), 0 for it."""
        label = teacher.logits.argmax(dim=1)
        ours, theirs = (self.decoupled(seen.logits, label) for seen in (student, teacher))
        return [ours[0].exp(), with_gap(ours[1].exp(), label)], [theirs[0].exp(), with_gap(theirs[1].exp(), label)]
