"""iCaRL: kept pictures, old answers class by class, and classes told by the nearest mean of what is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.data import Split
from kdcore.exemplars import NearestMeans
from kdcore.incremental import Incremental
from kdcore.network import Network
from kdcore.response import at_least_float
from kdcore.scheme import Between, Moment, Turn
from kdcore.spec import knob
from kdcore.tasks import Tasks
from kdcore.vocabulary import Paper, Seen, Terms


class ClassifierAndRepresentation(Incremental):
    """A few pictures of each class are kept so that their mean stays the class's, and the nearest mean names a picture.

    Each output is a yes or no of its own (sigmoid): for new classes the labels say it, for old ones the frozen copy of
    the network from before the task. The deployed network has no use for its linear classifier, which leans towards
    the latest classes.
    """

    title = "Lifelong: iCaRL"
    example: ClassVar[dict[str, Any]] = {
        "data": {"is": "digits"},
        "student": {"is": "plain", "width": 16, "stage_count": 2},
        "methods": [{"is": "kd"}],
        "scheme": {"is": "icarl", "memory": 50},
        "training": {"epochs": 20, "batch": 64},
    }
    paper = Paper(
        "Rebuffi, Kolesnikov, Sperl, Lampert", 2017, "https://arxiv.org/abs/1611.07725",
        "iCaRL: Incremental Classifier and Representation Learning",
    )  # fmt: skip
    provenance = (
        "paper and its code (srebuffi/iCaRL): herding, targets and the mean over all outputs are theirs. Our "
        "decisions: outputs of classes that have not come yet learn nothing, and no mirrored pictures enter the means"
    )
    pitfalls = (
        "The mean over outputs makes the loss small with many classes; plain gradient descent needs a large rate.",
        "Until a task ends its classes' means come from pictures chosen with features that still move.",
    )
    memory: int = knob(100, 10, 20_000, unit="pictures", help="Pictures that may be kept, all classes together.")

    def dress(self, role: str, network: Network, look: Callable[[], Seen]) -> Network:
        if role not in ("student", "before"):
            return network
        seen = look()
        return NearestMeans(network, seen, self.most(seen.logits.shape[1]))

    def turn(self, cast: Mapping[str, Network], between: Between, tasks: Tasks, task: int) -> Turn:
        new, old, seen = tasks.groups[task], tasks.old(task), len(tasks.seen(task))

        def yes_and_no(moment: Moment) -> Terms:
            """Both parts of the mean over all outputs seen so far, (N,) each."""
            ours, labels = at_least_float(moment.see("student").logits), moment.batch.labels
            wanted = (labels[:, None] == torch.tensor(new, device=labels.device)).to(ours.dtype)
            losses = F.binary_cross_entropy_with_logits(ours[:, new], wanted, reduction="none").sum(dim=1)
            found = {"labels": losses * (labels >= 0) / seen}
            if task:
                before = cast["before"]
                assert isinstance(before, NearestMeans)
                with torch.no_grad():  # its classifier, where see() gives what the nearest mean says
                    theirs = before.eval().base.look(moment.batch.images).logits
                found["old answers"] = sigmoid_distance(ours[:, old], theirs[:, old]) * (len(old) / seen)
            return found

        return Turn("student", own=yes_and_no, told_by=("before",) if task else (), hears=())

    def after(
        self, cast: Mapping[str, Network], between: Between, tasks: Tasks, task: int, split: Callable[[], Split]
    ) -> Callable[[Moment], None]:
        train = between.data().train

        def remember(moment: Moment) -> None:
            """At the end of each epoch, before anything is scored, pictures and means are chosen anew."""
            steps = max(1, len(split()) // len(moment.batch.labels))
            if (moment.step + 1) % steps == 0:
                student = cast["student"]
                assert isinstance(student, NearestMeans)
                student.remember(train, tasks, task, self.memory)

        return remember


def sigmoid_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Cross-entropy of each output's yes or no with the other's, mean over outputs, (N, K) x (N, K) -> (N,)."""
    return F.binary_cross_entropy_with_logits(ours, theirs.sigmoid(), reduction="none").mean(dim=1)
