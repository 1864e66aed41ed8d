"""Attention transfer by gradients: be sensitive where the teacher is sensitive."""

from __future__ import annotations

from torch import Tensor

from kdcore.method import Method
from kdcore.shown import Shown
from kdcore.slopes import cross_entropy_of, input_slope, named_class, same_pictures
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def loss_slopes(student: Seen, teacher: Seen, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Both networks' gradients of cross-entropy on their pictures, (N, *shape) each; `classes` is (N,)."""
    return same_pictures(
        input_slope(student, cross_entropy_of(student.logits, classes), learning=True),
        input_slope(teacher, cross_entropy_of(teacher.logits, classes), learning=False),
    )


class GradientAttentionTransfer(Method):
    """Be sensitive to the pixels to which the teacher is sensitive.

    A pixel counts by how much the loss would change with it. Both networks are asked with the same label, and the
    student learns from the difference by differentiating a second time.
    """

    title = "Gradient-based attention transfer"
    family = "gradient"
    formula = (
        r"\frac{1}{2} \left\Vert J_S - J_T \right\Vert_2^2, \quad "
        r"J = \frac{\partial \, \mathrm{CE}(z, y)}{\partial x}"
    )
    paper = Paper(
        "Zagoruyko, Komodakis",
        2017,
        "https://arxiv.org/abs/1612.03928",
        "Paying More Attention to Attention",
    )
    provenance = (
        "paper only. Our decisions: its averaging with the flipped picture is left out, since a method does not "
        "look by itself, and where a label is withheld the teacher's first choice stands in"
    )
    convention = (
        "Half the sum over pixels, mean over images, as the paper has it (there times beta, which it does not name). "
        "Here 3, by measurement: on small pictures its gradient is then 0.5 to 1.2 times cross-entropy's "
        "(0.1 to 1.1 on 28x28)."
    )
    pitfalls = (
        "Where both are sure the gradients vanish, and with them the lesson: an overconfident teacher says little.",
        "Each step takes several times as long: the teacher looks anew and the student differentiates twice.",
        "With batch norms a picture's gradient also holds how it moves the statistics of its batch.",
    )
    weight = 3.0
    rests = True
    reads = ("labels", "logits", "inputs")
    shows = (Shown("pixels", "how the loss hangs on the picture", "slope of cross-entropy on the input"),)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        ours, theirs = loss_slopes(student, teacher, named_class(batch, teacher))
        return {"at_grad": 0.5 * (ours - theirs).square().flatten(1).sum(dim=1)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]] | None:
        """Both gradients for the teacher's first choice, (N, *shape); None where no slopes were kept."""
        if student.inputs is None or teacher.inputs is None:
            return None
        ours, theirs = loss_slopes(student, teacher, teacher.logits.detach().argmax(dim=1))
        return [ours], [theirs]
