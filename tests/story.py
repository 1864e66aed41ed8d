"""Sources of events without any training, for tests of what becomes of events. No torch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from kdcore.events import Event, Finished, PhaseStarted, Started, Step
from kdcore.recipe import Recipe

HANG, DIE_EARLY, SLOW = 2_000_000, 1_000_000, 3_000_000
"""Seeds from which on a recipe asks for trouble."""


def recipe(seed: int = 0) -> Recipe:
    return Recipe().replace(seed=seed)


def started(asked: Recipe) -> Started:
    return Started(time.time(), asked.to_json(), {}, {}, "cpu", 1, phases=1)


def phase(steps: int) -> PhaseStarted:
    return PhaseStarted(time.time(), 0, "student", "The student learns", steps, 1, ["student"], [])


def step(number: int, **changes: Any) -> Step:
    values = {"loss": 1.0, "terms": {"kd": 0.5}, "weighted": {"kd": 1.0}, "rate": 10.0}
    return Step(time.time(), 0, "student", number, number / 100, **{**values, **changes})


def finished() -> Finished:
    results = {
        "student": {"part": "student", "test_accuracy": 0.9, "won": 0, "lost": 0, "count": 100},
        "baseline": {"part": "baseline", "test_accuracy": 0.8, "won": 12, "lost": 2, "count": 100},
    }
    return Finished(time.time(), 1.0, results)


def source(asked: Recipe) -> Iterator[Event]:
    """Three steps at once; for a recipe with the seed SLOW or above 2,000 steps of 10 ms."""
    steps = 2000 if asked.seed >= SLOW else 3
    yield started(asked)
    yield phase(steps)
    for number in range(1, steps + 1):
        if steps > 3:
            time.sleep(0.01)
        yield step(number)
    yield finished()


def _told(asked: Recipe) -> Callable[[Recipe], Iterator[Event]]:
    if DIE_EARLY <= asked.seed < HANG:
        raise SystemExit("the dog ate the interpreter")
    return source


def main(arguments: list[str]) -> int:
    """Stands in for `python -m kdcore` in tests of the desk: same wire, same writing, another source."""
    from pathlib import Path

    from kdcore.preview import Preview
    from kdcore.runs import Shelf
    from kdcore.scribe import serve
    from kdcore.slots import Slots
    from kdcore.wire import Caller

    shelf = Shelf(Path(arguments[2]), Path("nowhere"))
    if arguments[0] == "scribe":
        caller = Caller(gone=lambda: None if caller.asked else os._exit(0))
        caller.say({"ready": os.getpid()})
        slots = Slots(shelf.root / "slots", "cpu", 2)
        return serve(shelf, caller, lambda run: _told(run.recipe), lambda run: slots)
    caller = Caller(gone=lambda: os._exit(0))
    caller.say({"ready": os.getpid()})
    while (request := caller.hear()) is not None:
        seed = request.get("recipe", {}).get("seed", 0)
        if DIE_EARLY <= seed < HANG:
            os._exit(1)
        if seed == HANG:
            time.sleep(60)
        if request["do"] == "preview":
            caller.say({"ok": Preview(seconds=float(os.getpid())).to_json()})
        else:
            caller.say({"error": "student.width: too wide", "where": "student.width"})
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
