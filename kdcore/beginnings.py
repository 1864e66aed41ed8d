"""What a run that is written begins from: nothing, its own checkpoint, or another run's moment."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from kdcore import engine
from kdcore.catalog import DATASETS
from kdcore.check import fork_faults
from kdcore.events import Checkpoint, Event, Foundation, PhaseStarted, Pictures, Scored, Snapshot
from kdcore.files import size_of
from kdcore.foundation import Foundations, Laid
from kdcore.recipe import Recipe, RecipeError
from kdcore.registry import UnknownKey, pick
from kdcore.run import Run, RunError
from kdcore.runs import Shelf, UnknownRun
from kdcore.scribe import Source
from kdcore.sources import ray_address
from kdcore.start import Start

Trainer = Callable[..., Iterator[Event]]
"""Whoever trains a recipe as `engine.run` does, with `start` and `laid`."""


def source_for(run: Run, shelf: Shelf) -> Source:
    """The engine, told where to begin and which phases are laid already; what this run lays is kept for others.

    The source looks when it is asked for its first event, when the run has its slot; it raises RecipeError then where a
    fork's parent is gone or damaged.
    """

    def watched(recipe: Recipe) -> Iterator[Event]:
        for event in _trained(run, shelf)(recipe):
            yield event
            if isinstance(event, Foundation) and not event.taken:
                with contextlib.suppress(OSError):
                    shelf.lay(event.key, run.id, event.phase, event.learner)

    return watched


def laid_on(shelf: Shelf) -> Foundations:
    """What the shelf knows of phases that runs have in common."""

    def find(key: str) -> Laid | None:
        place = shelf.laid(key)
        if place is None:
            return None
        run, phase, learner = place
        try:
            told = _told(run.folder, phase)
            snapshots = [event for event in told if isinstance(event, Snapshot)]
            tensors = run.tensors(snapshots[-1].name)
        except (RunError, LookupError):
            return None
        prefix = f"role/{learner}/"
        weights = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        def events() -> Iterator[Event]:
            for event in told:
                yield replace(event, tensors=run.kept(event.name)) if isinstance(event, Snapshot) else event

        return Laid(run.id, events, weights) if weights else None

    return find


@lru_cache(maxsize=8)
def _told(folder: Path, phase: int) -> tuple[Event, ...]:
    """What a run said of a phase that is over, without the tensors of its snapshots.

    A phase is laid when all is said of it, so this never changes; a grid's runs ask for the same one again and again.
    Raises LookupError while a run that was interrupted and went back tells the phase once more.
    """
    found: list[Event] = []
    now = -1
    for event in Run(folder).events()[0]:
        now = event.phase if isinstance(event, PhaseStarted) else now
        ours = now == phase if isinstance(event, Pictures) else getattr(event, "phase", None) == phase
        if isinstance(event, Foundation) and event.phase == phase:
            return tuple(found)
        if ours and not isinstance(event, Checkpoint) and not (isinstance(event, Scored) and event.split == "test"):
            found.append(event)
    raise LookupError(f"phase {phase} is not all told yet")


def _trained(run: Run, shelf: Shelf) -> Source:
    if not ray_address():
        return begun(run, shelf, engine.run)
    from kdcore.sources import ray  # only where it was asked for

    return ray.source(run, shelf)


def begun(run: Run, shelf: Shelf, train: Trainer) -> Source:
    """The trainer, told where the run begins. Raises RecipeError where a fork's parent is gone."""
    kept = run.checkpoint()
    if kept is not None and kept[0]["bytes"] == size_of(run.folder / "events.jsonl"):
        start = Start(kept[0]["phase"], kept[1], step=kept[0]["step"])
        return partial(train, start=start, laid=laid_on(shelf))
    if run.recipe.parent is not None:
        _refuse(run.recipe, run.recipe.parent.run, shelf)
        return partial(train, start=moment_of(shelf, run.recipe.parent.run, run.recipe.parent.snapshot))
    return partial(train, laid=laid_on(shelf))


def _refuse(recipe: Recipe, parent: str, shelf: Shelf) -> None:
    """Raises RecipeError for a fork whose split is not its parent's."""
    with contextlib.suppress(UnknownKey, UnknownRun):  # both are said elsewhere
        knobs = pick(dict(DATASETS), recipe.data.key, what="data set").knobs
        for fault in fork_faults(recipe, shelf.run(parent).recipe, knobs):
            raise RecipeError(fault.where, fault.text)


def moment_of(shelf: Shelf, run_id: str, snapshot: str) -> Start:
    """Another run at one of its snapshots: every role as it was then. Raises RecipeError."""
    try:
        parent = shelf.run(run_id)
        history = parent.history()
        names = [one.name for one in history.snapshots]
        if snapshot not in names:
            raise RecipeError("parent.snapshot", f"run {run_id} has no moment {snapshot}; it has {', '.join(names)}")
        place = names.index(snapshot)
        chosen = history.snapshots[place]
        tensors = {}
        wanted = {role: one.name for one in history.snapshots[: place + 1] for role in one.roles}
        for name in {*wanted.values()} - {snapshot}:
            for key, value in parent.tensors(name).items():
                role = key.split("/")[1] if key.startswith("role/") else ""
                if wanted.get(role) == name:
                    tensors[key] = value
        tensors.update(parent.tensors(snapshot))
    except RunError as error:
        raise RecipeError("parent", str(error)) from error
    return Start(chosen.phase, tensors, epoch=chosen.epoch, fork=True)
