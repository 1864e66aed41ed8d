"""Probabilistic knowledge transfer: whom an image would pick as its neighbour."""

from __future__ import annotations

from torch import Tensor

from kdcore.geometry import gram, softened
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms

FLOOR = 1e-7
"""Added to lengths, and to both probabilities before the logarithm, as in the authors' code."""


def neighbour_odds(embedding: Tensor) -> Tensor:
    """Probability that image i (row) picks image j, by their cosine, (N, D) -> (N, N); rows sum to 1."""
    alike = (gram(softened(at_least_float(embedding), least=FLOOR)) + 1.0) / 2.0
    return alike / alike.sum(dim=1, keepdim=True)


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Summands of the KL divergence from the teacher's rows to the student's, (N, N) x (N, N) -> (N, N)."""
    return teacher * ((teacher + FLOOR) / (student + FLOOR)).log()


class ProbabilisticTransfer(Method):
    """Let each image have the same likely neighbours in the batch as to the teacher.

    The cosines to all images of the batch become probabilities, and their divergence is lowered. Only the geometry
    of the embedding counts, so any two widths fit without a learned part.
    """

    title = "Probabilistic transfer (PKT)"
    family = "feature"
    formula = (
        r"\frac{1}{N^2} \sum_{ij} q^T_{ij} \log \frac{q^T_{ij}}{q^S_{ij}}, "
        r"\quad q_{ij} = \frac{1 + \cos(f_i, f_j)}{\sum_k \left(1 + \cos(f_i, f_k)\right)}"
    )
    paper = Paper(
        "Passalis, Tefas",
        2018,
        "https://arxiv.org/abs/1803.10837",
        "Learning Deep Representations with Probabilistic Knowledge Transfer",
    )
    provenance = "authors' code and benchmark code (RepDistiller, the same)"
    convention = (
        "Default: mean over all N squared pairs, the diagonal included, as all public code has it, there with weight "
        "30000 at N=64. The paper leaves the diagonal out. The divergence of an image's row (reduction row) is N times "
        "larger."
        " Here 4000, by measurement: on 128 small pictures its gradient is then 0.3 to 1.5 times cross-entropy's."
    )
    pitfalls = (
        "It shrinks as 1/N: with reduction mean a weight fits one batch size.",
        "Between the most and the least alike image the probabilities differ little: the numbers are tiny.",
        "After a ReLU all cosines are positive, so half of the range stays unused.",
    )
    weight = 4000.0
    rests = True
    reads = ("embedding",)
    shows = (Shown("images", "likely neighbours", "probability"),)
    reduction: str = knob("mean", choices=("mean", "row"), help="Over an image's row; row is its sum, the divergence.")

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        summands = divergence(ours, theirs)
        return {"pkt": summands.mean(dim=1) if self.reduction == "mean" else summands.sum(dim=1)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Each image's probabilities over the batch, (N, N)."""
        return [neighbour_odds(student.embedding)], [neighbour_odds(teacher.embedding)]
