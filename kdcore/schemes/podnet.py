"""PODNet: what is pooled along each side of every layer stays as it was, and so does the final feature."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.cosine import WithCosines
from kdcore.incremental import Incremental
from kdcore.network import Network
from kdcore.response import label_mean
from kdcore.scheme import Between, Moment, Turn
from kdcore.spec import knob
from kdcore.tasks import Tasks
from kdcore.vocabulary import Paper, Seen, Terms


class PooledOutputs(Incremental):
    """Layers may change where they look, as long as their sums along rows and columns stay as the frozen copy has them.

    That holds the network less tightly than whole maps and more than one average, layer by layer, and the final feature
    keeps its direction besides. Each class has several proxies, so that it may have several faces.
    """

    title = "Lifelong: PODNet"
    example: ClassVar[dict[str, Any]] = {
        "data": {"is": "digits"},
        "student": {"is": "plain", "width": 16, "stage_count": 2},
        "methods": [{"is": "kd"}],
        "scheme": {"is": "podnet", "memory": 50},
        "training": {"epochs": 20, "batch": 64},
    }
    paper = Paper(
        "Douillard, Cord, Ollion, Robert, Valle", 2020, "https://arxiv.org/abs/2004.13513",
        "PODNet: Pooled Outputs Distillation for Small-Tasks Incremental Learning",
    )  # fmt: skip
    provenance = (
        "paper and its code (arthurdouillard/incremental_learning.pytorch): squared maps pooled along both sides, mean "
        "over layers, weights 3 and 1 times the root of seen over new classes, 10 proxies, margin 0.6. The labels' "
        "loss is the paper's: the code takes the margin from every class, where it cancels. Our decisions: the scale "
        "starts at 8, as short trainings never reach it from 1; new proxies start at random and old ones learn too; no "
        "last stage on balanced pictures"
    )
    pitfalls = (
        "Layers without a plane have one place to pool over: there it holds each channel's square.",
        "Both weights grow with the number of tasks; with very many tasks little is left to learn with.",
    )
    memory: int = knob(100, 0, 20_000, unit="pictures", help="Pictures that may be kept, all classes together.")
    spatial: float = knob(3.0, 0.0, 100.0, help="Weight of the pooled layers, before the root of seen over new.")
    flat: float = knob(1.0, 0.0, 100.0, help="Weight of the final feature, before the root of seen over new.")
    proxies: int = knob(10, 1, 20, help="Proxies of each class.", unit="proxies")
    margin: float = knob(0.6, 0.0, 2.0, help="By how much the cosine with the own class should lead.", unit="cosine")
    scale: float = knob(8.0, 1.0, 64.0, help="By what cosines are multiplied at the start; it is learned.")

    def dress(self, role: str, network: Network, look: Callable[[], Seen]) -> Network:
        if role not in ("student", "before"):
            return network
        seen = look()
        return WithCosines(network, seen, self.most(seen.logits.shape[1]), proxies=self.proxies, scale=self.scale)

    def turn(self, cast: Mapping[str, Network], between: Between, tasks: Tasks, task: int) -> Turn:
        seen = tasks.seen(task)
        places = torch.full((between.data().classes + 1,), -1, device=between.device())
        places[seen] = torch.arange(len(seen), device=between.device())

        def held(moment: Moment) -> Terms:
            student = cast["student"]
            assert isinstance(student, WithCosines)
            ours, labels = moment.see("student"), places[moment.batch.labels]
            cosines = ours.logits[:, seen] / student.head.scale
            found = {"labels": label_mean(leading(cosines, labels, student.head.scale, self.margin), labels)}
            if task:
                theirs = moment.see("before")
                found["pooled layers"] = pooled_distance(ours.maps, theirs.maps)
                found["final feature"] = 1.0 - F.cosine_similarity(ours.embedding, theirs.embedding, dim=1)
            return found

        grows = math.sqrt(len(seen) / len(tasks.groups[task]))
        weights = {"pooled layers": self.spatial * grows, "final feature": self.flat * grows}
        return Turn(
            "student", own=held, weights=weights, told_by=("before",) if task else (), hears=("maps", "embedding")
        )


def pooled_distance(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """Distance of squared maps pooled along rows and along columns, mean over layers, (N, c, h, w) each -> (N,)."""

    def pooled(features: Tensor) -> Tensor:
        squared = features.float().square()
        return F.normalize(torch.cat([squared.sum(dim=3).flatten(1), squared.sum(dim=2).flatten(1)], dim=1), dim=1)

    each = [(pooled(one) - pooled(other)).square().sum(dim=1) for one, other in zip(ours, theirs, strict=True)]
    return torch.stack([(one + 1e-12).sqrt() for one in each]).mean(dim=0)  # the root of zero has no slope


def leading(cosines: Tensor, labels: Tensor, scale: Tensor, margin: float) -> Tensor:
    """NCA with a margin and a hinge: what the own class lacks of leading all others together, (N, C) -> (N,)."""
    own = torch.zeros_like(cosines, dtype=torch.bool)
    own.scatter_(1, labels.clamp(min=0)[:, None], True)
    others = (scale * cosines).masked_fill(own, -1e4).logsumexp(dim=1)
    return F.relu(others - scale * (cosines.gather(1, labels.clamp(min=0)[:, None])[:, 0] - margin))
