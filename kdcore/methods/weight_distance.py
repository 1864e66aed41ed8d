"""Weight distance: stay near the teacher's own weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def alike(student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """The parameters of both, pair by pair. Raises ValueError where names or shapes differ."""
    if not student or not teacher:
        raise ValueError("an exit of a network has no parameters of its own, so its weights cannot be compared")
    for name in dict.fromkeys((*student, *teacher)):
        shapes = [f"of shape {tuple(side[name].shape)}" if name in side else "missing" for side in (student, teacher)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{name} is {shapes[0]} in the student and {shapes[1]} in the teacher; weights can be compared between "
                "networks of one kind and size alone"
            )
    return [(student[name], teacher[name].detach()) for name in student]


def half_squared_distance(pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Half the sum of squared differences, ()."""
    return 0.5 * torch.stack([(at_least_float(ours) - theirs).square().sum() for ours, theirs in pairs]).sum()


class WeightDistance(Method):
    """Stay near the teacher's own weights.

    The simplest parameter knowledge: the teacher's weights are the centre to which the student's decay, instead of
    zero. It helps a student that starts at or near the teacher; two networks that grew apart have no neurons in common.
    """

    title = "Weight distance (L2-SP)"
    family = "parameter"
    formula = r"\frac{1}{2} \sum_l \left\Vert W_S^l - W_T^l \right\Vert_2^2"
    paper = Paper(
        "Li, Grandvalet, Davoine",
        2018,
        "https://arxiv.org/abs/1802.01483",
        "Explicit Inductive Bias for Transfer Learning with Convolutional Networks",
    )
    provenance = "paper only. Our decision: all learned numbers alike, the classifier and the norms' included"
    convention = (
        "Half the sum over all parameters, as the paper has it: its gradient is the difference itself. One number for "
        "the batch, the same for each image. "
        "Here 0.05, by measurement: from another random start its gradient is then 0.2 to 0.8 times cross-entropy's "
        "(0.2 to 1.4 on 28x28)."
    )
    pitfalls = (
        "Only for networks of one kind and size; the sum grows with the network, and the weight must shrink.",
        "Networks that learned alone hold the same function in another order of neurons: nearness means little.",
        "It does not look at the pictures, so no image hurts more than another.",
    )
    weight = 0.05
    rests = True
    reads = ("parameters",)
    shows = (Shown("weights", "weights", "weight"),)

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        alike(student.parameters, teacher.parameters)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        distance = half_squared_distance(alike(student.parameters, teacher.parameters))
        return {"weight_distance": distance.expand(len(batch.index))}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Every tensor of weights, in the networks' order. Raises ValueError for networks of different shapes."""
        pairs = alike(student.parameters, teacher.parameters)
        return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]
