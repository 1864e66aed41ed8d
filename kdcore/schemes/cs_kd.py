"""CS-KD: pictures of one class are to be answered alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.answer import Answer
from kdcore.answers.matrix import Matrix
from kdcore.dataset import augment
from kdcore.network import Network
from kdcore.peers import label_loss, on_validation, own_seed, spoken, with_twin
from kdcore.recipe import Pick
from kdcore.response import soft_kl
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn, alone
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms


class ClassWise(Scheme):
    """What the network says of one picture teaches it what to say of another of the same class.

    Wrong classes that two pictures of a class do not share are noise; asking for the same answer evens them out and
    keeps the network from being too sure of single pictures.
    """

    title = "Self: class-wise (CS-KD)"
    kind = "self"
    uses_teacher = False
    uses_methods = False
    paper = Paper(
        "Yun, Park, Lee, Shin", 2020, "https://arxiv.org/abs/2003.13964",
        "Regularizing Class-wise Predictions via Self-knowledge Distillation",
    )  # fmt: skip
    provenance = (
        "Paper and the authors' code: T = 4, weight 1, the labels for the first picture of a pair alone, the second "
        "looked at in training mode without gradient. A picture may be its own partner, as there."
    )
    pitfalls = (
        "The partners pass through the batch norms too: their statistics see twice the pictures.",
        "Pairs go by the label: with wrong labels, pictures of different classes are asked to be answered alike.",
    )
    example = {
        "data": {"is": "digits", "train_size": 150},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "methods": [],
        "training": {"epochs": 60, "batch": 32},
    }
    temperature: float = knob(4.0, 1.0, 20.0, help="Softness of both pictures' classes.")
    weight: float = knob(1.0, 0.0, 20.0, help="Weight of the partner's teaching; the authors take 3 for fine classes.")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        return with_twin({"student": Casting(student, "student")}, student, self.baseline)

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        if self.baseline:
            yield alone(between, title="The network alone learns from the labels")
        data = between.data()
        network, split = cast["student"], data.train
        seed = own_seed(between, "partners")
        groups = Groups(split.labels, data.classes)

        def own(moment: Moment) -> Terms:
            labels = moment.batch.labels
            logits = moment.see("student").logits
            rows = groups.partners(labels, moment.generator)
            images = augment(
                split.images[rows], split.index[rows],
                kind=data.augmentation, seed=seed, epoch=data.view(moment.epoch),
            )  # fmt: skip
            with torch.no_grad():
                told = network.look(images).logits
            alike = soft_kl(logits, told, self.temperature)
            return {"ce": label_loss(logits, labels), "partner": alike * (labels >= 0).to(alike.dtype)}

        def shows() -> Sequence[Answer]:
            return [distances(on_validation(
                {role: cast[role] for role in ("baseline", "student") if role in cast}, between), between)]  # fmt: skip

        turn = Turn("student", own=own, weights={"partner": self.weight}, told_by=("student",))
        yield Phase("student", "A picture's answer teaches another of its class", (turn,), shows=shows)


class Groups:
    """The rows of a split by their label, to draw partners from."""

    def __init__(self, labels: Tensor, classes: int) -> None:
        known = (labels >= 0).nonzero().flatten()
        self.rows = known[labels[known].argsort(stable=True)]
        self.counts = torch.bincount(labels[known], minlength=classes)
        self.starts = self.counts.cumsum(dim=0) - self.counts

    def partners(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """For each of (N,) labels a row with that label, drawn evenly; any row where it is -1."""
        known = labels.clamp(min=0)
        draws = torch.rand(len(labels), generator=generator, dtype=torch.float64).to(labels.device)
        counts = self.counts[known]
        within = torch.minimum((draws * counts).long(), (counts - 1).clamp(min=0))
        return self.rows[(self.starts[known] + within).clamp(max=len(self.rows) - 1)]


def distances(logits: Mapping[str, Tensor], between: Between) -> Matrix:
    """Mean divergence between what the student says of two pictures, by their true classes.

    From each network's (V, C) logits; of the others only the mean within a class is told.
    """
    data = between.data()
    truth = data.validation.truth
    classes = F.one_hot(truth, data.classes).float()
    pairs = classes.sum(dim=0)[:, None] * classes.sum(dim=0)[None, :]
    found: dict[str, Tensor] = {}
    for name, said in logits.items():
        log = F.log_softmax(said, dim=1)
        negative = (log.exp() * log).sum(dim=1)
        apart = negative[:, None] - log.exp() @ log.T  # KL(row ‖ column), each picture with each
        sums = classes.T @ apart @ classes
        found[name] = sums / pairs.clamp(min=1.0)
    told = ", ".join(f"{spoken(name)} {float(means.diagonal().mean()):.2f}" for name, means in found.items())
    values = found["student"].cpu().numpy()
    return Matrix(
        "How differently the student answers two pictures, by their classes",
        f"Mean divergence between pictures of the same class, on the diagonal: {told} nats.",
        {"student": values}, rows=list(data.class_names), columns=list(data.class_names),
        row_axis="class of one picture", column_axis="class of the other", value_axis="mean KL divergence, nats",
        low=0.0, high=max(1.0, float(values.max())), spread={}, centre={},
    )  # fmt: skip
