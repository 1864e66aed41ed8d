"""DIST: correlation instead of equality, within an image and within a class."""

from __future__ import annotations

from torch import Tensor

from kdcore.geometry import unit
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def disagreement(student: Tensor, teacher: Tensor, *, dim: int) -> Tensor:
    """Half the squared difference of what is left of both when centred and at length one along `dim`, elementwise.

    Its sum along `dim` is one minus the Pearson correlation. What is constant on both sides agrees, and what is
    constant on one side only is uncorrelated by half.
    """
    ours, theirs = (unit(side - side.mean(dim=dim, keepdim=True), dim=dim) for side in (student, teacher))
    return 0.5 * (ours - theirs).square()


class Dist(Method):
    """Let the class probabilities rise and fall with the teacher's, within an image and within a class.

    A much stronger teacher cannot be equalled. Its order can: correlation leaves the student free to be less sure.
    """

    title = "Relations of a stronger teacher (DIST)"
    family = "response"
    formula = (
        r"\tau^2 \left(\frac{\beta}{N} \sum_n \left(1 - \rho(p_S^{n \cdot}, p_T^{n \cdot})\right) "
        r"+ \frac{\gamma}{C} \sum_k \left(1 - \rho(p_S^{\cdot k}, p_T^{\cdot k})\right)\right)"
    )
    paper = Paper(
        "Huang, You, Wang, Qian, Xu",
        2022,
        "https://arxiv.org/abs/2205.10536",
        "Knowledge Distillation from A Stronger Teacher",
    )
    provenance = "authors' code; an image's share in a class's correlation is our own exact split of it"
    convention = (
        "Times tau squared, mean over images and over classes, as the authors have it, there with weight 2 and tau 4 "
        "(small pictures) or 1 (ImageNet)."
        " Here 0.02, by measurement: on small pictures its gradient is then 0.3 to 1.2 times cross-entropy's."
    )
    pitfalls = (
        "The second term compares the images of a batch: with one image it is silent, with few it is noisy.",
        "Probabilities, not logits, may be stretched and shifted freely: the temperature still matters.",
        "The authors' code lets a constant class cost 1 on both sides; here what is constant on both costs nothing.",
    )
    weight = 0.02
    rests = True
    reads = ("logits",)
    shows = (Shown("classes", "softened classes", "probability"),)
    temperature: float = knob(4.0, 1.0, 20.0, help="Softness of both distributions (the paper's tau).")
    beta: float = knob(1.0, 0.0, 10.0, help="Factor of the correlation over an image's classes.")
    gamma: float = knob(1.0, 0.0, 10.0, help="Factor of the correlation over the batch, class by class.")

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        scale = self.temperature**2
        return {
            "inter": scale * self.beta * disagreement(ours, theirs, dim=1).sum(dim=1),
            "intra": scale * self.gamma * len(ours) * disagreement(ours, theirs, dim=0).mean(dim=1),
        }

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The softened class probabilities, (N, C) each."""
        ours, theirs = at_least_float(student.logits), at_least_float(teacher.logits)
        return [(ours / self.temperature).softmax(dim=1)], [(theirs / self.temperature).softmax(dim=1)]
