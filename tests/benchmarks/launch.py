"""How long from a launch to the first Step event, warm and cold: `python tests/benchmarks/launch.py [repeats]`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).absolute().parents[2]))

from kdcore.events import Step
from kdcore.launch import Desk
from kdcore.recipe import Recipe
from kdcore.runs import Run, Shelf


def first_step(run: Run, since: float) -> float:
    """Seconds from `since` to the moment when a reader sees the first Step."""
    while not any(isinstance(event, Step) for event in run.events()[0]):
        if time.perf_counter() - since > 120:
            raise TimeoutError(f"run {run.id} is {run.state()}")
        time.sleep(0.005)
    return time.perf_counter() - since


def main(repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shelf = Shelf(folder, Path(folder) / "none")
        began = time.perf_counter()
        desk = Desk(shelf)
        try:
            run = shelf.run(desk.launch(Recipe(seed=1)))
            print(f"cold: {first_step(run, began):.2f} s from nothing to the first step")
            took, whole = [], []
            for number in range(repeats):
                while run.state() in ("waiting", "running"):
                    time.sleep(0.05)
                whole.append(run.history().seconds or 0.0)
                time.sleep(8.0)  # the next scribe warms up
                began = time.perf_counter()
                run = shelf.run(desk.launch(Recipe(seed=2 + number)))
                took.append(first_step(run, began))
            print("warm:", ", ".join(f"{seconds:.3f}" for seconds in took), "s from the launch to the first step")
            print("whole default run:", ", ".join(f"{seconds:.1f}" for seconds in whole), "s")
            sizes = {pid: psutil.Process(pid).memory_info().rss / 1e6 for pid in desk.pids()}
            print("resident:", ", ".join(f"{size:.0f} MB" for size in sizes.values()), "per warm process")
            print("app's side:", f"{psutil.Process().memory_info().rss / 1e6:.0f} MB")
        finally:
            for one in shelf.runs():
                one.request_stop()
            desk.close()
            while any(one.state() in ("waiting", "running") for one in shelf.runs()):
                time.sleep(0.1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
