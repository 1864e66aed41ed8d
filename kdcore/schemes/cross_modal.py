"""Cross-modal: a teacher with good eyes teaches a student with other ones, picture by picture, without labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.answers.gallery import Gallery
from kdcore.data import Data, Split
from kdcore.network import Network
from kdcore.recipe import Pick, RecipeError
from kdcore.scheme import Between, Casting, Phase, Scheme, Turn, alone, taught_by_labels
from kdcore.scoring import logits_of
from kdcore.spec import knob
from kdcore.vocabulary import Paper

SHOWN = 12


class CrossModal(Scheme):
    """A teacher that sees scenes through one sensor teaches a student that sees them through another, without labels.

    All it takes is pairs of pictures of the same scene: what the teacher makes of its picture is what the student is to
    make of its own. A few labels then do what they can. Choose the sensors in the data: noisy or coarse pictures for
    any data set, colour, grey, edges and depth for shapes. Where both see the same, this is plain transfer without
    labels. A twin that is never told a label shows what the pairs alone are worth.
    """

    title = "Cross-modal transfer"
    kind = "cross-modal"
    paper = Paper(
        "Gupta, Hoffman, Malik", 2016, "https://arxiv.org/abs/1507.00448",
        "Cross Modal Distillation for Supervision Transfer",
    )  # fmt: skip
    provenance = (
        "Order from the paper: transfer without labels, then the few labels. There a layer in the middle is compared; "
        "here it is what the recipe's methods compare. Shares and rates are ours."
    )
    pitfalls = (
        "With methods that compare layers alone, only labels can train the student's classifier.",
        "With few labels, a long time on labels alone forgets what was transferred.",
    )
    example = {
        "data": {"is": "digits", "sensor": "noisy", "labelled": 0.05},
        "student": {"is": "plain", "width": 16, "stage_count": 2},
        "methods": [{"is": "kd", "temperature": 4.0}],
        "training": {"epochs": 20},
    }
    labels: float = knob(0.2, 0.0, 0.9, help="Share of the student's epochs on labels alone, after the transfer.")
    label_rate: float = knob(
        0.1, 0.001, 1.0, help="Factor on the learning rate while it learns from labels.", scale="log"
    )
    unlabelled: bool = knob(True, help="Also train a twin that is never told a label.")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {"teacher": Casting(teacher, "teacher"), "student": Casting(student, "student")}
        if self.unlabelled:
            roles["no labels"] = Casting(student, "peer", twin_of="student")
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        data = between.data()
        if (self.baseline or self.labels) and not bool((data.train.labels >= 0).any()):
            raise RecipeError(
                "data.labelled", "no picture of the student has a label: labels=0 and no baseline go without any"
            )
        yield taught_by_labels(between)
        if self.baseline:
            yield alone(between, title="The student alone learns from the labels, with its own sensor")
        if self.unlabelled:
            title = "A twin learns from the teacher's answers alone, through the other sensor"
            yield from self._transfer("no labels", title, 1.0, between)

        def shows() -> Sequence[Answer]:
            found: list[Answer] = [_right(cast, data)]
            return [*found, _pairs(cast, data)] if data.images_of_plane else found

        title = "The student learns from the teacher's answers, through the other sensor, without labels"
        for phase in self._transfer("student", title, 1.0 - self.labels, between):
            yield replace(phase, shows=shows)
        if self.labels:
            turn = Turn("student", (between.labels("student") or between.alone("student"),), rate=self.label_rate)
            title = "The student learns from the labels that there are"
            yield Phase("labels", title, (turn,), share=self.labels, shows=shows)

    def _transfer(self, learner: str, title: str, share: float, between: Between) -> Iterator[Phase]:
        lesson = between.knowledge(learner, "teacher")
        if not lesson.objective.shares:
            raise RecipeError("methods", "no method here compares with the teacher; kd or fitnet would")

        def untold() -> Split:
            split = between.data().train
            return replace(split, labels=torch.full_like(split.labels, -1))

        stages, rest = between.own_stages(lesson)
        left = share
        for stage in stages:
            turn = Turn(learner, (stage.lesson,), only="parts" if stage.trains == "parts" else "")
            yield Phase(
                f"{learner}-{stage.name}", f"{stage.title}, first", (turn,), share=left * stage.share, split=untold
            )
            left *= 1.0 - stage.share
        if rest is not None:
            yield Phase(learner, title, (Turn(learner, (rest,)),), share=left, split=untold)


def _right(cast: Mapping[str, Network], data: Data) -> Bars:
    """How often each is right on validation scenes: the teacher with its own eyes and with the student's."""
    split = data.validation
    own = split.images if split.partner is None else split.partner
    shares = [
        _accuracy(cast["teacher"], own, split),
        _accuracy(cast["teacher"], _for_teacher(data, split.images), split),
        _accuracy(cast["student"], split.images, split),
    ]
    says = f"The student is right on {100 * shares[2]:.1f} % of its own pictures; the teacher would be on "
    says += f"{100 * shares[1]:.1f} % of those, and is on {100 * shares[0]:.1f} % of its own."
    if split.partner is None:
        says += " Both see the same pictures here: another sensor stands in the data."
    nothing = numpy.nan
    return Bars(
        "The same scenes through either sensor", says,
        {
            "teacher": numpy.array([shares[0], shares[1]], dtype=numpy.float32),
            "student": numpy.array([nothing, shares[2]], dtype=numpy.float32),
        },
        ["the teacher's sensor", "the student's sensor"], "pictures", "accuracy on validation pictures", 0.0, 1.0,
        {"teacher": "teacher", "student": "student"}, 1.0 / data.classes, "guessing",
    )  # fmt: skip


def _pairs(cast: Mapping[str, Network], data: Data) -> Gallery:
    """Scenes as the teacher sees them, on the left, and as the student does."""
    split = data.validation.of(torch.arange(min(SHOWN, len(data.validation)), device=data.validation.labels.device))
    own = split.images if split.partner is None else split.partner
    teacher, student = logits_of(cast["teacher"], own).float(), logits_of(cast["student"], split.images).float()
    gap = F.kl_div(F.log_softmax(student, 1), F.log_softmax(teacher, 1), reduction="none", log_target=True).sum(dim=1)
    left, right = data.partner_pixels(own), data.pixels(split.images)
    both = torch.cat([left, torch.full_like(left[..., :1], 0.45), right], dim=3)  # grey, in light and in dark
    both = both[:, : 3 if both.shape[1] == 3 else 1].mul(255).round().byte().permute(0, 2, 3, 1)
    alike = int((teacher.argmax(dim=1) == student.argmax(dim=1)).sum())
    return Gallery(
        "What the teacher sees (left) and what the student sees (right)",
        f"They say the same of {alike} of these {len(split)} scenes.",
        both.contiguous().cpu().numpy(), split.index.tolist(), split.truth.to(torch.int16).cpu().numpy(),
        {"teacher": teacher.cpu().numpy(), "student": student.cpu().numpy()},
        gap.float().cpu().numpy(), list(data.class_names), "validation",
    )  # fmt: skip


def _for_teacher(data: Data, images: Tensor) -> Tensor:
    """The student's pictures as the teacher would have them: with the scale that it knows."""
    if data.partner_mean is None or data.partner_std is None:
        return images
    return (images * data.std + data.mean - data.partner_mean) / data.partner_std


def _accuracy(network: Network, images: Tensor, split: Split) -> float:
    return float((logits_of(network, images).argmax(dim=1) == split.truth).float().mean())
