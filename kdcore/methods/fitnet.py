"""FitNets: a hint from the middle of the teacher."""

from __future__ import annotations

from torch import Tensor

from kdcore.alignment import map_pairs
from kdcore.connector import linear_connector
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def hint_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two maps, (N, c, h, w) x (N, c, h, w) -> (N,)."""
    return (at_least_float(student) - teacher).square().mean(dim=(1, 2, 3))


class FitNet(Method):
    """Match one middle layer of the teacher, activation by activation.

    A regressor, the visible 1x1 connector, translates the student's guided layer into the channels of the teacher's
    hint layer. The most direct way to hand over a representation, and the strictest.
    """

    title = "FitNets (hints)"
    family = "feature"
    formula = r"\frac{1}{chw} \left\Vert r(F_S) - F_T \right\Vert_2^2"
    paper = Paper(
        "Romero, Ballas, Kahou, Chassang, Gatta, Bengio",
        2015,
        "https://arxiv.org/abs/1412.6550",
        "FitNets: Hints for Thin Deep Nets",
    )
    provenance = (
        "authors' code (half sum, two stages) and benchmark code (mean, one stage: the default; own_stage above 0 has "
        "the paper's hint stage first). Our decision: a linear 1x1 connector, without the benchmark's batch norm and "
        "ReLU, and pooling of the larger map"
    )
    convention = (
        "Mean over all elements, as benchmark code has it, there with weight 100. The original's half of the sum is "
        "chw/2 times larger."
        " Here 2, by measurement: on small pictures its gradient is then 0.5 to 1 times cross-entropy's."
    )
    pitfalls = (
        "The regressor may learn the task instead of the student: watch whether the student's own map moves.",
        "A hint from too deep a layer ties the student's hands.",
    )
    weight = 2.0
    rests = True
    matches = "one"
    prefers = "middle"
    reads = ("maps",)
    shows = (Shown("channels", "hint", "activation"),)

    own_stage = knob(
        0.0, 0.0, 0.9, help="Share of the epochs in which the student learns hints alone first. 0: beside the others."
    )

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        self.connector = linear_connector(student.maps[0], teacher.maps[0])

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        return {"fitnet": hint_error(ours, theirs)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """What the regressor makes of the guided layer, and the hint, (N, c, h, w) each."""
        ((ours, theirs),) = map_pairs(student, teacher)
        return [self.connector(ours)], [theirs]
