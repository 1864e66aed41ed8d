"""PS-KD: what the network said of a picture when it last saw it softens the picture's label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.answer import Answer
from kdcore.network import Network
from kdcore.peers import Kept, label_loss, shares_by_class, with_twin
from kdcore.recipe import Pick
from kdcore.response import log_softened
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn, alone
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms

FIRST = 0.01
"""Share of its end weight that the past has at the very beginning, where it still equals the labels."""


class ProgressiveTargets(Scheme):
    """Each picture's label is softened by what the network said of it in the epoch before.

    The past weighs little at first and most at the end, when it has become a good teacher. Hard pictures, about which
    the network was unsure, are thereby asked for less confidence.
    """

    title = "Self: own past predictions (PS-KD)"
    kind = "self"
    uses_teacher = False
    uses_methods = False
    paper = Paper(
        "Kim, Ji, Yoon, Hwang", 2021, "https://arxiv.org/abs/2006.12000",
        "Self-Knowledge Distillation with Progressive Refinement of Targets",
    )  # fmt: skip
    provenance = (
        "Paper and the authors' code: end weight 0.8, linear, temperature 1, answers kept as they were given in "
        "training mode. There the weight rises from epoch to epoch, here from step to step."
    )
    pitfalls = (
        "It keeps the answers to every picture: pictures times classes times 4 bytes.",
        "A label that is wrong all along pulls the past towards itself: few epochs help against noise, many do not.",
    )
    example = {
        "data": {"is": "digits", "label_noise": 0.6},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "methods": [],
        "training": {"epochs": 30},
    }
    end: float = knob(0.8, 0.0, 1.0, help="Weight of the past at the end of the training; the labels have the rest.")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        return with_twin({"student": Casting(student, "student")}, student, self.baseline)

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        if self.baseline:
            yield alone(between, title="The network alone learns from the labels")
        split, classes = between.data().train, between.data().classes
        past = Kept({"said": torch.zeros(int(split.index.max()) + 1, classes, device=between.device())})

        def begins() -> None:
            known = split.labels >= 0
            past["said"].zero_()
            past["said"][split.index[known]] = F.one_hot(split.labels[known], classes).float()

        def own(moment: Moment) -> Terms:
            batch = moment.batch
            logits = moment.see("student").logits
            share = self.end * max(FIRST, batch.progress)
            told = past["said"][batch.index]
            with torch.no_grad():  # as the network says it in this step; a look after the step would cost a pass
                past["said"][batch.index] = F.softmax(logits.float(), dim=1)
            return {
                "ce": (1.0 - share) * label_loss(logits, batch.labels), "past": share * towards(logits, told)
            }  # fmt: skip

        def shows() -> Sequence[Answer]:
            said = past["said"][split.index]
            right = (said.argmax(dim=1) == split.truth) & (said.sum(dim=1) > 0)
            labelled = split.labels == split.truth
            sure = float(said.amax(dim=1).mean())
            return [
                shares_by_class(
                    {"remembered class": right, "label": labelled}, {"remembered class": "student"}, between,
                    title="What it remembers of its training pictures",
                    says=f"The remembered class is the true one for {100 * float(right.float().mean()):.1f} % of the "
                    f"training pictures, the label for {100 * float(labelled.float().mean()):.1f} %; the remembered "
                    f"probability of the likeliest class is {sure:.2f} on average.",
                    value_axis="share that is the true class", split=split,
                )
            ]  # fmt: skip

        turn = Turn("student", own=own, told_by=("student",))
        yield Phase(
            "student", "What it said of a picture before softens the picture's label", (turn,), begins=begins,
            keeps={"past": past}, shows=shows,
        )  # fmt: skip


def towards(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of (N, C) logits with (N, C) probabilities, -> (N,); 0 where the target is empty."""
    return -(target * log_softened(logits, 1.0)).sum(dim=1)
