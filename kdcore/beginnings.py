"""What a run that is written begins from: nothing, its own checkpoint, or another run's moment."""

from __future__ import annotations

from functools import partial

from kdcore import engine
from kdcore.files import size_of
from kdcore.recipe import RecipeError
from kdcore.run import Run, RunError
from kdcore.runs import Shelf
from kdcore.scribe import Source
from kdcore.start import Start


def source_for(run: Run, shelf: Shelf) -> Source:
    """The engine, told where to begin. Raises RecipeError where a fork's parent is gone or damaged."""
    kept = run.checkpoint()
    if kept is not None and kept[0]["bytes"] == size_of(run.folder / "events.jsonl"):
        return partial(engine.run, start=Start(kept[0]["phase"], kept[1], step=kept[0]["step"]))
    if run.recipe.parent is not None:
        return partial(engine.run, start=moment_of(shelf, run.recipe.parent.run, run.recipe.parent.snapshot))
    return engine.run


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
