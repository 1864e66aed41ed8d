"""A grid of sixteen students against one run of its recipe, as the page What if starts them:
`python tests/benchmarks/grid.py [PAIRS]`.

Each pair is measured on fresh shelves, one after the other, from the launch to the last result, with one process warm
as in a running app. Prints seconds and ratios; the machine should be idle.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kdcore.launch import Desk
from kdcore.recipe import Recipe
from kdcore.runs import Shelf

STUDENTS = 16
CASES = {
    "mlp": Recipe(),
    "convolutions": Recipe().with_setting("student", {"is": "plain", "width": 8}),
}
ENDS = ("finished", "failed", "stopped", "lost")


def grid(recipe: Recipe) -> list[Recipe]:
    """Eight temperatures by two weights."""
    found = []
    for place in range(STUDENTS):
        one = recipe.with_setting("methods.0.temperature", 1.0 + place // 2)
        found.append(one.with_setting("methods.0.weight", 1.0 + place % 2))
    return found


def seconds(recipes: Sequence[Recipe]) -> float:
    """Seconds from the launch until all are finished, on a fresh shelf with one warm process."""
    with tempfile.TemporaryDirectory() as folder:
        shelf = Shelf(Path(folder) / "runs")
        desk = Desk(shelf)
        try:
            _settle(desk)
            began = time.perf_counter()
            runs = [shelf.run(desk.launch(one)) for one in recipes]
            while not all(run.said_end() for run in runs):
                time.sleep(0.02)
            passed = time.perf_counter() - began
            ends = {run.state() for run in runs}
            assert ends == {"finished"}, ends
            return passed
        finally:
            desk.close()


def _processor(desk: Desk) -> float:
    """Seconds of processor time of the desk's processes that live."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in desk.pids())


def _settle(desk: Desk) -> None:
    """Wait until what is started with the desk is warm and still."""
    time.sleep(5.0)
    last = -1.0
    while (now := _processor(desk)) - last > 0.05:
        last = now
        time.sleep(1.0)


def main(pairs: int) -> None:
    print(f"load before: {os.getloadavg()[0]:.1f}")
    for name, recipe in CASES.items():
        ratios = []
        for number in range(pairs):
            seeded = recipe.replace(seed=number)
            one, many = seconds([seeded]), seconds(grid(seeded))
            ratios.append(many / one)
            print(f"{name}: one run {one:.1f} s, {STUDENTS} runs {many:.1f} s, {many / one:.2f} times")
        print(f"{name}: {statistics.median(ratios):.2f} times (median of {pairs})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
