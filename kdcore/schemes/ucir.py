"""UCIR: angles instead of lengths, old features that keep their direction, and a margin for old classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.cosine import WithCosines
from kdcore.incremental import Incremental
from kdcore.network import Network
from kdcore.scheme import Between, Moment, Turn
from kdcore.spec import knob
from kdcore.tasks import Tasks, restricted
from kdcore.vocabulary import Paper, Seen, Terms


class UnifiedClassifier(Incremental):
    """A classifier of angles treats old and new classes alike; features must keep the direction that they had.

    Three remedies against the lean towards the latest classes: weights and features of length one; a term that holds
    each feature's direction where the frozen copy has it; and for kept pictures a margin between their own class and
    the new classes that come nearest.
    """

    title = "Lifelong: UCIR"
    example: ClassVar[dict[str, Any]] = {
        "data": {"is": "digits"},
        "student": {"is": "plain", "width": 16, "stage_count": 2},
        "methods": [{"is": "kd"}],
        "scheme": {"is": "ucir", "memory": 50},
        "training": {"epochs": 20, "batch": 64},
    }
    paper = Paper(
        "Hou, Pan, Loy, Wang, Lin", 2019,
        "https://openaccess.thecvf.com/content_CVPR_2019/html/Hou_Learning_a_Unified_Classifier_Incrementally_via_"
        "Rebalancing_CVPR_2019_paper.html",
        "Learning a Unified Classifier Incrementally via Rebalancing",
    )  # fmt: skip
    provenance = (
        "paper and its code (hshustc/CVPR19_Incremental_Learning) for the losses, margin 0.5 against the 2 nearest and "
        "the growth with the root of old over new classes; the margin is summed over rivals as the paper has it, where "
        "the code takes their mean. Our decisions: the scale starts at 8, as short trainings never reach it from 1; "
        "new classes' weights start at random and old ones learn too; no last stage on balanced pictures"
    )
    pitfalls = (
        "A strong hold keeps old classes and makes new ones hard to learn: it is a trade, not a gain.",
        "Without kept pictures the margin says nothing.",
    )
    memory: int = knob(100, 0, 20_000, unit="pictures", help="Pictures that may be kept, all classes together.")
    hold: float = knob(5.0, 0.0, 100.0, help="Weight of the hold on directions, before the root of old over new.")
    margin: float = knob(0.5, 0.0, 2.0, help="By how much the cosine with the own class should lead.", unit="cosine")
    rivals: int = knob(2, 1, 10, help="How many of the nearest new classes count.", unit="classes")
    scale: float = knob(8.0, 1.0, 64.0, help="By what cosines are multiplied at the start; it is learned.")

    def dress(self, role: str, network: Network, look: Callable[[], Seen]) -> Network:
        if role not in ("student", "before"):
            return network
        seen = look()
        return WithCosines(network, seen, self.most(seen.logits.shape[1]), proxies=1, scale=self.scale)

    def turn(self, cast: Mapping[str, Network], between: Between, tasks: Tasks, task: int) -> Turn:
        lesson = restricted(between.alone("student"), tasks.seen(task), between)
        if task == 0:
            return Turn("student", (lesson,))
        new, old = list(tasks.groups[task]), tasks.old(task)

        def held(moment: Moment) -> Terms:
            student = cast["student"]
            assert isinstance(student, WithCosines)
            ours, theirs = moment.see("student").embedding, moment.see("before").embedding
            found = {"direction": 1.0 - F.cosine_similarity(ours, theirs, dim=1)}
            found["margin"] = lead(student.head.cosines(ours), moment.batch.labels, old, new, self.rivals, self.margin)
            return found

        weights = {"direction": self.hold * math.sqrt(len(old) / len(new)), "margin": 1.0}
        return Turn("student", (lesson,), held, weights, ("before",))


def lead(cosines: Tensor, labels: Tensor, old: list[int], new: list[int], rivals: int, margin: float) -> Tensor:
    """What old pictures' own cosine lacks of leading the nearest new classes by the margin, (N, C) -> (N,).

    Summed over the rivals; the mean over N is the mean over old pictures.
    """
    mine = torch.isin(labels, torch.tensor(old, device=labels.device)).to(cosines.dtype)
    own = cosines.gather(1, labels.clamp(min=0)[:, None])
    nearest = cosines[:, new].topk(min(rivals, len(new)), dim=1).values
    losses = F.relu(margin - own + nearest).sum(dim=1)
    return losses * mine * (len(labels) / mine.sum().clamp(min=1.0))
