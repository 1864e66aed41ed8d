"""Similarity preserving: images alike to the teacher become alike to the student."""

from __future__ import annotations

from torch import Tensor

from kdcore.geometry import gram, unit
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def likeness(features: Tensor) -> Tensor:
    """How alike each image is to all of the batch, rows of length one, (N, …) -> (N, N). In float32 at least."""
    return unit(gram(at_least_float(features)), dim=1)


class SimilarityPreserving(Method):
    """Let the same images resemble each other as they do to the teacher.

    Only how alike the images of a batch are is compared, so any two layers fit, whatever their channels and planes.
    """

    title = "Similarity preserving (SP)"
    family = "relation"
    formula = (
        r"\frac{1}{N^2} \left\Vert \tilde{G}_S - \tilde{G}_T \right\Vert_F^2, "
        r"\quad G = Q Q^\top \; \text{with rows of length one}"
    )
    paper = Paper(
        "Tung, Mori", 2019, "https://arxiv.org/abs/1907.09682", "Similarity-Preserving Knowledge Distillation"
    )
    provenance = "benchmark code (RepDistiller, verified there by the authors)"
    convention = (
        "Sum over the batch's pairs divided by N squared, as in all public code, there with weight 3000 at N=64. The "
        "term of an image is the mean over its row."
        " Here 200, by measurement: on small pictures its gradient is then 0.6 to 0.7 times cross-entropy's."
    )
    pitfalls = (
        "It shrinks as 1/N, since rows have length one and the sum is divided by N squared: a weight fits one batch.",
        "After a ReLU all images look alike, so the rows differ little before training.",
    )
    weight = 200.0
    rests = True
    matches = "one"
    prefers = "last"
    reads = ("maps",)
    shows = (Shown("images", "how alike images are", "likeness, each row at length one"),)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        return {"sp": (ours - theirs).square().mean(dim=1)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """How alike the images are to either side, (N, N)."""
        return [likeness(student.maps[0])], [likeness(teacher.maps[0])]
