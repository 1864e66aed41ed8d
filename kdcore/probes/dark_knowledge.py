"""Which classes look alike to each network: what a teacher tells beside the right answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.answers.dark_knowledge import DarkKnowledge as Answered
from kdcore.asked_picture import asked_picture, own_knob
from kdcore.beside import sides
from kdcore.gap import by_class, likeness, overlap, soft_labels
from kdcore.outputs import outputs, some
from kdcore.probe import Probe, ProbeError, percent
from kdcore.recalled import recalled, tensors_key
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived

TEMPERATURES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0)
USUAL = TEMPERATURES.index(4.0)
MOST = 20
"""Classes drawn; of more, those that the teacher takes for others most."""


class DarkKnowledge(Probe):
    """Which classes look alike to the teacher, and does the student see the same likenesses?

    The mean soft label of each class at several temperatures. Off the diagonal stands the dark knowledge: how much of a
    three a network sees in an eight. Rows add up to 1; a high temperature brings the small probabilities out, and an
    endless one makes all alike. Two classes leave one number beside each diagonal, in which nothing can correlate:
    likeness is then the probability that both give to the same class.
    """

    title = "Dark knowledge"
    answers = "DarkKnowledge"
    picture: int = knob(0, 0, 100_000, help="Which test input, counted from 0.")
    own: str = own_knob()
    inputs: int = knob(2000, 20, 20000, help="Most test inputs the means are taken over.", unit="inputs")

    def ask(self, revived: Revived) -> Answered:
        who, data = sides(revived), revived.data
        if data.classes < 2:
            raise ProbeError("this run has one class, so there is no other that could look like it; 2 are needed")
        asked = asked_picture(revived, "test", self.picture, self.own)
        split, one = some(data.test, self.inputs), asked.split
        said, of_one = outputs(who, split), outputs(who, one)
        means = {part: _means(found.logits, split.truth, data.classes) for part, found in said.items()}
        labels = {
            part: torch.cat([soft_labels(found.logits, t) for t in TEMPERATURES]) for part, found in of_one.items()
        }
        alike = {
            part: [_alike(theirs, ours) for theirs, ours in zip(means["teacher"], found, strict=True)]
            for part, found in means.items()
            if part != "teacher"
        }
        kept = _confused(means["teacher"][USUAL])
        names = [str(data.class_names[number]) for number in kept.tolist()]
        if data.images_of_plane:
            pixels = data.pixels(one.images)[0][:3].permute(1, 2, 0).cpu().contiguous().numpy()
            pixels, what = pixels if pixels.shape[2] == 3 else pixels[..., :1], asked.name
        else:
            x, y = (one.images * data.std + data.mean)[0].tolist()
            pixels, what = numpy.zeros((0, 0, 1), dtype=numpy.float32), f"the test point at ({x:.2f}, {y:.2f})"
        return Answered(
            title="Which classes look alike, and to whom",
            says=_sentence(alike, classes=data.classes),
            nearness={part: max(0.0, found[USUAL]) for part, found in alike.items()},
            nearness_of=f"correlation of the likenesses at T = {TEMPERATURES[USUAL]:g}"
            if data.classes > 2
            else f"probability on the same class at T = {TEMPERATURES[USUAL]:g}",
            temperatures=list(TEMPERATURES),
            class_names=names,
            similarity={part: found[:, kept][:, :, kept].float().numpy() for part, found in means.items()},
            likeness=alike,
            soft={part: found[:, kept].float().numpy() for part, found in labels.items()},
            picture=pixels,
            picture_says=what if asked.truth is None else f"{what}, of {_class(data.class_names[asked.truth])}",
        )


def _means(logits: Tensor, truth: Tensor, classes: int) -> Tensor:
    """(T, C, C), the mean soft label of each class at every temperature. Kept: another picture changes nothing."""
    return recalled(
        ("soft labels", tensors_key(logits, truth)),
        lambda: torch.stack([by_class(soft_labels(logits, t), truth, classes) for t in TEMPERATURES]),
    )


def _class(name: object) -> str:
    """ "class 3", also where the name says that it is one."""
    return str(name) if str(name).startswith("class") else f"class {name}"


def _confused(means: Tensor) -> Tensor:
    """The classes drawn, sorted."""
    elsewhere = means.sum(dim=1) - means.diagonal()
    return elsewhere.argsort(descending=True, stable=True)[:MOST].sort().values


def _alike(theirs: Tensor, ours: Tensor) -> float:
    """How alike two class-similarity matrices (C, C) are: their correlation, or what two classes' rows share."""
    if len(theirs) > 2:
        return likeness(theirs, ours)
    there = theirs.sum(dim=1) > 0
    return float(overlap(theirs, ours)[there].mean()) if bool(there.any()) else 0.0


def _sentence(alike: dict[str, list[float]], *, classes: int) -> str:
    if classes == 2:
        says = (
            f"At T = {TEMPERATURES[USUAL]:g} student and teacher give "
            f"{percent(alike['student'][USUAL], digits=1)} of the mean probability to the same class"
        )
        if "baseline" in alike:
            says += f", student alone and teacher {percent(alike['baseline'][USUAL], digits=1)}"
        return f"{says}."
    says = (
        f"At T = {TEMPERATURES[USUAL]:g} the likenesses that the student sees correlate with the teacher's at "
        f"{alike['student'][USUAL]:.2f}"
    )
    if "baseline" in alike:
        says += f", those of the student alone at {alike['baseline'][USUAL]:.2f}"
    return f"{says} (1 is the same).".replace("-", "−")
