"""DDGSD: two distorted views of a picture teach each other within one network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from kdcore.answer import Answer
from kdcore.network import Network
from kdcore.peers import label_loss, own_seed, shares_by_class, spoken, view_of, with_twin
from kdcore.recipe import Pick
from kdcore.response import soft_kl
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn
from kdcore.scoring import logits_of
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Seen, Terms


class DataDistortion(Scheme):
    """Each picture is shown in two distorted views, and what the network says of one teaches it the other.

    A distortion that changes the answer was not understood. The student alone learns from the labels of the same two
    views, so that what is compared is the teaching and not the distortions.
    """

    title = "Self: data distortion (DDGSD)"
    kind = "self"
    uses_teacher = False
    uses_methods = False
    paper = Paper(
        "Xu, Liu", 2019, "https://ojs.aaai.org/index.php/AAAI/article/view/4498",
        "Data-Distortion Guided Self-Distillation for Deep Neural Networks",
    )  # fmt: skip
    provenance = (
        "Paper and a port (Self-KD-Lib): half of both cross-entropies, both divergences at temperature 1 with the "
        "other view as a fixed target, 0.0005 times the squared distance of the views' mean embeddings. The port "
        "averages these over all dimensions first, which leaves next to nothing; here each dimension counts."
    )
    pitfalls = (
        "Distortions help by themselves: only against a student with the same views is the teaching seen.",
        "Two passes a step: it costs twice as much as learning from one view.",
    )
    example = {
        "data": {"is": "digits", "train_size": 150},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "methods": [],
        "training": {"epochs": 60, "batch": 32},
    }
    view: str = knob(
        "stronger", choices=("moved", "stronger"),
        help="What is done to a picture: moved by up to an eighth, or also made paler or stronger and partly covered.",
    )  # fmt: skip
    weight: float = knob(1.0, 0.0, 20.0, help="Weight of what the views teach each other.")
    mean: float = knob(5e-4, 0.0, 1.0, help="Weight of the distance between the views' mean embeddings.")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        return with_twin({"student": Casting(student, "student")}, student, self.baseline)

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        seeds = [own_seed(between, f"view {number}") for number in (1, 2)]

        def seen(moment: Moment, role: str) -> list[Seen]:
            batch = moment.batch
            return [
                moment.see(role, view_of(batch.images, batch.index, kind=self.view, seed=seed, epoch=moment.epoch))
                for seed in seeds
            ]

        def alone(moment: Moment) -> Terms:
            one, other = (label_loss(view.logits, moment.batch.labels) for view in seen(moment, "baseline"))
            return {"ce": 0.5 * (one + other)}

        def own(moment: Moment) -> Terms:
            one, other = seen(moment, "student")
            labels = 0.5 * (label_loss(one.logits, moment.batch.labels) + label_loss(other.logits, moment.batch.labels))
            told = soft_kl(one.logits, other.logits.detach(), 1.0) + soft_kl(other.logits, one.logits.detach(), 1.0)
            return {"ce": labels, "views": told, "means": means_apart(one.embedding, other.embedding).view(1)}

        def shows() -> Sequence[Answer]:
            return [
                self.agreeing({role: cast[role] for role in ("baseline", "student") if role in cast}, seeds, between)
            ]

        if self.baseline:
            turn = Turn("baseline", own=alone)
            yield Phase("baseline", "The network alone learns from the labels of both views", (turn,))
        turn = Turn(
            "student", own=own, weights={"views": self.weight, "means": self.mean}, told_by=("student",)
        )  # fmt: skip
        yield Phase("student", "The two views of a picture teach each other", (turn,), shows=shows)

    def agreeing(self, networks: Mapping[str, Network], seeds: list[int], between: Between) -> Answer:
        """How often both views of a validation picture are given the same class, for each network."""
        split = between.data().validation
        views = [view_of(split.images, split.index, kind=self.view, seed=seed, epoch=0) for seed in seeds]
        same: dict[str, torch.Tensor] = {}
        for name, network in networks.items():
            one, other = (logits_of(network, view).argmax(dim=1) for view in views)
            same[name] = one == other
        told = ", ".join(f"{spoken(name)} {100 * float(yes.float().mean()):.1f} %" for name, yes in same.items())
        return shares_by_class(
            same, {name: name for name in same}, between,
            title="Both views of a picture are given the same class",
            says=f"Over all validation pictures: {told}.",
            value_axis="share of validation pictures",
        )  # fmt: skip


def means_apart(one: Tensor, other: Tensor) -> Tensor:
    """Squared distance between the mean embeddings of two batches, (N, D) each -> (): MMD with a linear kernel."""
    return (one.mean(dim=0) - other.mean(dim=0)).square().sum()
