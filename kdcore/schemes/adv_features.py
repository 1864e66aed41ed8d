"""Adversarial distillation of features: a discriminator tells the teacher's last map from the student's."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.discriminator import Adversarial, Court, OfFeatures
from kdcore.network import Network, pool
from kdcore.scheme import Between
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Seen


class AdversarialFeatures(Adversarial):
    """A discriminator learns to tell the teacher's last map from the student's, and the student learns to fool it.

    Matching features by their distance asks for more than a small network can give; the discriminator asks only that
    they come from the same distribution. A 1x1 convolution brings the student's channels to the teacher's number and
    learns with the student. Since that map could learn to fool the discriminator by itself, watch whether the
    student's accuracy moves at all.
    """

    title = "Adversarial: on the features"
    shown = "features"
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
    layer: str = knob(
        "last map", choices=("last map", "embedding"),
        help="last map: place by place. embedding: its mean over the plane, where nothing is said of places.",
    )  # fmt: skip

    def court(self, cast: Mapping[str, Network], between: Between) -> Court:
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

        return Court(judge, real, made, {"projector": projector})
