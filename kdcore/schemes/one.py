"""ONE: branches on one trunk, taught by their own gated ensemble."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.answers.matrix import Matrix
from kdcore.network import Network, pool, start_evenly
from kdcore.peers import label_loss, right_share, rise, with_twin
from kdcore.recipe import Pick, RecipeError
from kdcore.response import soft_kl
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn, alone
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Seen, Terms


class NativeEnsemble(Scheme):
    """The network grows copies of its last stage, and their gated sum teaches each of them.

    A strong teacher comes to be while the student learns, in one training and at the price of a few late layers. All
    branches share the stages below, so what one is taught shapes them all. Afterwards one branch is kept: the score
    of the student is that of its first branch alone.
    """

    title = "Online: native ensemble (ONE)"
    kind = "online"
    uses_teacher = False
    uses_methods = False
    paper = Paper(
        "Lan, Zhu, Gong", 2018, "https://arxiv.org/abs/1806.04606",
        "Knowledge Distillation by On-the-Fly Native Ensemble",
    )  # fmt: skip
    provenance = (
        "Paper and the authors' code: sum of the branches' cross-entropies, the ensemble's, and the soft targets with "
        "T = 3 and a Gaussian ramp. The ramp lasts for a share of the training (the code: 80 of 300 epochs)."
    )
    pitfalls = (
        "The soft targets leave the gate alone: it learns from the ensemble's cross-entropy.",
        "With one branch there is no ensemble and nothing is distilled.",
    )
    example = {
        "data": {"is": "digits", "label_noise": 0.6},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "methods": [],
        "training": {"epochs": 30},
    }
    branches: int = knob(3, 1, 5, help="How many copies of the last stage and the classifier.", unit="branches")
    temperature: float = knob(3.0, 1.0, 20.0, help="Softness of the ensemble's and the branches' classes.")
    ramp: float = knob(0.27, 0.0, 1.0, help="Share of the training in which the ensemble's teaching sets in.")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        return with_twin({"student": Casting(student, "student")}, student, self.baseline)

    def dress(self, role: str, network: Network, look: Callable[[], Seen]) -> Network:
        return network if role != "student" or self.branches == 1 else WithBranches(network, look(), self.branches)

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        if self.baseline:
            yield alone(between, title="The network alone learns from the labels")
        if self.branches == 1:
            turn = Turn("student", (between.alone("student"),))
            yield Phase("student", "One branch alone: nothing is distilled", (turn,))
            return
        network = cast["student"]
        assert isinstance(network, WithBranches)
        with between.seeded("gate"):
            gate = Gate(network.channels, self.branches).to(between.device())

        def own(moment: Moment) -> Terms:
            seen, labels = moment.see("student"), moment.batch.labels
            branches = torch.stack([seen.logits, *(one.logits for one in seen.exits)])
            ensemble = gate.summed(branches, seen.maps[-2])
            losses = label_loss(ensemble, labels)
            told = torch.zeros_like(losses)
            for logits in branches:
                losses = losses + label_loss(logits, labels)
                told = told + soft_kl(logits, ensemble.detach(), self.temperature)
            return {"ce": losses, "ensemble": told * rise(moment.batch.progress, self.ramp)}

        def shows() -> Sequence[Answer]:
            return gate_pictures(network, gate, between)

        turn = Turn("student", own=own, told_by=("student",), also={"gate": gate})
        yield Phase("student", "The gated ensemble of its branches teaches each branch", (turn,), shows=shows)


class Gate(nn.Module):
    """How much each branch counts for a picture, read from the trunk's map."""

    def __init__(self, channels: int, branches: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, branches), nn.BatchNorm1d(branches), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        """(N, c, h, w) -> (N, branches), which sum to 1."""
        pooled = pool(features)
        if self.training and len(pooled) == 1:  # a batch norm needs two pictures
            return F.softmax(F.relu(self.layers[0](pooled)), dim=1)
        return F.softmax(self.layers(pooled), dim=1)

    def summed(self, branches: Tensor, features: Tensor) -> Tensor:
        """(branches, N, C) and the trunk's (N, c, h, w) -> (N, C), the ensemble's logits."""
        return torch.einsum("nb,bnc->nc", self(features), branches)


class Branch(nn.Module):
    """A fresh copy of a last stage and its classifier."""

    def __init__(self, stage: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.stage, self.head = copy.deepcopy(stage), copy.deepcopy(head)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
                module.reset_parameters()
        start_evenly(self)

    def forward(self, features: Tensor) -> Seen:
        """The trunk's (N, c, h, w) -> what the branch sees."""
        preact = self.stage(features)
        last = F.relu(preact)
        embedding = pool(last)
        return Seen(self.head(embedding), (last,), (preact,), embedding)


class WithBranches(Network):
    """A network whose last stage stands there several times; what the first says is what it says."""

    title = "With branches"

    def __init__(self, base: Network, seen: Seen, branches: int) -> None:
        super().__init__()
        self.base, self.layers = base, base.layers
        stages, head = getattr(base, "stages", None), getattr(base, "head", None)
        if len(seen.maps) < 2 or not isinstance(stages, nn.ModuleList) or not isinstance(head, nn.Linear):
            raise RecipeError(
                "student", "branches need a student of 2 or more stages with a linear classifier: plain or resnet"
            )
        self.channels = seen.maps[-2].shape[1]
        with torch.no_grad():
            same = F.relu(stages[-1].eval()(seen.maps[-2]))
        if same.shape != seen.maps[-1].shape or not torch.allclose(same, seen.maps[-1], atol=1e-4):
            raise RecipeError("student", "this student's last stage cannot stand on its own; plain and resnet can")
        self.branches = nn.ModuleList(Branch(stages[-1], head) for _ in range(branches - 1))

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        """Nothing: the base is built already."""

    def deployed(self) -> Network:
        return self.base.deployed()

    def look(self, images: Tensor) -> Seen:
        seen = self.base.look(images)
        return replace(seen, exits=tuple(branch(seen.maps[-2]) for branch in self.branches))


def gate_pictures(network: WithBranches, gate: Gate, between: Between) -> list[Answer]:
    """The gate's mean weight of each branch for each class, and how often each branch and the ensemble are right."""
    data = between.data()
    modes = network.training, gate.training
    network.eval(), gate.eval()
    with torch.no_grad():
        seen = network.look(data.validation.images)
        branches = torch.stack([seen.logits, *(one.logits for one in seen.exits)])
        weights, ensemble = gate(seen.maps[-2]), gate.summed(branches, seen.maps[-2])
    network.train(modes[0]), gate.train(modes[1])
    truth = data.validation.truth
    classes = F.one_hot(truth, data.classes).to(weights.dtype)
    means = (classes.T @ weights) / classes.sum(dim=0).clamp(min=1.0)[:, None]
    names = [f"branch {number + 1}" for number in range(len(branches))]
    rights = [right_share(logits, between) for logits in (*branches, ensemble)]
    total = weights.mean(dim=0)
    return [
        Matrix(
            "What the gate gives each branch",
            f"The gate leans most on {names[int(total.argmax())]}: {float(total.max()):.2f} on average, "
            f"where even weights would be {1 / len(names):.2f}.",
            {"gate weight": means.float().cpu().numpy()}, rows=list(data.class_names), columns=names,
            row_axis="true class", column_axis="branch", value_axis="mean weight", low=0.0, high=1.0, spread={},
            centre={},
        ),
        Bars(
            "Each branch and their ensemble",
            f"The ensemble is right for {100 * rights[-1]:.1f} % of the validation pictures, the branch that is kept "
            f"for {100 * rights[0]:.1f} %.",
            {"right": torch.tensor(rights).numpy()}, [*names, "ensemble"], category_axis="who answers",
            value_axis="accuracy on validation pictures", low=0.0, high=1.0, parts={"right": "student"},
            reference=None, reference_says="",
        ),
    ]  # fmt: skip
