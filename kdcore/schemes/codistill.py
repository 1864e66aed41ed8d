"""Codistillation: replicas that now and then exchange stale copies of themselves and learn from the others' copies."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.answer import Answer
from kdcore.answers.matrix import Matrix
from kdcore.network import Network
from kdcore.peers import copied, label_loss, on_validation, peer_names, still, with_twin
from kdcore.recipe import Pick
from kdcore.response import log_softened
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn, alone
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms


class Codistillation(Scheme):
    """Replicas learn from pictures of their own, and from what old copies of the other replicas say about them.

    Made for training on many machines: weights are exchanged seldom, and a copy that is some steps old teaches nearly
    as well as a fresh one. What one replica learned from its pictures reaches the others through its answers.
    """

    title = "Online: codistillation"
    kind = "online"
    uses_teacher = False
    uses_methods = False
    paper = Paper(
        "Anil, Pereyra, Passos, Ormandi, Dahl, Hinton", 2018, "https://arxiv.org/abs/1804.03235",
        "Large scale distributed neural network training through online distillation",
    )  # fmt: skip
    provenance = (
        "Paper alone. A burn-in of 15 % lies in its range. Replicas here take turns on one machine; a copy answers in "
        "eval mode, with the averages of its batch norms."
    )
    pitfalls = (
        "With pictures of its own a replica learns from a part of each batch; the student alone learns from all of it.",
        "Without a burn-in the replicas learn from copies that know nothing yet.",
    )
    example = {
        "data": {"is": "digits", "label_noise": 0.6},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "scheme": {"is": "codistill", "pictures": "same"},
        "methods": [],
        "training": {"epochs": 30},
    }
    peers: int = knob(2, 2, 4, help="How many replicas learn together.", unit="replicas")
    every: int = knob(20, 1, 1000, help="Steps after which each replica's copy is made anew.", unit="steps")
    burn_in: float = knob(0.15, 0.0, 0.9, help="Share of the training in which each learns from the labels alone.")
    weight: float = knob(1.0, 0.0, 20.0, help="Weight of the copies' teaching beside the labels.")
    pictures: str = knob(
        "disjoint", choices=("disjoint", "same"),
        help="disjoint (the paper): each replica has its own part of the pictures. same: all learn from all.",
    )  # fmt: skip

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        names = peer_names(self.peers)
        roles = {name: Casting(student, "student" if name == "student" else "peer") for name in names}
        return with_twin(roles, student, self.baseline)

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        if self.baseline:
            yield alone(between, title="One student alone learns from the labels of all pictures")
        names = peer_names(self.peers)
        copies = {name: still(copy.deepcopy(cast[name])) for name in names}

        def exchange() -> None:
            for name in names:
                copied(cast[name], copies[name])

        def learning(number: int, name: str) -> Callable[[Moment], Terms]:
            others = [copies[other] for other in names if other != name]

            def own(moment: Moment) -> Terms:
                batch = moment.batch
                rows = torch.arange(len(batch.labels), device=batch.labels.device)
                if self.pictures == "disjoint":
                    rows = rows[batch.index % self.peers == number]
                if len(rows) < 2:  # by chance, in a small batch: nothing is learned, and batch norms see no lone one
                    return {"ce": 0.0 * moment.see(name).logits.sum(dim=1), "copies": batch.images.new_zeros(1)}
                images, labels = batch.images[rows], batch.labels[rows]
                logits = moment.see(name, images).logits
                count = len(batch.labels)
                told = logits.new_zeros(len(rows))
                if batch.progress >= self.burn_in:
                    with torch.no_grad():
                        target = torch.stack([F.softmax(one.eval()(images), dim=1) for one in others]).mean(dim=0)
                    told = -(target * log_softened(logits, 1.0)).sum(dim=1)
                return {
                    "ce": spread(label_loss(logits, labels), rows, count),
                    "copies": spread(told, rows, count),
                }

            return own

        def after(moment: Moment) -> None:
            if (moment.step + 1) % self.every == 0:
                exchange()

        def shows() -> Sequence[Answer]:
            networks = {name: cast[name] for name in names}
            return [apart(on_validation(networks, between), on_validation(copies, between))]

        turns = tuple(
            Turn(name, own=learning(number, name), weights={"copies": self.weight},
                 told_by=tuple(other for other in names if other != name))
            for number, name in enumerate(names)
        )  # fmt: skip
        yield Phase(
            "together", f"{self.peers} replicas learn from their pictures and from one another's old copies", turns,
            begins=exchange, after=after, keeps={f"copy of {name}": one for name, one in copies.items()}, shows=shows,
        )  # fmt: skip


def spread(losses: Tensor, rows: Tensor, count: int) -> Tensor:
    """(R,) losses of these rows of a batch -> (count,), 0 elsewhere, whose mean is that of the losses."""
    return losses.new_zeros(count).index_put((rows,), losses * (count / len(rows)))


def apart(live: Mapping[str, Tensor], old: Mapping[str, Tensor]) -> Matrix:
    """How often each replica and each copy say the same class, from (V, C) logits by name."""
    names = list(live)
    now, then = (torch.stack([one[name].argmax(dim=1) for name in names]) for one in (live, old))
    shares = (now[:, None] == then[None, :]).float().mean(dim=2)
    own = torch.eye(len(names), dtype=torch.bool, device=shares.device)
    return Matrix(
        "Replicas and the copies they learn from",
        f"A replica says the same class as its own last copy for {100 * float(shares[own].mean()):.1f} % of the "
        f"validation pictures, as the others' copies for {100 * float(shares[~own].mean()):.1f} %.",
        {"same class": shares.cpu().numpy()}, rows=names, columns=[f"copy of {name}" for name in names],
        row_axis="replica as it is", column_axis="copy", value_axis="share of validation pictures", low=0.0, high=1.0,
        spread={}, centre={},
    )  # fmt: skip
