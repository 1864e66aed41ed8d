"""Feature terms alone for the backbone, then a linear classifier on labels, against the usual mix of terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from kdcore.data import Split
from kdcore.method import Method
from kdcore.network import Network
from kdcore.recipe import Pick, RecipeError
from kdcore.scheme import Between, Casting, Lesson, Moment, Phase, Scheme, Turn, alone, taught, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Terms

OUTPUTS = {"logits", "classifier"}
"""What a method reads that pulls on the student's answers; such methods are left out of the backbone's training."""


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
        if self.mix:
            yield from taught(
                "mix", "The mix learns from labels, answers and features at once", "mix", "teacher", between
            )
        stages, rest = between.own_stages(_features_of(between.knowledge("student", "teacher")))
        left = 1.0 - self.classifier
        for stage in stages:
            parts = stage.trains == "parts"
            words = "its own parts learn" if parts else "the backbone learns by it alone"
            turn = Turn("student", (stage.lesson,), only="parts" if parts else "backbone")
            yield Phase(f"student-{stage.name}", f"{stage.title}: {words}", (turn,), share=left * stage.share)
            left *= 1.0 - stage.share
        if rest is not None:
            title = "The student's backbone learns from features alone"
            yield Phase("backbone", title, (_backbone(rest, cast, between),), share=left)
        lesson = between.labels("student") or between.alone("student")
        turn = Turn("student", (lesson,), only="head", times=self.steps)
        title = "Only its classifier learns, from the labels"
        yield Phase("student", title, (turn,), share=self.classifier, rate=self.faster)


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
        "student", (lesson,), own=embedding, told_by=("teacher",), also={"projection": projection}, only="backbone"
    )


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
