"""A run's networks at any snapshot, brought back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor

from kdcore.dataset import Data
from kdcore.events import Snapshot
from kdcore.history import History
from kdcore.network import Network
from kdcore.objective import Objective
from kdcore.own_pictures import Keeps
from kdcore.recipe import Recipe
from kdcore.run import Run
from kdcore.scheme import Phase
from kdcore.stage import Losses, Stage, set_stage


@dataclass(frozen=True)
class RevivedLesson:
    """A lesson of the snapshot's phase with its learned parts as they were."""

    student: str
    teacher: str
    objective: Objective


@dataclass(frozen=True)
class Revived:
    """A run at one moment. All networks are in eval mode, on the CPU, without gradient."""

    recipe: Recipe
    data: Data
    parts: dict[str, str]
    """role -> teacher|student|baseline|assistant|peer."""
    networks: dict[str, Network]
    """Every role, as it was at this moment (untrained where its turn had not come)."""
    lessons: list[RevivedLesson]
    """Lessons of knowledge in this snapshot's phase; none while a teacher or the baseline trains."""
    phase: int
    epoch: float
    snapshot: str
    kept: Keeps | None = None
    """Where pictures of one's own are kept beside the run; None where nothing is kept."""


class Remembered(Protocol):
    """What is needed of a run: `runs.Run` is one."""

    @property
    def recipe(self) -> Recipe: ...

    def history(self) -> History: ...

    def tensors(self, name: str) -> Mapping[str, Tensor]: ...


def revive(run: Remembered, snapshot: str) -> Revived:
    """The run at that snapshot: networks, data, and the learned parts of that phase's methods.

    A role that the snapshot does not hold is taken from the latest one before it. Raises ReviveError where the snapshot
    is not there or does not fit its recipe.
    """
    history = run.history()
    names = [one.name for one in history.snapshots]
    if snapshot not in names:
        raise ReviveError(f"there is no snapshot {snapshot!r}; there are {', '.join(names) or 'none yet'}")
    chosen = history.snapshots[names.index(snapshot)]
    stage = set_stage(run.recipe, torch.device("cpu"), weights="later")
    sources: dict[str, str] = {}
    for one in history.snapshots[: names.index(snapshot) + 1]:
        sources.update(dict.fromkeys(one.roles, one.name))
    opened = {name: run.tensors(name) for name in {*sources.values(), snapshot}}
    between = Losses(stage)
    if between.redresses:
        _phase(stage, between, chosen)
    for role, network in stage.cast.items():
        if role in sources:
            _load(network, opened[sources[role]], f"role/{role}/")
        network.eval()
        network.requires_grad_(False)
    lessons = []
    for turn in _phase(stage, between, chosen).turns:
        for lesson in turn.lessons:
            if lesson.kind != "knowledge" or lesson.teacher is None:
                continue
            _load(lesson.objective, opened[snapshot], f"part/{lesson.student}|{lesson.teacher}/")
            lessons.append(RevivedLesson(lesson.student, lesson.teacher, lesson.objective))
        for teacher in turn.told_by:
            if turn.learner in stage.cast and all(known.teacher != teacher for known in lessons):
                lessons.append(RevivedLesson(turn.learner, teacher, Objective([], [])))
    for told in lessons:
        told.objective.eval()
        told.objective.requires_grad_(False)
    for role in stage.bare:  # its lesson was made anew, and with it what methods add to it
        if role in sources:
            _load(stage.cast[role], opened[sources[role]], f"role/{role}/")
        stage.cast[role].eval()
        stage.cast[role].requires_grad_(False)
    parts = {role: casting.part for role, casting in stage.castings.items()}
    return Revived(
        run.recipe, stage.data, dict(parts), dict(stage.cast), lessons, chosen.phase, chosen.epoch, snapshot,
        run if isinstance(run, Run) else None,
    )  # fmt: skip


def _phase(stage: Stage, between: Losses, chosen: Snapshot) -> Phase:
    found = next(islice(stage.scheme.phases(stage.cast, between), chosen.phase, None), None)
    if found is None:
        raise ReviveError(f"the recipe has no phase {chosen.phase}, in which snapshot {chosen.name} was taken")
    return found


class ReviveError(ValueError):
    """A moment of a run that cannot be brought back; the message says why."""


def _load(module: torch.nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        said = str(error).splitlines()[-1].strip()
        said = said if len(said) < 200 else f"{said[:200].rpartition(', ')[0]}, …"  # a whole network's names
        raise ReviveError(f"the snapshot does not fit its recipe: {said}") from error
