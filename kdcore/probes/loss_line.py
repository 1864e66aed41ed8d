"""What lies between student and student alone in weight space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.answers.loss_line import LossLine as Answered
from kdcore.landscape import (
    Loss,
    Sample,
    barrier,
    distance,
    logits_along,
    logits_at,
    losses_along,
    measured_of,
    normalises,
    steps_along,
    uncertain,
    walk_between,
    weights_of,
)
from kdcore.patience import Way
from kdcore.probe import Probe, ProbeError
from kdcore.probes.loss_plane import LossPlane
from kdcore.recalled import recalled, tensors_key
from kdcore.spec import knob
from kdcore.twins import LOSSES, NEARNESS, kind_of, twins

if TYPE_CHECKING:
    from kdcore.revive import Revived

BEYOND = 0.25
"""How far the line goes past each end, in lengths of it."""


class LossLine(Probe):
    """What lies between the student and the same student alone, on the straight line in weight space?

    Both begin from the same weights. A ridge between them means that the teacher led the student into another valley;
    without one, it only came further down the same (Goodfellow et al. 2015, Li et al. 2018). Weights halfway between
    two networks with batch norm fit neither's running means and variances, so these are estimated again at each place.
    """

    title = "Loss between student alone and student"
    answers = "LossLine"
    ahead = 9
    turned = ("batch_norm",)
    loss: str = knob(
        "cross_entropy", choices=tuple(LOSSES), help="Cross-entropy with the labels, or KL to the teacher."
    )
    batch_norm: str = knob(
        "re-estimated", choices=("re-estimated", "interpolated"),
        help="Running statistics estimated again at each place, or taken from the same line as the weights.",
    )  # fmt: skip
    points: int = knob(
        15, 5, 61, help="Places from one end to the other; a quarter more lies beyond each.", unit="places"
    )
    inputs: int = knob(
        250, 20, 5000, unit="inputs",
        help="Most validation and most training inputs looked at; large networks look at fewer.",
    )  # fmt: skip

    def beside(self) -> list[Probe]:
        """The plane around each of the two, which the same section draws, before the line with other statistics."""
        return [LossPlane(loss=self.loss), *super().beside()]

    def ask(self, revived: Revived) -> Answered:
        pair = twins(revived)
        if pair.baseline is None:
            raise ProbeError(
                "this run trained no student alone, so there is no other end for the line; "
                "the loss around the student can still be seen"
            )
        name, loss = LOSSES[self.loss]
        view = pair.student
        start, end = weights_of(pair.baseline), weights_of(view)
        at = steps_along(self.points, beyond=BEYOND)
        again = normalises(view) and self.batch_norm == "re-estimated"
        inputs = pair.affordable(self.inputs, looks=(3 if again else 2) * len(at))
        samples = {"validation": pair.validation(inputs), "training": pair.training(inputs)}
        images = pair.statistics_from(inputs)
        lots = [sample.images for sample in samples.values()]
        key = ("line", *pair.key("student"), *pair.key("baseline"), tensors_key(*lots, images), tuple(at), again)
        way = Way(len(at))

        def walk() -> list[_Said]:
            line = logits_along(
                view, walk_between(start, end, at), lots, statistics=images if again else None, way=way
            )  # fmt: skip
            ends = [torch.stack([logits_at(view, weights, lot) for weights in (start, end)]) for lot in lots]
            return [_Said(*found) for found in zip(line, ends, strict=True)]

        values, own = {}, {}
        for (split, sample), said in zip(samples.items(), recalled(key, walk), strict=True):
            values[split] = torch.stack(losses_along(said.line, sample, loss), dim=1).cpu().numpy()
            own[split] = [measured_of(logits, sample, loss) for logits in said.ends]
            if not again:  # to the last bit, however many places are looked at together
                for place, found in zip((0.0, 1.0), own[split], strict=True):
                    values[split][at.index(place)] = found
        rise, where = barrier(at, values["validation"][:, 0].tolist())
        apart = distance(start, end, [parameter for parameter, _ in view.named_parameters()])
        kind = kind_of(revived)
        return Answered(
            title="From the student alone to the student, straight through weight space",
            says=_sentence(
                at, values["validation"][:, 0], rise, apart, name, f"{len(samples['validation'])} validation {kind}",
                uncertain(view, samples["validation"], loss),
            ),
            nearness=pair.nearness(samples["validation"]),
            nearness_of=NEARNESS,
            teacher={split: _of_teacher(sample, loss) for split, sample in samples.items()},
            at=numpy.array(at, dtype=numpy.float64),
            loss={split: found[:, 0].copy() for split, found in values.items()},
            accuracy={split: found[:, 1].copy() for split, found in values.items()},
            own_loss={split: numpy.array([one[0] for one in own[split]]) for split in samples},
            own_accuracy={split: numpy.array([one[1] for one in own[split]]) for split in samples},
            counts={split: len(sample) for split, sample in samples.items()},
            barrier=rise,
            barrier_at=where,
            distance=apart,
            loss_name=name,
            inputs=kind,
            statistics=f"batch-norm statistics estimated again at each place, from {len(images)} training {kind}"
            if again else "batch-norm statistics on the same line" if normalises(view) else "no batch norm",
        )  # fmt: skip


@dataclass(frozen=True)
class _Said:
    """What is said of some inputs along the line, whichever loss is then taken of it."""

    line: Tensor
    """(places, N, C) logits."""
    ends: Tensor
    """(2, N, C), of the networks themselves."""


def _of_teacher(sample: Sample, loss: Loss) -> list[float]:
    """Its mean loss and accuracy."""
    right = sample.teacher.argmax(dim=1) == sample.labels
    return [float(loss(sample.teacher, sample).double().mean()), float(right.double().mean())]


def _sentence(
    at: list[float], losses: numpy.ndarray, rise: float, apart: float, name: str, among: str, error: float
) -> str:
    if apart == 0.0:
        return f"Student and student alone have the same weights here: {name} {losses[0]:.2f} nats on {among}."
    ends = [losses[at.index(place)] for place in (0.0, 1.0)]
    said = f"On {among}, {name} is {ends[0]:.2f} nats at the student alone and {ends[1]:.2f} at the "
    said += f"student (± {error:.2f}, standard error)"
    if rise < 0.01:
        return f"{said}; nowhere between does it rise above the straight line from one to the other: no ridge."
    return f"{said}; between them a ridge stands up to {rise:.2f} nats above the straight line from one to the other."
