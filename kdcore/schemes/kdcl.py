"""KDCL: peers that see different views learn from an ensemble made of what all of them say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.collaborative import general_weights, linear_weights, lowest_logits, lowest_loss, naive
from kdcore.network import Network
from kdcore.peers import Kept, agreement, label_loss, on_validation, own_seed, peer_names, view_of, with_twin
from kdcore.recipe import Pick
from kdcore.response import soft_kl
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms


class CollaborativeLearning(Scheme):
    """Peers look at differently distorted views of a picture and learn from an ensemble of all their answers.

    Together they know more than each of them, and no teacher has to be trained first. How the ensemble is made is the
    question of the paper: the best peer of each picture, a weighted sum, or the least confident wrong classes.
    """

    title = "Online: collaborative learning (KDCL)"
    kind = "online"
    uses_teacher = False
    uses_methods = False
    paper = Paper(
        "Guo, Wang, Wu, Yu, Liang, Hu, Luo", 2020,
        "https://openaccess.thecvf.com/content_CVPR_2020/html/"
        "Guo_Online_Knowledge_Distillation_via_Collaborative_Learning_CVPR_2020_paper.html",
        "Online Knowledge Distillation via Collaborative Learning",
    )  # fmt: skip
    provenance = (
        "Paper alone; its code is not public. Ours: peers step in turn, each hearing the others as they are by then; "
        "the linear weights are found anew for each batch; the general ones every few steps on validation pictures, "
        "without peers whose weight would be negative."
    )
    pitfalls = (
        "All four ensembles but the general one read the labels: with wrong labels, naive and minlogit teach them "
        "again with more confidence.",
        "The general ensemble weighs peers by their errors on validation pictures, whose accuracy then flatters it.",
    )
    example = {
        "data": {"is": "digits", "train_size": 150},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "scheme": {"is": "kdcl", "ensemble": "general"},
        "methods": [],
        "training": {"epochs": 60, "batch": 32},
    }
    peers: int = knob(2, 2, 4, help="How many students learn together.", unit="students")
    ensemble: str = knob(
        "minlogit",
        choices=("naive", "linear", "minlogit", "general"),
        help="naive: each picture's best peer. linear: the sum that fits the batch's labels best. minlogit: each class "
        "as low as any peer has it beside the true one. general: the sum that errs least on validation pictures.",
    )  # fmt: skip
    temperature: float = knob(2.0, 1.0, 20.0, help="Softness of the ensemble's and the peers' classes.")
    weight: float = knob(1.0, 0.0, 20.0, help="Weight of the ensemble's teaching beside the labels.")
    view: str = knob(
        "moved", choices=("moved", "stronger"),
        help="What is done to each peer's picture: moved by up to an eighth, or also paler or stronger and covered.",
    )  # fmt: skip
    every: int = knob(20, 1, 1000, help="Steps after which the general weights are found anew.", unit="steps")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        names = peer_names(self.peers)
        roles = {name: Casting(student, "student" if name == "student" else "peer") for name in names}
        return with_twin(roles, student, self.baseline)

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        names = peer_names(self.peers)
        networks = {name: cast[name] for name in names}
        seeds = {name: own_seed(between, f"view {name}") for name in names}
        kept = Kept({"weights": torch.full((self.peers,), 1 / self.peers, device=between.device())})

        def said(moment: Moment, role: str, view: str) -> Tensor:
            batch = moment.batch
            images = view_of(batch.images, batch.index, kind=self.view, seed=seeds[view], epoch=moment.epoch)
            return moment.see(role, images).logits

        def alone(moment: Moment) -> Terms:
            return {"ce": label_loss(said(moment, "baseline", "student"), moment.batch.labels)}

        def together(name: str) -> Callable[[Moment], Terms]:
            def own(moment: Moment) -> Terms:
                logits = {other: said(moment, other, other) for other in names}
                told = self.combined(
                    torch.stack([one.detach() for one in logits.values()]).float(), moment.batch.labels, kept["weights"]
                )
                mine = logits[name]
                return {
                    "ce": label_loss(mine, moment.batch.labels),
                    "ensemble": soft_kl(mine, told, self.temperature),
                }

            return own

        def probabilities() -> Tensor:
            return F.softmax(torch.stack(list(on_validation(networks, between).values())), dim=2)

        def after(moment: Moment) -> None:
            if moment.step % self.every == 0:
                kept["weights"].copy_(general_weights(probabilities(), between.data().validation.truth))

        def shows() -> Sequence[Answer]:
            logits = on_validation(networks, between)
            return [self.voices(logits, between.data().validation.truth, kept["weights"]), agreement(logits)]

        if self.baseline:
            turn = Turn("baseline", own=alone)
            yield Phase("baseline", "One student alone learns from the labels, on such views", (turn,))
        turns = tuple(
            Turn(name, own=together(name), weights={"ensemble": self.weight},
                 told_by=tuple(other for other in names if other != name))
            for name in names
        )  # fmt: skip
        yield Phase(
            "together", f"{self.peers} students learn from the labels and from their {self.ensemble} ensemble", turns,
            keeps={"general": kept}, after=after if self.ensemble == "general" else None, shows=shows,
        )  # fmt: skip

    def combined(self, logits: Tensor, labels: Tensor, general: Tensor) -> Tensor:
        """The ensemble's logits from the peers', (M, N, C) -> (N, C)."""
        if self.ensemble == "naive":
            return naive(logits, labels)
        if self.ensemble == "minlogit":
            return lowest_logits(logits, labels)
        weights = general if self.ensemble == "general" else linear_weights(logits, labels)
        return torch.einsum("m,mnc->nc", weights.to(logits.dtype), logits)

    def voices(self, logits: Mapping[str, Tensor], truth: Tensor, general: Tensor) -> Bars:
        """How much of the ensemble comes from each peer, on validation pictures with their true labels."""
        stacked = torch.stack(list(logits.values()))
        if self.ensemble == "naive":
            counts = torch.bincount(lowest_loss(stacked, truth), minlength=len(stacked)).float()
            what, shares = "share of pictures it answers", counts / counts.sum()
        elif self.ensemble == "minlogit":
            places = truth[None, :, None].expand(len(stacked), -1, 1)
            lowest = (stacked - stacked.gather(2, places)).argmin(dim=0)
            others = lowest[F.one_hot(truth, stacked.shape[2]) == 0]
            what, shares = (
                "share of wrong classes it sets",
                torch.bincount(others, minlength=len(stacked)) / len(others),
            )
        else:
            what = "weight in the sum"
            shares = general if self.ensemble == "general" else linear_weights(stacked, truth)
        names, values = list(logits), shares.float().cpu().numpy()
        told = self.combined(stacked, truth, general)
        right = {name: float((one.argmax(dim=1) == truth).float().mean()) for name, one in logits.items()}
        ensemble = float((told.argmax(dim=1) == truth).float().mean())
        best = names[int(values.argmax())]
        knows = " (it reads the true labels)" if self.ensemble != "general" else ""
        return Bars(
            "Who speaks in the ensemble",
            f"Most comes from {best}: {100 * float(values.max()):.0f} %. On validation pictures the ensemble{knows} is "
            f"right for {100 * ensemble:.1f} %, the student for {100 * right['student']:.1f} %.",
            {what: values}, names, category_axis="network", value_axis=what, low=0.0,
            high=1.0, parts={what: "student"}, reference=1 / len(names),
            reference_says="even",
        )  # fmt: skip
