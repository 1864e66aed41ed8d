"""Mean teacher: the running average of a network's weights teaches the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.answer import Answer
from kdcore.network import Network
from kdcore.peers import (
    label_loss,
    on_validation,
    own_seed,
    right_share,
    rise,
    shares_by_class,
    spoken,
    view_of,
    with_twin,
)
from kdcore.recipe import Pick
from kdcore.response import soft_kl
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn, alone
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms


class MeanTeacher(Scheme):
    """The average of the network's weights over its last steps teaches it, without needing labels.

    An average of many steps errs less than each of them, and it is there at every step. Asked for the same answer to
    a distorted picture, the network learns from unlabelled pictures too.
    """

    title = "Self: mean teacher"
    kind = "self"
    uses_teacher = False
    uses_methods = False
    paper = Paper(
        "Tarvainen, Valpola", 2017, "https://arxiv.org/abs/1703.01780",
        "Mean teachers are better role models: Weight-averaged consistency targets improve semi-supervised "
        "deep learning results",
    )  # fmt: skip
    provenance = (
        "Paper: averages with a short memory at first, 1 - 1/(step + 1) at most, squared difference of probabilities, "
        "a Gaussian ramp. Ours: only the student's view is distorted, running statistics of batch norms are averaged "
        "like weights, and the memory is shorter than the paper's 0.999, for trainings of few steps."
    )
    pitfalls = (
        "A long memory in a short training keeps the average near where it began.",
        "Full weight from the first step lets the network agree with its own noise.",
    )
    example = {
        "data": {"is": "digits", "labelled": 0.05},
        "student": {"is": "plain", "width": 16, "stage_count": 2},
        "methods": [],
        "training": {"epochs": 40},
    }
    memory: float = knob(0.99, 0.0, 0.9999, help="What the average keeps of itself in each step.")
    weight: float = knob(10.0, 0.0, 200.0, help="Weight of the average's teaching beside the labels.")
    compare: str = knob(
        "squares", choices=("squares", "divergence"),
        help="squares: squared difference of class probabilities. divergence: KL at temperature 1.",
    )  # fmt: skip
    view: str = knob(
        "stronger", choices=("same", "moved", "stronger"),
        help="What the student sees of the picture that the average sees as it is.",
    )  # fmt: skip
    ramp: float = knob(0.3, 0.0, 1.0, help="Share of the training in which the average's teaching sets in.")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {
            "average": Casting(student, "assistant", twin_of="student"), "student": Casting(student, "student")
        }  # fmt: skip
        return with_twin(roles, student, self.baseline)

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        if self.baseline:
            yield alone(between, title="The network alone learns from the labels")
        seed = own_seed(between, "view")

        def own(moment: Moment) -> Terms:
            batch = moment.batch
            logits = moment.see("student").logits
            seen = logits
            if self.view != "same":
                view = view_of(batch.images, batch.index, kind=self.view, seed=seed, epoch=moment.epoch)
                seen = moment.see("student", view).logits
            told = moment.see("average").logits
            return {
                "ce": label_loss(logits, batch.labels),
                "average": self.apart(seen, told) * rise(batch.progress, self.ramp),
            }

        def after(moment: Moment) -> None:
            average(cast["student"], cast["average"], min(self.memory, 1.0 - 1.0 / (moment.step + 2)))

        def shows() -> Sequence[Answer]:
            roles = [role for role in ("average", "student", "baseline") if role in cast]
            logits = on_validation({role: cast[role] for role in roles}, between)
            truth = between.data().validation.truth
            told = ", ".join(f"{spoken(name)} {100 * right_share(one, between):.1f} %" for name, one in logits.items())
            parts = {"average": "teacher", "student": "student"}
            return [
                shares_by_class(
                    {name: logits[name].argmax(dim=1) == truth for name in parts}, parts, between,
                    title="The average and the student whose average it is", says=f"Right are: {told}.",
                    value_axis="accuracy on validation pictures",
                )
            ]  # fmt: skip

        turn = Turn("student", own=own, weights={"average": self.weight}, told_by=("average",))
        yield Phase(
            "student", "The average of its own weights teaches the student", (turn,), moving=("average",), after=after,
            shows=shows,
        )  # fmt: skip

    def apart(self, logits: Tensor, told: Tensor) -> Tensor:
        """How far apart (N, C) and (N, C) are, (N,)."""
        if self.compare == "divergence":
            return soft_kl(logits, told, 1.0)
        return (F.softmax(logits, dim=1) - F.softmax(told, dim=1)).square().sum(dim=1)


def average(source: nn.Module, target: nn.Module, keeps: float) -> None:
    """target = keeps * target + (1 - keeps) * source, for parameters and running statistics; counters are copied."""
    with torch.no_grad():
        ours = source.state_dict()
        for name, value in target.state_dict().items():
            if value.is_floating_point():
                value.lerp_(ours[name].to(value.dtype), 1.0 - keeps)
            else:
                value.copy_(ours[name])
