"""Learning without forgetting: the answers of the network from before a task hold back the one that learns it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from kdcore.incremental import AmongOwn
from kdcore.network import Network
from kdcore.response import log_softened
from kdcore.scheme import Between, Moment, Turn
from kdcore.spec import knob
from kdcore.tasks import Tasks, restricted
from kdcore.vocabulary import Paper, Terms


class LearningWithoutForgetting(AmongOwn):
    """New classes come, no old picture is left, and the network's own old answers on the new pictures are kept alive.

    Before each task a copy of the network is frozen. While the labels teach the new classes, what the copy says of the
    new pictures, softened and among the old classes alone, is the target of what the network says there.
    """

    title = "Lifelong: learning without forgetting"
    example: ClassVar[dict[str, Any]] = {
        "data": {"is": "digits"},
        "student": {"is": "plain", "width": 16, "stage_count": 2},
        "methods": [{"is": "kd"}],
        "scheme": {"is": "lwf", "tasks": 2, "strength": 5.0},
        "training": {"epochs": 20, "batch": 64},
    }
    paper = Paper("Li, Hoiem", 2016, "https://arxiv.org/abs/1606.09282", "Learning without Forgetting")
    provenance = (
        "paper: temperature 2 and weight 1 are its. Our decisions: no phase in which the new classifier learns alone, "
        "and one classifier for all classes, where the paper has one for each task and is told the task in the test"
    )
    pitfalls = (
        "Old answers on new pictures say little of old classes that look otherwise: with more tasks it fades.",
        "A known port raises probabilities to the power of the temperature, which sharpens them instead of softening.",
    )
    temperature: float = knob(2.0, 0.5, 20.0, help="Softness of the old answers.")
    strength: float = knob(1.0, 0.0, 100.0, help="Weight of the old answers beside cross-entropy. 0 is plain tuning.")

    def turn(self, cast: Mapping[str, Network], between: Between, tasks: Tasks, task: int) -> Turn:
        lesson = restricted(between.alone("student"), self.among(tasks, task), between)
        if task == 0:
            return Turn("student", (lesson,))
        old = tasks.old(task)

        def answers(moment: Moment) -> Terms:
            """Cross-entropy with the softened old answers on the old classes, without T squared, (N,)."""
            ours = log_softened(moment.see("student").logits[:, old], self.temperature)
            theirs = log_softened(moment.see("before").logits[:, old], self.temperature)
            return {"old answers": -(theirs.exp() * ours).sum(dim=1)}

        return Turn("student", (lesson,), answers, {"old answers": self.strength}, ("before",))
