"""The study of knowledge sources, task after task: features, logits or gradients of the network from before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from kdcore.incremental import AmongOwn
from kdcore.method import Method
from kdcore.network import Network
from kdcore.recipe import RecipeError
from kdcore.scheme import Between, Turn
from kdcore.spec import knob
from kdcore.tasks import Tasks, restricted
from kdcore.vocabulary import Paper


class SourcesTaskAfterTask(AmongOwn):
    """The recipe's methods work between the network and its frozen copy from before each task, on old classes alone.

    Which of the copy's knowledge keeps old classes alive best: its features, its logits, or either weighted by
    gradients? Run it once with each method of the sources study, all else equal, and compare; any other method that
    compares with a teacher may be tried so too. The student learns the new classes from the labels meanwhile.
    """

    title = "Lifelong: sources study, task after task"
    uses_methods = True
    example: ClassVar[dict[str, Any]] = {
        "data": {"is": "digits"},
        "student": {"is": "plain", "width": 16, "stage_count": 2},
        "methods": [{"is": "hsu_logit"}],
        "scheme": {"is": "hsu_incremental", "tasks": 2, "strength": 3.0},
        "training": {"epochs": 20, "batch": 64},
    }
    paper = Paper(
        "Hsu, Smith, Shen, Kira, Jin", 2022, "https://arxiv.org/abs/2203.10163",
        "A Closer Look at Knowledge Distillation with Features, Logits, and Gradients",
    )  # fmt: skip
    provenance = (
        "paper (no public code was found): that sources are compared in a class-incremental setting too. Tasks, memory "
        "and the strength of each term are our decisions"
    )
    pitfalls = (
        "Sources are comparable only at weights that are each the best of their own: try a few before ranking them.",
        "Features are held whole, also what only new classes would use; logits are held for old classes alone.",
    )
    strength: float = knob(1.0, 0.0, 1000.0, help="Factor on all the recipe's methods together.")

    def turn(self, cast: Mapping[str, Network], between: Between, tasks: Tasks, task: int) -> Turn:
        labels = between.labels("student") or between.alone("student")
        knowledge = between.knowledge("student", "before", self.strength)
        for name, method in knowledge.objective.methods.items():
            assert isinstance(method, Method)
            if method.own_stage or type(method).redress is not Method.redress:
                raise RecipeError(
                    "methods", f"{name} wants a stage or a classifier of its own, for which there is no place in a task"
                )
        lessons = (restricted(labels, self.among(tasks, task), between),)
        if task == 0:
            return Turn("student", lessons)
        return Turn("student", (*lessons, restricted(knowledge, tasks.old(task), between)))
