"""Mimic regression: squared error between logits."""

from __future__ import annotations

from torch import Tensor

from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def centred(logits: Tensor) -> Tensor:
    """Logits without their mean over classes, (N, C) -> (N, C): what the softmax cannot see is gone."""
    return logits - logits.mean(dim=1, keepdim=True)


def squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over classes of the squared difference, (N, C) x (N, C) -> (N,)."""
    return (student - teacher).square().mean(dim=1)


class LogitRegression(Method):
    """Match the teacher's logits by squared error.

    Logits keep what the softmax squeezes away: how unlikely the unlikely classes are. Centred, it is what soft targets
    come to at an infinite temperature, times two.
    """

    title = "Logit regression"
    family = "response"
    formula = r"\frac{1}{C} \sum_k \left(z_{S,k} - z_{T,k}\right)^2"
    paper = Paper("Ba, Caruana", 2014, "https://arxiv.org/abs/1312.6184", "Do Deep Nets Really Need to be Deep?")
    provenance = "paper (half sum) and benchmark code (KD-Zoo, mean); centring is our option, after Kim et al. 2021"
    convention = (
        "Default: mean over images and classes. The paper's half of the sum over classes is C/2 times larger "
        "(form half_sum). Public code: weight 0.1 on the mean form beside cross-entropy (KD-Zoo)."
        " Here 0.15, by measurement: on small pictures its gradient is then 0.4 to 0.8 times cross-entropy's."
    )
    pitfalls = (
        "Unlike soft targets it punishes a constant added to all logits of an image, unless centred.",
        "A few huge logits of an overconfident teacher take over the loss.",
    )
    weight = 0.15
    rests = True
    reads = ("logits",)
    shows = (Shown("classes", "logits", "logit"),)
    form: str = knob(
        "mean", choices=("mean", "half_sum"), help="mean over classes, or the paper's half of the sum over classes."
    )
    center: bool = knob(False, help="Take each image's mean logit away first, which the softmax ignores anyway.")

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        factor = 1.0 if self.form == "mean" else ours.shape[1] / 2
        return {"logit_regression": factor * squared_error(ours, theirs)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The logits that are compared, (N, C) each."""
        ours, theirs = at_least_float(student.logits), at_least_float(teacher.logits)
        return ([centred(ours)], [centred(theirs)]) if self.center else ([ours], [theirs])
