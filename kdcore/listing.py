"""What the command line shows of the catalog and of the shelf. No torch where the catalog was kept."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from typing import Any

from kdcore.cards import Catalog
from kdcore.progress import duration, table
from kdcore.recipe import RecipeError, code_version
from kdcore.runs import Run, Shelf, UnknownRun

FINE, WRONG, FAILED, STOPPED, NOTHING = 0, 2, 3, 4, 5


def show_list(chosen: argparse.Namespace, shelf: Shelf) -> int:
    """Key, title and first sentence of every entry of a folder."""
    cards = catalog_of(shelf).folders[chosen.folder]
    if not cards:
        return say(f"no {chosen.folder}", NOTHING)
    key_width = max(map(len, cards))
    title_width = max(len(card.title) for card in cards.values())
    for key, card in cards.items():
        first, dot, _ = card.summary.partition(". ")
        print(f"{key:{key_width}}  {card.title:{title_width}}  {first}{dot.strip()}")
    return FINE


def catalog_of(shelf: Shelf) -> Catalog:
    """Every card there is, as it was kept beside the runs, or read anew."""
    kept = shelf.kept_catalog(code_version())
    if kept is not None:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return Catalog.from_json(json.loads(kept))
    from kdcore.catalog import catalog

    return catalog()


def show_runs(chosen: argparse.Namespace, shelf: Shelf) -> int:
    """One line for each run: id, when, state, test accuracy of the student, what it is."""
    runs = shelf.runs()
    if not runs:
        return say(f"no runs in {shelf.root}", NOTHING)
    for run in runs:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created))
        results = run.history().results
        score = results.get("student", {}).get("test_accuracy")
        tested = f"{score:.2%}" if isinstance(score, (int, float)) else ""
        state = run.state() + (", recorded" if run.recorded else "")
        print(f"{run.id:20}  {when}  {state:18}  {tested:>7}  {_title(run)}")
    return FINE


def _title(run: Run) -> str:
    try:
        recipe = run.recipe
    except RecipeError as error:
        return error.text
    return f"{'+'.join(part.method.key for part in recipe.methods)} {recipe.scheme.key} on {recipe.data.key}"


def show_run(chosen: argparse.Namespace, shelf: Shelf) -> int:
    """One run, for people or as JSON."""
    run = found(chosen.run, shelf)
    history, state = run.history(), run.state()
    try:
        recipe: Any = run.recipe.to_json()
    except RecipeError as error:
        recipe = {"unreadable": error.text}
    if chosen.json:
        told = {
            "id": run.id, "state": state, "recorded": run.recorded, "created": run.created, "recipe": recipe,
            "seconds": history.seconds, "results": history.results, "failure": history.failure,
            "advice": history.advice, "notes": history.notes, "snapshots": [one.name for one in history.snapshots],
            "bytes": run.size(),
        }  # fmt: skip
        print(json.dumps(told, indent=1))
        return FINE
    print(f"run {run.id}: {state}{' (recorded)' if run.recorded else ''}, {run.size() / 1e6:.1f} MB, {run.folder}")
    for name, value in recipe.items():
        print(f"  {name}: {json.dumps(value)}")
    if history.failure:
        print(f"{history.failure} {history.advice}".rstrip())
    for phase in history.phases:
        steps = f"step {phase.step:,} of {phase.steps:,}"
        print(f"  {phase.number + 1}. {phase.title}: {steps}, {len(phase.snapshots)} snapshots")
    if history.seconds is not None:
        print(f"took {duration(history.seconds)}")
    print(table(history))
    return FINE


def found(id: str, shelf: Shelf) -> Run:
    """The run of that id, or the only one whose id begins so. Raises UnknownRun."""
    matching = [run for run in shelf.runs() if run.id.startswith(id)] if len(id) >= 4 else []
    exact = [run for run in matching if run.id == id]
    if len(matching) > 1 and not exact:
        raise UnknownRun(f"{id} is the beginning of {len(matching)} runs: {', '.join(run.id for run in matching[:5])}")
    return exact[0] if exact else matching[0] if matching else shelf.run(id)


def say(text: str, code: int) -> int:
    """Say it on stderr and give back the exit code."""
    print(text, file=sys.stderr)
    return code
