"""Adversarial distillation of features: a discriminator tells the teacher's last map from the student's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.answer import Answer
from kdcore.discriminator import OfFeatures, judged, judging, passing
from kdcore.network import Network, pool
from kdcore.scheme import Between, Phase, Scheme, alone, distilled, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Seen


class AdversarialFeatures(Scheme):
    """A discriminator learns to tell the teacher's last map from the student's, and the student learns to fool it.

    Matching features by their distance asks for more than a small network can give; the discriminator asks only that
    they come from the same distribution. A 1x1 convolution brings the student's channels to the teacher's number and
    learns with the student. Since that map could learn to fool the discriminator by itself, watch whether the
    student's accuracy moves at all.
    """

    title = "Adversarial: on the features"
    kind = "adversarial"
    paper = Paper(
        "Shen, He, Xue", 2019, "https://arxiv.org/abs/1812.02425",
        "MEAL: Multi-Model Ensemble via Adversarial Learning",
    )  # fmt: skip
    provenance = (
        "Losses after the paper, on one layer and one teacher. Spectral norms and the projector are our own decision."
    )
    pitfalls = (
        "The authors' published code has its gradient reversal off by default: student and discriminator cooperate.",
        "A ReLU before the discriminator's loss blocks one of its two answers.",
        "The student looks a second time for the discriminator, so its batch norms count every batch twice.",
    )
    example = {
        "data": {"is": "digits", "label_noise": 0.6},
        "teacher": {"is": "plain", "width": 32, "stage_count": 2},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "methods": [{"is": "kd", "temperature": 2.0}],
        "training": {"epochs": 30},
    }
    layer: str = knob(
        "last map", choices=("last map", "embedding"),
        help="last map: place by place. embedding: its mean over the plane, where nothing is said of places.",
    )  # fmt: skip
    adversarial: float = knob(0.1, 0.0, 10.0, help="Weight of the student's adversarial term.")
    judge_rate: float = knob(
        0.1, 0.001, 10.0, help="The discriminator's learning rate, as a multiple of the student's.", scale="log"
    )

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        yield taught_by_labels(between)
        if self.baseline:
            yield alone(between)
        learning = replace(distilled("student", "teacher", between), told_by=("teacher",))
        images = between.data().validation.images[:2]
        theirs, ours = (cast[role].eval().look(images).maps[-1] for role in ("teacher", "student"))
        height, width = (min(pair) for pair in zip(theirs.shape[2:], ours.shape[2:], strict=True))
        with between.seeded("discriminator"):
            judge = OfFeatures(theirs.shape[1]).to(between.device())
            projector = nn.Conv2d(ours.shape[1], theirs.shape[1], 1).to(between.device())

        def shown(features: Tensor) -> Tensor:
            if self.layer == "embedding":
                return pool(features)[:, :, None, None]
            return F.adaptive_avg_pool2d(features, (height, width))

        def real(seen: Seen) -> Tensor:
            return shown(seen.maps[-1])

        def made(seen: Seen) -> Tensor:
            return F.relu(projector(shown(seen.maps[-1])))

        if self.adversarial > 0:
            learning = replace(
                learning, own=passing(judge, made), weights={"adversarial": self.adversarial},
                also={"projector": projector},
            )  # fmt: skip

        def shows() -> Sequence[Answer]:
            return [judged(judge, cast, between, real, made, what="features")]

        yield Phase(
            "student", "The student learns from the teacher, and its features try to pass for the teacher's",
            (judging(judge, real, made, rate=self.judge_rate), learning), shows=shows,
        )  # fmt: skip
