"""Feature terms alone for the backbone, then a linear classifier on labels, against the usual mix of terms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.data import Split
from kdcore.method import Method
from kdcore.network import Network
from kdcore.peers import right_share
from kdcore.recipe import Pick, RecipeError
from kdcore.scheme import Between, Casting, Lesson, Moment, Phase, Scheme, Turn, alone, taught, taught_by_labels
from kdcore.scoring import logits_of
from kdcore.spec import knob
from kdcore.vocabulary import Terms

OUTPUTS = {"logits", "classifier"}
"""What a method reads that pulls on the student's answers; such methods are left out of the backbone's training."""
LOOKED = 1024
"""Labelled training pictures whose embeddings' means stand for the classes."""


class FeatureOnly(Scheme):
    """The student's backbone learns from feature terms alone; then its classifier learns from labels, all else frozen.

    Terms on the answers (cross-entropy, soft targets) may pull the backbone away from what the teacher's layers show,
    and so limit what feature terms can do (Cooper et al. 2025, https://arxiv.org/abs/2511.14981). To see whether that
    is so here, a twin is trained beside it in the usual way: all terms of the recipe at once, as many epochs. Of the
    paper only the order of training is here, not its choice of teacher layers by their quality. Where no term of the
    recipe reaches the layer before the classifier, the scheme adds one: a linear map of the student's embedding is to
    give the teacher's.
    """

    title = "Offline: features first, then the classifier"
    kind = "offline"
    example = {
        "data": {"is": "digits", "labelled": 0.05},
        "teacher": {"is": "plain", "width": 32, "stage_count": 2},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "methods": [{"is": "ce"}, {"is": "kd", "temperature": 2.0}, {"is": "fitnet"}],
        "training": {"epochs": 30},
    }
    provenance = (
        "the paper, for the order of training. How long and how fast the classifier learns is ours: first chosen with "
        "test accuracy in sight, then seen to move validation accuracy by 0.7 points at most from four steps on"
    )
    classifier: float = knob(
        0.3, 0.05, 0.9, help="Share of the student's epochs in which only its classifier learns, from the labels."
    )
    steps: int = knob(
        8, 1, 50, unit="steps",
        help="Steps of the classifier for each step that the student would take: a linear layer is to be fitted well.",
    )  # fmt: skip
    faster: float = knob(
        10.0, 0.1, 100.0, scale="log",
        help="Learning rate of that phase, as a multiple of the student's: a linear layer alone stands larger steps.",
    )  # fmt: skip
    mix: bool = knob(True, help="Also train a twin on labels, answers and features at once, for comparison.")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {"teacher": Casting(teacher, "teacher"), "student": Casting(student, "student")}
        if self.mix:
            roles["mix"] = Casting(student, "peer", twin_of="student")
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        yield taught_by_labels(between)
        if self.baseline:
            yield alone(between)

        def shows(*names: str) -> Callable[[], Sequence[Answer]]:
            networks = {name: cast[name] for name in names if name in cast}
            return lambda: [knowing(networks, cast["teacher"], between)]

        if self.mix:
            title = "The mix learns from labels, answers and features at once"
            for phase in taught("mix", title, "mix", "teacher", between):
                yield replace(phase, shows=shows("mix"))
        both = shows("student", "mix")
        stages, rest = between.own_stages(_features_of(between.knowledge("student", "teacher")))
        left = 1.0 - self.classifier
        for stage in stages:
            parts = stage.trains == "parts"
            words = "its own parts learn" if parts else "the backbone learns by it alone"
            turn = Turn("student", (stage.lesson,), only="parts" if parts else "backbone")
            yield Phase(
                f"student-{stage.name}", f"{stage.title}: {words}", (turn,), share=left * stage.share, shows=both
            )
            left *= 1.0 - stage.share
        if rest is not None:
            title = "The student's backbone learns from features alone"
            yield Phase("backbone", title, (_backbone(rest, cast, between),), share=left, shows=both)
        lesson = between.labels("student") or between.alone("student")
        turn = Turn("student", (lesson,), only="head", times=self.steps)
        title = "Only its classifier learns, from the labels"
        yield Phase("student", title, (turn,), share=self.classifier, rate=self.faster, shows=both)


@torch.no_grad()
def knowing(networks: Mapping[str, Network], teacher: Network, between: Between) -> Bars:
    """What the features of each network know, beside what its classifier says.

    A picture's class by its features is that of the nearest mean of the labelled training pictures' embeddings, all of
    length one.
    """
    data = between.data()
    known = (data.train.labels >= 0).nonzero().flatten()[:LOOKED]
    labels = data.train.labels[known]
    by_features, by_answers = [], []
    for network in networks.values():
        mode = network.training
        network.eval()
        taught_by, asked = (
            F.normalize(network.look(images).embedding.float(), dim=1)
            for images in (data.train.images[known], data.validation.images)
        )
        network.train(mode)
        sums = taught_by.new_zeros(data.classes, taught_by.shape[1]).index_add_(0, labels, taught_by)
        counts = torch.bincount(labels, minlength=data.classes)[:, None]
        near = (-torch.cdist(asked, sums / counts.clamp(min=1))).masked_fill(counts.T == 0, -torch.inf)
        by_features.append(right_share(near, between))
        by_answers.append(right_share(logits_of(network, data.validation.images), between))
    best = right_share(logits_of(teacher, data.validation.images), between)
    told = "; ".join(
        f"{name} {100 * one:.1f} % by its features, {100 * other:.1f} % by its classifier"
        for name, one, other in zip(networks, by_features, by_answers, strict=True)
    )
    return Bars(
        "What its features know, and what its classifier says",
        f"Right for so many of the validation pictures: {told}.",
        {"nearest class by its features": numpy.array(by_features, dtype=numpy.float32),
         "its classifier": numpy.array(by_answers, dtype=numpy.float32)},
        list(networks), category_axis="network", value_axis="accuracy on validation pictures", low=0.0, high=1.0,
        parts={"its classifier": "student"}, reference=best, reference_says=f"teacher {100 * best:.1f} %",
    )  # fmt: skip


def _backbone(lesson: Lesson, cast: Mapping[str, Network], between: Between) -> Turn:
    """The lesson for all but the classifier, with a term on the embedding where the lesson's own end before it."""
    if _reaches(lesson, len(cast["student"].layers) - 1):
        return Turn("student", (lesson,), only="backbone")
    pictures = between.data()
    with torch.no_grad(), between.seeded("feature_only embedding"):
        student, teacher = (
            cast[role].eval().look(images[:2]).embedding.shape[1]
            for role, images in (("student", pictures.train.images), ("teacher", _teacher_s(pictures.train)))
        )
        projection = nn.Linear(student, teacher).to(between.device())

    def embedding(moment: Moment) -> Terms:
        """Mean squared distance of the projected embedding to the teacher's, (N, D) and (N, D) -> (N,)."""
        told = moment.see("teacher").embedding
        return {"embedding": (projection(moment.see("student").embedding) - told).square().mean(dim=1)}

    return Turn(
        "student", (lesson,), own=embedding, told_by=("teacher",), hears=("embedding",),
        also={"projection": projection}, only="backbone",
    )  # fmt: skip


def _teacher_s(split: Split) -> Tensor:
    """The pictures as a teacher sees them, who may have a sensor of its own."""
    return split.images if split.partner is None else split.partner


def _reaches(lesson: Lesson, last: int) -> bool:
    """Whether a method reads the student's embedding or its layer of that number, which is the last."""
    objective = lesson.objective
    return any(
        "embedding" in method.reads or last in objective.shares[name].pairing.student_layers
        for name, method in _methods(lesson).items()
    )


def _methods(lesson: Lesson) -> dict[str, Method]:
    return dict(lesson.objective.methods.items())  # type: ignore[arg-type]


def _features_of(lesson: Lesson) -> Lesson:
    """The lesson with only those methods that leave the answers alone. Raises RecipeError where none is left."""
    chosen = [name for name, method in _methods(lesson).items() if not OUTPUTS & set(method.reads)]
    if not chosen:
        raise RecipeError(
            "methods", "no method here compares features without the answers; add one, FitNets for instance"
        )
    return replace(lesson, objective=lesson.objective.narrowed(dict.fromkeys(chosen, "all")))
