"""The command line: run, list, show, export, runs. Torch is imported only by the commands that compute."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdcore.cards import ONE
from kdcore.failure import sentence
from kdcore.listing import FAILED, FINE, NOTHING, STOPPED, WRONG, found, say, show_list, show_run, show_runs
from kdcore.processes import SCRIBE, WORKER, step_back
from kdcore.progress import Progress, table
from kdcore.recipe import LONGEST, Recipe, RecipeError
from kdcore.runs import Run, Shelf, UnknownRun, default_root
from kdcore.sources import ray_address
from kdcore.standings import PAIRS
from kdcore.sweep import PRUNERS, SAMPLERS

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
        return say(str(error), NOTHING)
    except RecipeError as error:
        return say(str(error), WRONG)
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FINE
    except (ValueError, OSError) as error:
        return say(sentence(error), FAILED)
    except KeyboardInterrupt:
        return say("stopped", STOPPED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kdcore", description="Knowledge distillation: recipe in, events out.", epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, do: Any, words: str | None) -> argparse.ArgumentParser:
        shown: dict[str, Any] = {} if words is None else {"help": words, "description": words}
        one = commands.add_parser(name, epilog=CODES, formatter_class=argparse.RawDescriptionHelpFormatter, **shown)
        one.add_argument("--root", type=Path, help="where runs are kept (KDLAB_RUNS, or ./runs)")
        one.set_defaults(do=do)
        return one

    one = command("run", _run, "Run a recipe and put it on the shelf.")
    one.add_argument("recipe", metavar="RECIPE.json", help="a JSON file; - reads it from standard input")
    one.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", dest="changes",
        help="change one setting, for instance student.width=16 or training.epochs=5; may be given several times",
    )  # fmt: skip
    one = command("list", show_list, "What there is to choose from: key, title, what it does.")
    one.add_argument("folder", choices=sorted(ONE))
    command("runs", show_runs, "The runs on the shelf, newest first.")
    one = command("show", show_run, "One run: its recipe, its state, its results.")
    one.add_argument("run", metavar="RUN", help="id of a run, or its beginning")
    one.add_argument("--json", action="store_true", help="as JSON")
    one = command("export", _export, "The student as safetensors and the JSON that rebuilds it.")
    one.add_argument("run", metavar="RUN", help="id of a run, or its beginning")
    one.add_argument("--to", type=Path, required=True, metavar="DIR", help="folder for the two files")
    one.add_argument("--force", action="store_true", help="overwrite files that are there")
    one = command(
        "sweep", _sweep,
        "Search settings of a recipe for what is best on validation pictures, with Optuna (pip install optuna). Every "
        "try is a run on the shelf; weak ones are stopped early. The same sweep again goes on where it stopped.",
    )  # fmt: skip
    one.add_argument("recipe", nargs="?", metavar="RECIPE.json", help="a JSON file; - reads it from standard input")
    one.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", dest="changes", help="change it first")
    one.add_argument(
        "--vary", action="append", default=[], metavar="PATH=LOW..HIGH",
        help="a setting and its range, for instance student.width=8..64 or training.rate=1e-4..1e-1:log (by factors), "
        "or its values with commas between them; may be given several times",
    )  # fmt: skip
    one.add_argument("--runs", type=int, help="tries in all (20)")
    one.add_argument("--sampler", choices=SAMPLERS, default="tpe", help="how they are chosen (tpe)")
    one.add_argument("--seed", type=int, default=0, help="of the search; the recipe's own stays as it is (0)")
    one.add_argument("--pruner", choices=PRUNERS, default="median", help="which runs are stopped early (median)")
    one.add_argument("--go-on", default="", metavar="SWEEP", help="go on with the sweep of this id")
    one = command(
        "tournament", _tournament,
        "Every method on one pair, with paired seeds: a table of what each is worth. What is measured is kept in "
        "tournaments beside the runs; after a stop it goes on where it was.",
    )  # fmt: skip
    one.add_argument("pair", nargs="?", default="digits", choices=sorted(PAIRS), help="which pair (digits)")
    one.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", dest="changes", help="change the pair")
    one.add_argument("--seeds", type=int, default=3, help="runs of each method (2 to 20)")
    one.add_argument("--limit", type=float, default=120.0, help="CPU seconds that one run may take (120)")
    one.add_argument("--to", type=Path, metavar="FILE.md", help="write the table here instead of to standard output")
    one = command("schemes", _schemes, "Every scheme on its own example, with paired seeds, against the student alone.")
    one.add_argument("keys", nargs="*", metavar="SCHEME", help="which schemes (all)")
    one.add_argument("--seeds", type=int, default=3, help="runs of each scheme (3)")
    one = command(
        "benchmark", _benchmark,
        "The same distillation by the loop that public repositories use and by this one, in one run, block by block: "
        "how many times faster, by what, at which accuracy and memory, and how it grows. The page goes to standard "
        "output.",
    )  # fmt: skip
    one.add_argument("cases", nargs="*", metavar="CASE", help="which distillations (all): digits, fashion, …")
    one.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", dest="changes", help="change them")
    one.add_argument("--pairs", type=int, default=7, help="blocks of each row (1 to 100)")
    one.add_argument("--block", type=float, default=0.4, help="seconds of a block (0.01 to 60)")
    one.add_argument("--json", type=Path, metavar="FILE", help="keep the results here")
    one.add_argument("--to", type=Path, metavar="FILE.md", help="write the page here instead of to standard output")
    one.add_argument("--no-scaling", action="store_true", help="leave out how it grows")
    command("scribe", _scribe, None)
    command("worker", _worker, None)
    return parser


def _run(chosen: argparse.Namespace, shelf: Shelf) -> int:
    recipe = _recipe(chosen.recipe, chosen.changes)
    from kdcore.beginnings import source_for
    from kdcore.catalog import catalog
    from kdcore.check import faults
    from kdcore.scribe import exit_code, write
    from kdcore.worker import slots_for, step_aside

    wrong = faults(recipe, catalog())
    for fault in wrong:
        say(f"{fault.where}: {fault.text}", WRONG)
    if wrong:
        return WRONG
    run, new = shelf.create(recipe)
    say(f"run {run.id}", FINE)
    progress = Progress(sys.stderr)
    if new:
        step_aside(0)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        code = exit_code(write(run, source_for(run, shelf), slots=slots_for(recipe, shelf), listen=progress))
    else:
        say("There is a run of this recipe already; this shows it.", FINE)
        code = _follow(run, progress)
    if code == FINE:
        print(table(progress.history))
    return code


def _tournament(chosen: argparse.Namespace, shelf: Shelf) -> int:
    if not 2 <= chosen.seeds <= 20:
        return say(f"--seeds {chosen.seeds}: 2 to 20 is right", WRONG)
    if not 1.0 <= chosen.limit <= 100_000.0:
        return say(f"--limit {chosen.limit:g}: 1 to 100000 seconds is right", WRONG)
    from kdcore.standings import Standings
    from kdcore.tournament import fresh, hold
    from kdcore.tournament_table import markdown
    from kdcore.tournaments import Tournaments
    from kdcore.worker import slots_for, step_aside

    step_aside(SCRIBE)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun = fresh(chosen.pair, changed(PAIRS[chosen.pair], chosen.changes), seeds=chosen.seeds, limit=chosen.limit)
    slots = slots_for(begun.base, shelf)

    def held(standings: Standings, keep: Callable[[Standings], None]) -> None:
        def said(now: Standings) -> None:
            keep(now)
            done, all_ = now.steps()
            say(f"{done}/{all_} {now.now}".rstrip(), FINE)

        if ray_address():
            from kdcore.sources import ray_tournament  # only where it was asked for

            ray_tournament.hold(standings, said=said)
        else:
            hold(standings, said=said, turn=slots.turn)

    told = markdown(Tournaments(shelf.root).hold(begun, held))
    if chosen.to is None:
        print(told)
    else:
        chosen.to.write_text(told, encoding="utf-8")
    return FINE


def _sweep(chosen: argparse.Namespace, shelf: Shelf) -> int:
    if bool(chosen.recipe) == bool(chosen.go_on):
        return say("a RECIPE.json with --vary, or --go-on SWEEP, is right", WRONG)
    from kdcore.sweep_command import sweep

    return sweep(chosen, shelf, lambda: _recipe(chosen.recipe, chosen.changes))


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
    return changed(Recipe.from_text(text), changes)


def changed(recipe: Recipe, changes: list[str]) -> Recipe:
    """The recipe with settings like "student.width=16" changed one after another. Raises RecipeError."""
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


def _export(chosen: argparse.Namespace, shelf: Shelf) -> int:
    run = found(chosen.run, shelf)
    from kdcore.export import ExportError, save_student

    try:
        for path in save_student(run, chosen.to, over=chosen.force):
            print(path)
    except ExportError as error:
        return say(str(error), WRONG)
    return FINE


def _schemes(chosen: argparse.Namespace, shelf: Shelf) -> int:
    from kdcore.catalog import SCHEMES
    from kdcore.registry import pick
    from kdcore.scheme_table import keep, measure

    for key in chosen.keys:
        pick(SCHEMES, key, what="scheme")
    for key in chosen.keys or SCHEMES:
        row = measure(key, max(1, chosen.seeds))
        keep(key, row)
        say(f"{key}: {row['failed'] or row['test']}", WRONG if row["failed"] else FINE)
    return FINE


def _benchmark(chosen: argparse.Namespace, shelf: Shelf) -> int:
    if not 1 <= chosen.pairs <= 100:
        return say(f"--pairs {chosen.pairs}: 1 to 100 is right", WRONG)
    if not 0.01 <= chosen.block <= 60.0:
        return say(f"--block {chosen.block:g}: 0.01 to 60 seconds is right", WRONG)
    from kdcore.benchmark import CASES, benchmark, case
    from kdcore.benchmark_table import markdown
    from kdcore.registry import pick
    from kdcore.worker import step_aside

    for name in chosen.cases:
        pick(CASES, name, what="case")
    step_aside(0)
    recipes = {name: changed(case(name), chosen.changes) for name in chosen.cases or CASES}
    found = benchmark(
        recipes, pairs=chosen.pairs, block=chosen.block, scaling=not chosen.no_scaling,
        said=lambda words: say(words, FINE),
    )  # fmt: skip
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if chosen.to is None:
        print(markdown(found))
    else:
        chosen.to.write_text(markdown(found), encoding="utf-8")
    return FINE


def _scribe(chosen: argparse.Namespace, shelf: Shelf) -> int:
    from kdcore.wire import Caller

    step_back(SCRIBE)  # now: another one is started just when a run begins, and to import torch takes long
    # Before torch is imported, so that an app that ends at once leaves nothing behind.
    caller = Caller(gone=lambda: None if caller.asked else os._exit(0))

    def do() -> int:
        from kdcore.worker import scribe

        return scribe(shelf, caller)

    return _leave(do)


def _worker(chosen: argparse.Namespace, shelf: Shelf) -> int:
    from kdcore.wire import Caller

    step_back(WORKER)
    caller = Caller(gone=lambda: os._exit(0))

    def do() -> int:
        from kdcore.worker import worker

        return worker(shelf, caller)

    return _leave(do)


def _leave(do: Callable[[], int]) -> int:
    """Do it and end the process at once: libraries take half a second to leave, and some print while they do."""
    try:
        code = do()
    except BaseException as error:
        traceback.print_exc()
        print(sentence(error), file=sys.stderr)
        code = 1
    sys.stderr.flush()
    os._exit(code)
