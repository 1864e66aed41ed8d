"""Factor transfer: the teacher's map paraphrased, the student's translated, and both compared."""

from __future__ import annotations

from torch import Tensor, nn

from kdcore.alignment import map_pairs
from kdcore.attention import energy
from kdcore.connector import channels
from kdcore.geometry import unit
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def normalised_factor(factor: Tensor, norm: str) -> Tensor:
    """A factor at length one, (N, c, h, w): "whole" over all its numbers, "places" its energy of each place, c=1."""
    kept = at_least_float(factor) if norm == "whole" else energy(factor)
    return unit(kept.flatten(1)).view_as(kept)


def factor_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean absolute difference of two factors, (N, c, h, w) x (N, c, h, w) -> (N,)."""
    return (student - teacher).abs().mean(dim=(1, 2, 3))


class FactorTransfer(Method):
    """Say what the teacher knows in fewer channels, and let the student learn that.

    A paraphraser, an autoencoder of the teacher's map, keeps what is needed to rebuild it; a translator brings the
    student's map there. Neither network's own coding of its channels has to be copied.
    """

    title = "Factor transfer (FT)"
    family = "feature"
    formula = (
        r"\frac{1}{chw} \left\Vert \frac{q(F_S)}{\Vert q(F_S) \Vert_2} - \frac{p(F_T)}{\Vert p(F_T) \Vert_2} "
        r"\right\Vert_1 + \frac{1}{c_T hw} \left\Vert \bar p(p(F_T)) - F_T \right\Vert_2^2"
    )
    paper = Paper(
        "Kim, Park, Kwak",
        2018,
        "https://arxiv.org/abs/1802.04977",
        "Paraphrasing Complex Network: Network Compression via Factor Transfer",
    )
    provenance = (
        "authors' code (layers, norm) and benchmark code (RepDistiller: norm places). As there, the paraphraser "
        "learns first (own_stage) and is then held still; with own_stage 0, our own variant, it learns beside the "
        "student, by a reconstruction term that sends the student no gradient and gets none from it"
    )
    convention = (
        "Default: factors at length one as a whole, mean absolute difference, as the authors have it, there with "
        "weight 500. RepDistiller (norm places) compares the energy of places, weight 200. Reconstruction is squared, "
        "as in the paper; the authors' code takes the absolute difference."
        " Here 80, by measurement: on small pictures its gradient is then 0.7 to 1.2 times cross-entropy's (0.2 to "
        "0.6 on 28x28)."
    )
    pitfalls = (
        "With own_stage 0 the student follows a paraphraser that still learns: its target moves at first.",
        "It shrinks with the size of the factor: its numbers have length one together.",
        "The paraphraser ends in a leaky ReLU and fits maps after a ReLU, not signed ones.",
    )
    weight = 80.0
    rests = False
    matches = "one"
    prefers = "last"
    reads = ("maps",)
    shows = (Shown("channels", "factor", "activation, the factor at length one"),)
    own_terms = ("reconstruction",)
    own_parts = ("paraphraser", "rebuilder")
    own_stage = knob(
        0.2, 0.0, 0.9, help="Share of the epochs in which the paraphraser learns first. 0: beside the student."
    )
    rate: float = knob(0.5, 0.1, 1.0, help="Channels of the factor, as a share of the teacher's.")
    norm: str = knob("whole", choices=("whole", "places"), help="What has length one: all of it, or places' energies.")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        ours, theirs = channels(student.maps[0]), channels(teacher.maps[0])
        factor = max(1, round(self.rate * theirs))
        self.translator = nn.Sequential(step(ours, ours), step(ours, factor), step(factor, factor))
        self.paraphraser = nn.Sequential(step(theirs, theirs), step(theirs, factor), step(factor, factor))
        self.rebuilder = nn.Sequential(
            step(factor, factor, back=True), step(factor, theirs, back=True), step(theirs, theirs, back=True)
        )

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        ((ours, theirs),) = map_pairs(student, teacher)
        paraphrased = self.paraphraser(theirs)
        rebuilt = at_least_float(self.rebuilder(paraphrased))
        translated = normalised_factor(self.translator(ours), self.norm)
        target = normalised_factor(paraphrased.detach(), self.norm)
        return {
            "factor": factor_error(translated, target),
            "reconstruction": (rebuilt - theirs).square().mean(dim=(1, 2, 3)),
        }

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The student's factor translated and the teacher's paraphrased, both at length one, (N, c, h, w)."""
        ((ours, theirs),) = map_pairs(student, teacher)
        translated, paraphrased = self.translator(ours), self.paraphraser(theirs)
        return [normalised_factor(translated, self.norm)], [normalised_factor(paraphrased, self.norm)]


def step(inputs: int, outputs: int, *, back: bool = False) -> nn.Sequential:
    """3x3 convolution (`back`: transposed) and leaky ReLU, (N, inputs, h, w) -> (N, outputs, h, w)."""
    kind = nn.ConvTranspose2d if back else nn.Conv2d
    return nn.Sequential(kind(inputs, outputs, 3, padding=1), nn.LeakyReLU(0.1))
