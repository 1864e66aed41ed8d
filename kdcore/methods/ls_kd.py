"""Logit standardisation: soft targets after each image's logits are brought to one scale."""

from __future__ import annotations

from torch import Tensor

from kdcore.geometry import root, unit
from kdcore.method import Method
from kdcore.response import at_least_float, soft_kl
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms

MARGIN = 1e-7
"""Added to standard deviations, as the authors have it."""


def standardised(logits: Tensor, *, freedom: int) -> Tensor:
    """Each image's logits at mean 0 and standard deviation 1, (N, C) -> (N, C); equal logits become 0.

    The variance is divided by C minus `freedom`, which is 1 (unbiased) or 0. In float32 at least.
    """
    logits = at_least_float(logits)
    centred, classes = logits - logits.mean(dim=1, keepdim=True), logits.shape[1] - freedom
    spread = root(centred.square().sum(dim=1, keepdim=True) / classes)
    return unit(centred) * (classes**0.5 * spread / (spread + MARGIN))


class StandardisedLogits(Method):
    """Match the teacher's soft targets after standardising both sides' logits, image by image.

    A small student need not shout as loud as its teacher: only how the classes lie relative to each other is taught,
    and a temperature means the same for both.
    """

    title = "Logit standardisation (LS-KD)"
    family = "response"
    formula = (
        r"T^2 \; \mathrm{KL}\left(\sigma(\hat{z}_T / T) \,\Vert\, \sigma(\hat{z}_S / T)\right), "
        r"\quad \hat{z} = \frac{z - \bar{z}}{\mathrm{std}(z)}"
    )
    paper = Paper(
        "Sun, Ren, Li, Wang, Cao",
        2024,
        "https://arxiv.org/abs/2403.01427",
        "Logit Standardization in Knowledge Distillation",
    )
    provenance = "authors' code; the paper's own standard deviation is spread paper"
    convention = (
        "Times T squared, summed over classes, mean over images, as the authors have it, there with weight 9 beside "
        "0.1 of cross-entropy. Their code divides the variance by C-1 (spread code), the paper by C (spread paper): "
        "with few classes the difference shows."
        " Here 0.5, by measurement: on small pictures its gradient is then 0.3 to 1.1 times cross-entropy's."
    )
    pitfalls = (
        "How sure the teacher is is not taught, so cross-entropy has to stand beside it.",
        "With two classes every image looks alike once standardised: only which class is ahead remains.",
    )
    weight = 0.5
    rests = True
    reads = ("logits",)
    shows = (Shown("classes", "standardised logits", "logit in standard deviations"),)
    temperature: float = knob(2.0, 1.0, 20.0, help="Softness of both distributions, in standard deviations.")
    spread: str = knob(
        "code", choices=("code", "paper"), help="Variance over C-1 classes as in the code, or over C as in the paper."
    )

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        return {"ls_kd": soft_kl(ours, theirs, self.temperature)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The standardised logits, (N, C) each."""
        freedom = 1 if self.spread == "code" else 0
        return [standardised(student.logits, freedom=freedom)], [standardised(teacher.logits, freedom=freedom)]
