"""The student and the same student alone as two points of one weight space, and the losses taken there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.attributions import work_of
from kdcore.beside import Sides, sides, view_logits
from kdcore.dataset import Split
from kdcore.gap import divergence, overlap, soft_labels
from kdcore.landscape import Loss, Sample, View, measured, weights_of
from kdcore.outputs import some
from kdcore.probe import ProbeError
from kdcore.recalled import Key, network_key

if TYPE_CHECKING:
    from kdcore.revive import Revived

WORK = 2_500_000_000
"""Multiply-accumulates that one answer may cost: a quarter of a second of one core."""
FEWEST = 50
"""Inputs on which a loss is taken at least, where there are so many."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(N,) float64. As torch's own, which stacks only by way of an import of half a second."""
    return -F.log_softmax(logits.double(), dim=1).gather(1, labels[:, None]).squeeze(1)


LOSSES: dict[str, tuple[str, Loss]] = {
    "cross_entropy": (
        "cross-entropy",
        lambda logits, sample: cross_entropy(logits, sample.labels),
    ),
    "kl": ("KL to the teacher", lambda logits, sample: divergence(sample.teacher, logits)),
}
"""Choice -> (its name, per-input loss in nats)."""
NEARNESS = "probability on the same classes"
"""What `Twins.nearness` is a share of."""


@dataclass(frozen=True)
class Twins:
    """Student and student alone, each with the weights that it has at this moment."""

    who: Sides
    student: View
    baseline: View | None

    def key(self, part: str) -> Key:
        """Under what that is kept which one of them makes of something."""
        return network_key(self.who.revived, self.who.views()[part])

    def views(self) -> dict[str, View]:
        """part -> view, of those that there are."""
        found = {"student": self.student}
        return found if self.baseline is None else {**found, "baseline": self.baseline}

    def nearness(self, sample: Sample) -> dict[str, float]:
        """part -> share of the probability that it gives to the same classes as the teacher, mean over the inputs."""

        def shared(logits: Tensor, sample: Sample) -> Tensor:
            return overlap(soft_labels(sample.teacher, 1.0), soft_labels(logits, 1.0))

        return {part: measured(view, weights_of(view), sample, shared)[0] for part, view in self.views().items()}

    def affordable(self, most: int, *, looks: int) -> int:
        """At most so many inputs; fewer, down to FEWEST, where so many looks of a large network would take too long."""
        work = max(1, work_of(self.student, self.who.revived.data.validation.images[:1]))
        return min(most, max(FEWEST, WORK // (work * looks)))

    def validation(self, count: int) -> Sample:
        """At most so many validation inputs with their true labels."""
        split = some(self.who.revived.data.validation, count)
        return self._sample(split, split.truth)

    def training(self, count: int) -> Sample:
        """At most so many training inputs with the labels seen in training, or the teacher's for want of any."""
        data = self.who.revived.data
        labelled = data.train.labels >= 0
        split = data.train.of(labelled.nonzero().flatten()) if bool(labelled.any()) else data.teacher_train
        split = some(split, count)
        return self._sample(split, split.labels)

    def _sample(self, split: Split, labels: Tensor) -> Sample:
        theirs = split.images if split.partner is None else split.partner
        return Sample(split.images, labels, view_logits(self.who.revived, self.who.teacher, theirs))

    def statistics_from(self, count: int) -> Tensor:
        """Training inputs, (N, *shape), from which batch-norm statistics are estimated again, without augmentation."""
        return some(self.who.revived.data.train, count).images


def twins(revived: Revived) -> Twins:
    """Student and student alone at this moment.

    Raises ProbeError where nobody is taught, or where the two have no weights in common.
    """
    who = sides(revived)
    student = _view(revived, who.student)
    baseline = None if who.baseline is None else _view(revived, who.baseline)
    if baseline is not None:
        ours, theirs = (
            {name: tuple(value.shape) for name, value in one.named_parameters()} for one in (student, baseline)
        )
        if ours != theirs:
            odd = min(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
            name = odd.removeprefix("network.")
            how = (
                f"{name} has the shape {ours[odd]} in one and {theirs[odd]} in the other"
                if odd in ours and odd in theirs
                else f"only the student{'' if odd in ours else ' alone'} has {name}"
            )
            raise ProbeError(f"student and student alone share no weight space, as they are built differently: {how}")
    return Twins(who, student, baseline)


def _view(revived: Revived, view: str) -> View:
    role, _, exit_number = view.partition(":")
    network = revived.networks[role]
    return View(network, int(exit_number)) if exit_number else View(network.deployed())


def kind_of(revived: Revived) -> str:
    """What the inputs are called."""
    return "pictures" if revived.data.images_of_plane else "points"


def seeded(number: int) -> torch.Generator:
    """A generator for the direction of that number, the same for every network."""
    return torch.Generator().manual_seed(20_180_000 + number)
