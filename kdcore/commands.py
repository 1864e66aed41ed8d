"""The command line: run, list, show, export, runs. Torch is imported only by the commands that compute."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from kdcore.cards import ONE, Catalog
from kdcore.progress import Progress, duration, table
from kdcore.recipe import LONGEST, Recipe, RecipeError, code_version
from kdcore.runs import Run, RunError, Shelf, UnknownRun, default_root

FINE, WRONG, FAILED, STOPPED, NOTHING = 0, 2, 3, 4, 5
CODES = """exit codes:
  0  fine
  2  wrong usage, or a recipe that cannot be run
  3  the run failed
  4  the run was stopped, also by Ctrl-C
  5  nothing found"""


def main(arguments: list[str]) -> int:
    """Do what the command line says; its exit code."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    chosen = _parser().parse_args(arguments)
    shelf = Shelf(chosen.root or default_root())
    try:
        return int(chosen.do(chosen, shelf))
    except UnknownRun as error:
        return _say(str(error), NOTHING)
    except RecipeError as error:
        return _say(str(error), WRONG)
    except (ValueError, OSError) as error:
        from kdcore.failure import sentence

        return _say(sentence(error), FAILED)
    except BrokenPipeError:
        return FINE
    except KeyboardInterrupt:
        return _say("stopped", STOPPED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kdcore", description="Knowledge distillation: recipe in, events out.", epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, do: Any, words: str | None) -> argparse.ArgumentParser:
        shown = {} if words is None else {"help": words, "description": words}
        one = commands.add_parser(
            name, epilog=CODES, formatter_class=argparse.RawDescriptionHelpFormatter, **shown
        )
        one.add_argument("--root", type=Path, help="where runs are kept (KDLAB_RUNS, or ./runs)")
        one.set_defaults(do=do)
        return one

    one = command("run", _run, "Run a recipe and put it on the shelf.")
    one.add_argument("recipe", metavar="RECIPE.json", help="a JSON file; - reads it from standard input")
    one.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", dest="changes",
        help="change one setting, for instance student.width=16 or training.epochs=5; may be given several times",
    )  # fmt: skip
    one = command("list", _list, "What there is to choose from: key, title, what it does.")
    one.add_argument("folder", choices=sorted(ONE))
    command("runs", _runs, "The runs on the shelf, newest first.")
    one = command("show", _show, "One run: its recipe, its state, its results.")
    one.add_argument("run", metavar="RUN", help="id of a run, or its beginning")
    one.add_argument("--json", action="store_true", help="as JSON")
    one = command("export", _export, "The student as safetensors and the JSON that rebuilds it.")
    one.add_argument("run", metavar="RUN", help="id of a run, or its beginning")
    one.add_argument("--to", type=Path, required=True, metavar="DIR", help="folder for the two files")
    one.add_argument("--force", action="store_true", help="overwrite files that are there")
    command("scribe", _scribe, None)
    command("worker", _worker, None)
    return parser


def _run(chosen: argparse.Namespace, shelf: Shelf) -> int:
    recipe = _recipe(chosen.recipe, chosen.changes)
    from kdcore import engine
    from kdcore.catalog import catalog
    from kdcore.check import faults
    from kdcore.scribe import exit_code, write
    from kdcore.worker import slots_for, step_aside

    wrong = faults(recipe, catalog())
    for fault in wrong:
        _say(f"{fault.where}: {fault.text}", WRONG)
    if wrong:
        return WRONG
    run, new = shelf.create(recipe)
    _say(f"run {run.id}", FINE)
    progress = Progress(sys.stderr)
    if new:
        step_aside(0)
        code = exit_code(write(run, engine.run, slots=slots_for(recipe, shelf), listen=progress))
    else:
        _say("There is a run of this recipe already; this shows it.", FINE)
        code = _follow(run, progress)
    if code == FINE:
        print(table(progress.history))
    return code


def _recipe(place: str, changes: list[str]) -> Recipe:
    try:
        if place == "-":
            text = sys.stdin.read(LONGEST + 1)
        else:
            with open(place, encoding="utf-8") as file:
                text = file.read(LONGEST + 1)
    except OSError as error:
        raise RecipeError("", f"{place} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError("", f"{place} is not text in UTF-8") from error
    recipe = Recipe.from_text(text)
    for change in changes:
        path, equals, value = change.partition("=")
        if not equals or not path:
            raise RecipeError("", f"--set {change}: PATH=VALUE is right, for instance student.width=16")
        with contextlib.suppress(ValueError):
            value = json.loads(value)
        recipe = recipe.with_setting(path, value)
    return recipe


def _follow(run: Run, progress: Progress) -> int:
    """Show a run that another process writes, to its end."""
    since = 0
    while True:
        state = run.state()
        events, since = run.events(since)
        for event in events:
            progress(event)
        if state not in ("waiting", "running"):
            return {"finished": FINE, "stopped": STOPPED}.get(state, FAILED)
        time.sleep(0.2)


def _list(chosen: argparse.Namespace, shelf: Shelf) -> int:
    cards = _catalog(shelf).folders[chosen.folder]
    if not cards:
        return _say(f"no {chosen.folder}", NOTHING)
    key_width = max(map(len, cards))
    title_width = max(len(card.title) for card in cards.values())
    for key, card in cards.items():
        first, dot, _ = card.summary.partition(". ")
        print(f"{key:{key_width}}  {card.title:{title_width}}  {first}{dot.strip()}")
    return FINE


def _catalog(shelf: Shelf) -> Catalog:
    kept = shelf.kept_catalog(code_version())
    if kept is not None:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return Catalog.from_json(json.loads(kept))
    from kdcore.catalog import catalog

    return catalog()


def _runs(chosen: argparse.Namespace, shelf: Shelf) -> int:
    runs = shelf.runs()
    if not runs:
        return _say(f"no runs in {shelf.root}", NOTHING)
    for run in runs:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created))
        results = run.history().results
        score = results.get("student", {}).get("test_accuracy")
        tested = f"{score:.2%}" if isinstance(score, (int, float)) else ""
        print(f"{run.id:20}  {when}  {run.state() + (', recorded' if run.recorded else ''):18}  {tested:>7}  {_title(run)}")
    return FINE


def _title(run: Run) -> str:
    try:
        recipe = run.recipe
    except RecipeError as error:
        return error.text
    return f"{'+'.join(part.method.key for part in recipe.methods)} {recipe.scheme.key} on {recipe.data.key}"


def _show(chosen: argparse.Namespace, shelf: Shelf) -> int:
    run = _found(chosen.run, shelf)
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
        print(f"  {phase.number + 1}. {phase.title}: step {phase.step:,} of {phase.steps:,}, {len(phase.snapshots)} snapshots")
    if history.seconds is not None:
        print(f"took {duration(history.seconds)}")
    print(table(history))
    return FINE


def _export(chosen: argparse.Namespace, shelf: Shelf) -> int:
    run = _found(chosen.run, shelf)
    from kdcore.export import ExportError, save_student

    try:
        for path in save_student(run, chosen.to, over=chosen.force):
            print(path)
    except ExportError as error:
        return _say(str(error), WRONG)
    return FINE


def _found(id: str, shelf: Shelf) -> Run:
    """The run of that id, or the only one whose id begins so. Raises UnknownRun."""
    matching = [run for run in shelf.runs() if run.id.startswith(id)] if len(id) >= 4 else []
    exact = [run for run in matching if run.id == id]
    if len(matching) > 1 and not exact:
        raise UnknownRun(f"{id} is the beginning of {len(matching)} runs: {', '.join(run.id for run in matching[:5])}")
    return exact[0] if exact else matching[0] if matching else shelf.run(id)


def _scribe(chosen: argparse.Namespace, shelf: Shelf) -> int:
    from kdcore.wire import Caller

    caller = Caller(gone=lambda: None if caller.asked else os._exit(0))  # before torch, so that a short life stays short
    from kdcore.worker import scribe

    return scribe(shelf, caller)


def _worker(chosen: argparse.Namespace, shelf: Shelf) -> int:
    from kdcore.wire import Caller

    caller = Caller(gone=lambda: os._exit(0))
    from kdcore.worker import worker

    return worker(shelf, caller)


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code


__all__ = ["RunError", "main"]
