"""Unified distillation: intermediate features and answers both as distributions."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.connector import channels
from kdcore.fusion import Fusion
from kdcore.method import Method
from kdcore.response import at_least_float, label_mean, soft_kl
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms

Gaussian = tuple[Tensor, Tensor]
"""Means and logarithms of variances, (N, d) each."""


def gaussian_kl(student: Gaussian, teacher: Gaussian) -> Tensor:
    """KL divergence from the teacher's diagonal Gaussian to the student's, (N, d) each -> (N,)."""
    (ours, our_log), (theirs, their_log) = student, teacher
    apart = (their_log - our_log).exp() + (theirs - ours).square() * (-our_log).exp()
    return 0.5 * (our_log - their_log + apart - 1.0).sum(dim=1)


class Distribution(nn.Module):
    """Layers fused from deep to shallow, then read as one Gaussian."""

    def __init__(self, maps: tuple[Tensor, ...], features: int, numbers: int) -> None:
        super().__init__()
        widths = [channels(layer) for layer in maps]
        middle = min(features, widths[-1])
        self.fusion = Fusion(widths, middle)
        self.means = nn.Linear(middle, numbers)
        self.log_variances = nn.Linear(middle, numbers)

    def forward(self, maps: tuple[Tensor, ...]) -> Gaussian:
        fused = at_least_float(self.fusion(maps)[0]).mean(dim=(2, 3))
        return at_least_float(self.means(fused)), at_least_float(self.log_variances(fused)).clamp(-6.0, 6.0)


class UnifiedDistillation(Method):
    """Bring features and answers to the teacher's by one kind of constraint, a divergence between distributions.

    All layers of a network are fused into one feature, which is read as a Gaussian. Features and logits then pull in
    the same way, where a squared difference on one and a divergence on the other may pull apart.
    """

    title = "Unified distillation (UniKD)"
    family = "feature"
    formula = (
        r"\mathrm{KL}\left(\mathcal{N}(\mu_T, \sigma_T^2) \,\Vert\, \mathcal{N}(\mu_S, \sigma_S^2)\right) "
        r"+ \lambda \tau^2 \, \mathrm{KL}\left(p_T^\tau \,\Vert\, p_S^\tau\right) - \log \sigma(\mu_T)_y"
    )
    paper = Paper(
        "Huang et al.",
        2024,
        "https://arxiv.org/abs/2409.18565",
        "Harmonizing Knowledge Transfer in Neural Network with Unified Distillation",
    )
    provenance = (
        "summaries only, no code is public. Our decision: the gates of ReviewKD fuse either side's layers; the pooled "
        "shallowest feature gives a diagonal Gaussian of as many numbers as there are classes; both readers learn with "
        "the student, the teacher's also by cross-entropy of its means (anchor), so that the two cannot agree on "
        "nothing; logarithms of variances stay in [-6, 6]"
    )
    convention = (
        "Sum over the Gaussian's numbers, mean over images; soft targets with temperature squared; both divergences at "
        "factor 1. No public convention is known to compare with."
        " Here 0.5, by measurement: on small pictures its gradient is then 0.4 to 0.5 times cross-entropy's (1 to "
        "2.1 on 28x28)."
    )
    pitfalls = (
        "Soft targets are part of it: beside kd they count twice unless logits is 0.",
        "The teacher's reader learns too: at first its distribution says little.",
        "Other methods share its name (a NeRF method, a detector).",
    )
    weight = 0.5
    rests = False
    matches = "each"
    reads = ("labels", "logits", "maps")
    shows = (
        Shown("numbers", "means of the Gaussian", "mean", "number", of="whole"),
        Shown("numbers", "spread of the Gaussian", "logarithm of the variance", "number", of="whole"),
    )
    own_terms = ("anchor",)
    features: int = knob(512, 4, 512, help="Channels in which layers are fused, at most the last's.", scale="log")
    logits: float = knob(1.0, 0.0, 100.0, help="Factor of the soft targets; 0 leaves them to another method.")
    temperature: float = knob(4.0, 0.5, 20.0, help="Softness of the soft targets.")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        classes = student.logits.shape[1]
        self.student_reader = Distribution(student.maps, self.features, classes)
        self.teacher_reader = Distribution(teacher.maps, self.features, classes)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        ours, theirs = self.student_reader(student.maps), self.teacher_reader(teacher.maps)
        anchor = F.cross_entropy(theirs[0], batch.labels, ignore_index=-1, reduction="none")
        terms = {"gaussian": gaussian_kl(ours, theirs), "anchor": label_mean(anchor, batch.labels)}
        if self.logits > 0.0:
            terms["logits"] = self.logits * soft_kl(student.logits, teacher.logits, self.temperature)
        return terms

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Means and logarithms of variances of either side's Gaussian, (N, classes) each."""
        return list(self.student_reader(student.maps)), list(self.teacher_reader(teacher.maps))
