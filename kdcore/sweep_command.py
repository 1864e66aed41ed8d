"""The command `sweep`: holds a sweep, with scribes of its own to train the runs. No torch in this process."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from kdcore.driver import COMMAND
from kdcore.listing import FAILED, FINE, STOPPED, WRONG, catalog_of, say
from kdcore.processes import cores
from kdcore.recipe import Recipe
from kdcore.run import RunError
from kdcore.runs import Shelf
from kdcore.scribes import Scribes
from kdcore.sweep import MISSING, Sweep, SweepError, Try, checked_runs, installed, plan
from kdcore.sweeps import Sweeps

RUNS = 20
"""Tries of a sweep where nobody says how many."""


def sweep(chosen: argparse.Namespace, shelf: Shelf, recipe: Callable[[], Recipe]) -> int:
    """Hold the sweep that the command line means, and print what came of it. The exit code."""
    if not installed():
        return say(MISSING, WRONG)
    board, catalog = Sweeps(shelf.root), catalog_of(shelf)
    try:
        if chosen.go_on:
            found = board.read(chosen.go_on)
            found.runs = checked_runs(found.runs if chosen.runs is None else chosen.runs)
        else:
            runs = checked_runs(RUNS if chosen.runs is None else chosen.runs)
            meant = plan(recipe(), chosen.vary, catalog, sampler=chosen.sampler, seed=chosen.seed, pruner=chosen.pruner)
            found = Sweep(meant, runs)
            with contextlib.suppress(SweepError):
                found = board.read(meant.id)
                found.runs = max(runs, len(found.tries))
    except SweepError as error:
        return say(str(error), WRONG)
    over = threading.Event()

    def asked(number: int, frame: FrameType | None) -> None:
        over.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, asked)
    slots = _slots()
    said = ""

    def held(now: Sweep, keep: Callable[[Sweep], None]) -> None:
        from kdcore.searching import Search

        def kept(now: Sweep) -> None:
            nonlocal said
            keep(now)
            words = f"{now.now}{_best(now)}"
            if now.now and words != said:
                said = words
                say(words, FINE)

        scribes = Scribes(shelf, command=[*COMMAND, "scribe", "--root", str(shelf.root)], slots=slots)
        try:
            Search(
                now, shelf=shelf, catalog=catalog, journal=board.journal(now.plan.id), write=scribes.write, keep=kept,
                stop=over.is_set, at_once=slots + 1,  # one in line: whoever is done goes on with it at once
            ).run()  # fmt: skip
        finally:
            scribes.close()

    say(f"sweep {found.plan.id}", FINE)
    try:
        print(report(board.hold(found, held), shelf))
    except SweepError as error:
        return say(str(error), FAILED)
    except KeyboardInterrupt:
        return say(f"stopped; it goes on with --go-on {found.plan.id}", STOPPED)
    return FINE


def report(found: Sweep, shelf: Shelf) -> str:
    """What came of a sweep that has ended: the winner beside the recipe as it stands."""
    best = found.best
    states = ", ".join(
        f"{count} {state}" for state in ("finished", "pruned", "refused", "failed") if (count := found.count(state))
    )  # fmt: skip
    lines = [f"{found.ended} tries: {states}."]
    if best is None:
        return "\n".join([*lines, found.now])
    lines.append(f"{'':24}  validation  test")
    lines += [
        _line("the recipe as it stands", found.start, shelf),
        _line(f"the best, try {best.number + 1}", best, shelf),
    ]
    lines += [f"  {path}={value}" for path, value in best.values.items()]
    lines.append(
        f"The best was picked on validation pictures among {found.count('finished')} finished tries: its validation "
        "accuracy flatters it. Test pictures decided nothing. One seed says little; compare both over further seeds."
    )
    return "\n".join(lines)


def _line(name: str, one: Try, shelf: Shelf) -> str:
    tested = ""
    try:
        from kdcore.searching import student_of

        history = shelf.run(one.run).history()
        found = history.results.get(student_of(history), {})
        tested = f"{found['test_accuracy']:.1%} of {found['count']}"
    except (RunError, KeyError):
        tested = "its run is gone"
    return f"{name:24}  {one.accuracy or 0:>10.1%}  {tested}  run {one.run}"


def _best(now: Sweep) -> str:
    best = now.best
    return "" if best is None else f", best on validation pictures so far {best.accuracy:.1%}"


def _slots() -> int:
    wanted = os.environ.get("KDLAB_SLOTS", "")
    return max(1, int(wanted)) if wanted.isdigit() else cores()
