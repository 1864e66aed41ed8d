"""The student follows the teacher along its way through training."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy
import torch
from torch import Tensor

from kdcore.answer import Answer
from kdcore.answers.matrix import Matrix
from kdcore.network import Network
from kdcore.recipe import Pick
from kdcore.response import soft_kl
from kdcore.route import Route, farthest
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, alone, taught, taught_by_labels
from kdcore.schooling import eyes
from kdcore.scoring import logits_of
from kdcore.spec import knob
from kdcore.vocabulary import Paper


class RouteConstrained(Scheme):
    """The student learns from the teacher as it was early, then later, then at its end.

    A half-trained teacher says simpler things, which a small student can follow; stage by stage it is led to what the
    finished teacher says. Greedy goes on to the latest checkpoint that the student is still close to.
    """

    title = "Offline: along the teacher's route (RCO)"
    kind = "offline"
    paper = Paper(
        "Jin, Peng, Wu, Liu, Liu, Liang, Yan, Hu", 2019, "https://arxiv.org/abs/1904.09149",
        "Knowledge Distillation via Route Constrained Optimization",
    )  # fmt: skip
    provenance = (
        "Paper; equal intervals also in public code (KD_Lib). Our decisions: the student's epochs are shared evenly by "
        "the stages, the learning rate begins anew in each, greedy chooses among twice as many checkpoints as there "
        "are stages, and gaps are means over the validation pictures."
    )
    pitfalls = (
        "All stages together have the student's epochs: with many anchors and few epochs none is followed to its end.",
        "A teacher whose learning rate falls slowly says much the same all along; then the route leads nowhere new.",
        "Public code picks the anchor by the student's epoch and fails if it trains longer than the teacher.",
    )
    example = {
        "data": {"is": "digits", "labelled": 0.1},
        "teacher": {"is": "plain", "width": 32, "stage_count": 2},
        "student": {"is": "mlp"},
        "training": {"epochs": 30, "teacher_epochs": 16},
        "scheme": {"is": "rco", "anchors": 3},
    }
    anchors: int = knob(2, 1, 6, help="Stages, each with a later teacher; 1 is plain distillation.", unit="stages")
    choice: str = knob(
        "equal", choices=("equal", "greedy"), help="equal: checkpoints at equal distances. greedy: the latest in reach."
    )
    reach: float = knob(
        0.5, 0.0, 10.0, help="greedy: how far from the student a checkpoint may be, KL at temperature 1.", unit="nats"
    )

    def _names(self) -> list[str]:
        return [f"anchor {number}" for number in range(1, self.anchors)]

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {"teacher": Casting(teacher, "teacher")}
        roles.update({name: Casting(teacher, "teacher", twin_of="teacher") for name in self._names()})
        roles["student"] = Casting(student, "student")
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        if self.anchors == 1:
            yield taught_by_labels(between)
            if self.baseline:
                yield alone(between)
            yield from taught("student", "The student learns from the teacher", "student", "teacher", between)
            return
        route = Route(cast["teacher"], self.anchors * (2 if self.choice == "greedy" else 1))
        keeps = {"route": route}

        def walk(moment: Moment) -> None:
            route.passed(cast["teacher"], moment.step, moment.batch.progress)

        yield replace(taught_by_labels(between), after=walk, keeps=keeps)
        if self.baseline:
            yield replace(alone(between), keeps=keeps)
        said = Said(route, cast, between)
        for stage, name in enumerate([*self._names(), "teacher"]):
            if name != "teacher" and route.whole:  # not where phases are only planned or looked back at
                self._stand(stage, said, cast[name])
            words = f"The student learns from the teacher as it was {self._when(stage)}"
            for phase in taught(f"student-{stage + 1}", words, "student", name, between):
                moving = () if name == "teacher" else (name,)  # scored and kept with the stage that learns from it
                yield replace(
                    phase, share=phase.share / self.anchors, keeps=keeps, moving=moving, shows=lambda: said.pictures()
                )

    def _when(self, stage: int) -> str:
        if stage == self.anchors - 1:
            return "at its end"
        if self.choice == "greedy":
            return "at the latest checkpoint in reach"
        return f"after {(stage + 1)}/{self.anchors} of its training"

    def _stand(self, stage: int, said: Said, anchor: Network) -> None:
        """Set the stage's anchor to the checkpoint that it is to learn from."""
        route, chosen = said.route, stage
        if self.choice == "greedy":
            current = int(route.picked[stage - 1]) if stage else -1
            gaps = said.gaps()
            chosen = farthest(lambda moment: gaps[moment], current, len(route) - 1, self.reach)
        route.picked[stage] = chosen
        route.put(chosen, anchor)


class Said:
    """What the teacher said of the validation pictures at each moment of its route."""

    def __init__(self, route: Route, cast: Mapping[str, Network], between: Between) -> None:
        self.route = route
        self._cast, self._split = cast, between.data().validation
        self._logits: Tensor | None = None

    def gaps(self) -> list[float]:
        """Mean KL from each checkpoint's classes to the student's, in nats."""
        if self._logits is None:
            scratch = copy.deepcopy(self._cast["teacher"])
            found = []
            for moment in range(len(self.route)):
                self.route.put(moment, scratch)
                found.append(logits_of(scratch, eyes(self._split)))
            self._logits = torch.stack(found)
        student = logits_of(self._cast["student"], self._split.images)
        return [float(soft_kl(student, teacher, 1.0).mean()) for teacher in self._logits]

    def pictures(self) -> Sequence[Answer]:
        """How far the student is from each checkpoint."""
        if not self.route.whole:
            return []
        gaps = self.gaps()
        columns = [f"{moment + 1}/{len(gaps)}" for moment in range(len(gaps))]
        nearest = min(range(len(gaps)), key=gaps.__getitem__)
        matrix = Matrix(
            "How far the student is from the teacher's checkpoints",
            f"The student is {gaps[-1]:.2f} nats from the finished teacher and nearest to the teacher after "
            f"{columns[nearest]} of its training ({gaps[nearest]:.2f} nats).",
            {"gap": numpy.array([gaps], dtype=numpy.float32)}, ["student"], columns, "network",
            "checkpoint: share of the teacher's training", "KL, nats", 0.0, max(1e-3, *gaps), {}, {},
        )  # fmt: skip
        return [matrix]
