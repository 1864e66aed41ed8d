"""Parameter distribution: hold the student's weights to the spread of the teacher's, depth by depth."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms

BINS = 32
REACH = 3.0
"""Standard deviations of the teacher's weights that the bins cover to either side."""
MOST = 2**16
"""Weights of a group that are counted, evenly spaced where there are more: each costs a number in every bin."""
LEAST = 1e-7
"""The smallest share of a bin in a logarithm."""


def groups_of(parameters: Mapping[str, Tensor], count: int) -> list[Tensor]:
    """The weights of convolutions and linear layers, shallow to deep, in so many groups of layers, (n,) each.

    Layers are dealt by their relative depth, so two networks of any depth have groups that stand beside each other;
    biases and norms do not count. Fewer groups where a network has fewer layers.

    Raises ValueError where there are no weights.
    """
    layers = [values.flatten() for values in parameters.values() if values.ndim > 1]
    if not layers:
        raise ValueError("an exit of a network has no parameters of its own, so their distribution cannot be compared")
    count = min(count, len(layers))
    dealt: list[list[Tensor]] = [[] for _ in range(count)]
    for number, layer in enumerate(layers):
        dealt[number * count // len(layers)].append(layer)
    return [at_least_float(torch.cat(group)) for group in dealt]


def histogram(values: Tensor) -> Tensor:
    """The share of standardised values (n,) in each of 32 bins from -3 to 3, (32,), adding up to one.

    A value counts in every bin by a Gaussian as wide as a bin, with shares that add up to one for each value, so one
    that lies outside counts in the last bin and nothing is lost. Smooth in the values.
    """
    width = 2 * REACH / BINS
    centres = torch.linspace(-REACH + width / 2, REACH - width / 2, BINS, dtype=values.dtype, device=values.device)
    counted = values[:: -(-len(values) // MOST)]
    return (-0.5 * ((counted[:, None] - centres) / width).square()).softmax(dim=1).mean(dim=0)


def standardised(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both groups of weights in the teacher's mean and deviation, (n,) and (m,); a deviation of 0 counts as 1."""
    mean, deviation = teacher.mean(), teacher.std(unbiased=False)
    deviation = torch.where(deviation > 1e-12, deviation, 1.0)
    return (student - mean) / deviation, (teacher - mean) / deviation


class ParameterDistribution(Method):
    """Spread the weights as the teacher's are spread, group of layers by group of layers.

    Which weight is which cannot be compared between networks of different size, but how many are large and how many
    are near zero can. Taken over groups of layers instead of single ones, a misfit does not pile up with depth.
    """

    title = "Parameter distribution (inspired by KR)"
    family = "parameter"
    formula = (
        r"\sum_g -\sum_b h^T_{g,b} \log h^S_{g,b} + \lambda \sum_g \overline{|\hat{w}_S^g|}, "
        r"\quad \hat{w} = \frac{w - \mu_T^g}{\sigma_T^g}"
    )
    paper = Paper(
        "Liu, Wen, Gao, Tao, Chen, Osa, Kato",
        2019,
        "https://arxiv.org/abs/1911.05329",
        "Knowledge Representing: Efficient, Sparse Representation of Prior Knowledge for Knowledge Distillation",
    )
    provenance = (
        "summaries only, no code is public: inspired by it. Our decisions: a soft histogram of 32 Gaussian bins within "
        "three of the teacher's deviations, groups of layers by relative depth, cross-entropy between histograms, and "
        "the mean absolute weight as the sparsity penalty, where the source penalises the student's gradients"
    )
    convention = (
        "Sum over groups of a cross-entropy and of a mean; one number for the batch, the same for each image. Its "
        "least value is the entropy of the teacher's histograms, not zero. No public convention is known to compare "
        "with. "
        "Here 0.3, by measurement: on small pictures its gradient is then 0.1 to 0.6 times cross-entropy's (0.3 to "
        "0.7 on 28x28)."
    )
    pitfalls = (
        "A distribution says nothing of which weight is where: it shapes the student, it does not tell it anything.",
        "Scales count: a student with batch norms can keep its answers while it follows the teacher's scale.",
        "It does not look at the pictures, so no image hurts more than another.",
        "Of groups with more than 65,536 weights only evenly spaced ones are counted.",
    )
    weight = 0.3
    rests = False
    reads = ("parameters",)
    no_view = "It compares how the weights of whole groups of layers are spread, nothing of a picture."
    groups: int = knob(3, 1, 16, help="Groups of layers, shallow to deep, that are compared.")
    sparsity: float = knob(0.1, 0.0, 10.0, help="Factor of the mean absolute weight (lambda); 0 leaves it out.")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        for seen in (student, teacher):
            groups_of(seen.parameters, self.groups)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        fits, sizes = [], []
        count = min(self.groups, *(weights_in(seen) for seen in (student, teacher)))
        theirs = [group.detach() for group in groups_of(teacher.parameters, count)]
        for mine, yours in zip(groups_of(student.parameters, count), theirs, strict=True):
            ours, target = standardised(mine, yours)
            fits.append(-(histogram(target) * histogram(ours).clamp(min=LEAST).log()).sum())
            sizes.append(ours.abs().mean())
        number = len(batch.index)
        terms = {"distribution": torch.stack(fits).sum().expand(number)}
        if self.sparsity > 0.0:
            terms["sparsity"] = (self.sparsity * torch.stack(sizes).sum()).expand(number)
        return terms


def weights_in(seen: Seen) -> int:
    """How many layers with weights there are."""
    return max(1, sum(1 for values in seen.parameters.values() if values.ndim > 1))
