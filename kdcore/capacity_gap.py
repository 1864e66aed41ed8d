"""The capacity gap, measured: teacher size by student size by alone, distilled and by an assistant, as curves."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from kdcore.engine import run
from kdcore.events import Failed, Finished, Started
from kdcore.files import write_whole
from kdcore.recipe import Recipe, code_version
from kdcore.standings import mean_and_half

TEACHERS = (8, 20, 48)
"""Channels of the teacher's first stage."""
STUDENTS = (3, 5)
MEASURED = Path(__file__).absolute().parent.parent / "assets" / "measured" / "capacity_gap.json"
PAGE = Path(__file__).absolute().parent / "CAPACITY.md"
WAYS = {"baseline": "alone", "direct": "distilled", "student": "by an assistant"}
"""Role in a run of the scheme takd -> what it stands for."""

HEAD = """# The capacity gap on digits

Does a larger teacher make a better student? Test accuracy of the last epoch in %, means over paired seeds ± the half
width of the 95 % interval (Student's t). Teacher and student are plain convolutions of two stages; half of the labels
are redrawn at random, for all alike. The assistant's width is the geometric mean of its teacher's and its student's.
Every student starts from the same weights and takes the same number of steps; the assistant's own training comes on
top. Made by `python -m kdcore.capacity_gap`; the numbers of each seed stand in `assets/measured/capacity_gap.json`.

"""


def cell(teacher: int, student: int, seed: int) -> Recipe:
    """One run with all three ways: the scheme of assistants with the direct way and the student alone beside it."""
    plain = {"is": "plain", "stage_count": 2}
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 700, "label_noise": 0.5},
            "teacher": {**plain, "width": teacher},
            "student": {**plain, "width": student},
            "methods": [{"is": "kd", "temperature": 2.0}],
            "scheme": {"is": "takd", "assistants": 1},
            "training": {"epochs": 20, "teacher_epochs": 20, "batch": 64, "teacher_rate": 0.005, "snapshot_every": 0},
            "seed": seed,
        }
    )


def measure(
    teachers: Sequence[int], students: Sequence[int], seeds: int, *, said: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Train every cell. Gives {"cells": [{"teacher", "student", "parameters", "test": {way: [accuracy]}}], …}.

    `said` hears of the results after each cell. Raises ValueError with the reason of a run that fails.
    """
    found: dict[str, Any] = {"recipe": cell(teachers[0], students[0], 0).to_json(), "seeds": seeds, "cells": []}
    began = time.process_time()
    for student in students:
        for teacher in teachers:
            tests: dict[str, list[float]] = {}
            parameters: dict[str, Any] = {}
            for seed in range(seeds):
                for event in run(cell(teacher, student, seed)):
                    if isinstance(event, Started):
                        parameters = {role: facts["parameters"] for role, facts in event.roles.items()}
                    elif isinstance(event, Failed):
                        raise ValueError(f"teacher width {teacher}, student width {student}: {event.reason}")
                    elif isinstance(event, Finished):
                        for role, result in event.results.items():
                            tests.setdefault(WAYS.get(role, role), []).append(round(result["test_accuracy"], 4))
            found["cells"].append({"teacher": teacher, "student": student, "parameters": parameters, "test": tests})
            found["seconds"] = round(time.process_time() - began, 1)
            said(found)
    found["machine"] = f"{platform.machine()}, torch {torch.__version__.split('+')[0]}, code {code_version()}"
    return found


def page(found: dict[str, Any]) -> str:
    """The results as Markdown: one table for each student, and a sentence on what it shows."""
    parts = [HEAD]
    for student in dict.fromkeys(one["student"] for one in found["cells"]):
        cells = [one for one in found["cells"] if one["student"] == student]
        size = cells[0]["parameters"]["student"]
        lines = [
            f"## Student of width {student} ({size:,} parameters)\n",
            "| teacher's width | teacher | alone | distilled | by an assistant | assistant over distilled, points |",
            "|---|---|---|---|---|---|",
        ]
        for one in cells:
            test = one["test"]
            named = [_said(test[way]) for way in ("teacher", "alone", "distilled", "by an assistant")]
            gains = [by - straight for by, straight in zip(test["by an assistant"], test["distilled"], strict=True)]
            lines.append(f"| {one['teacher']} | {' | '.join(named)} | {_said(gains, sign='+')} |")
        parts.append("\n".join(lines) + f"\n\n{verdict(cells)}\n\n")
    return "".join(parts).rstrip() + f"\n\n{found['seeds']} seeds, {found['seconds']:.0f} s of CPU in all.\n"


def verdict(cells: Sequence[dict[str, Any]]) -> str:
    """What the curves of one student show, said only where an interval supports it."""
    first, last = cells[0], cells[-1]
    gains = [b - a for a, b in zip(first["test"]["distilled"], last["test"]["distilled"], strict=True)]
    mean, half = mean_and_half(gains)
    if len(gains) < 2 or abs(mean) <= half:
        words = "no clear difference to the distilled student"
    else:
        words = f"{abs(100 * mean):.1f} points {'more' if mean > 0 else 'less'} for the distilled student"
    clear = []
    for one in cells:
        more = [b - a for a, b in zip(one["test"]["distilled"], one["test"]["by an assistant"], strict=True)]
        mean, half = mean_and_half(more)
        if len(more) > 1 and abs(mean) > half:
            clear.append(f"width {one['teacher']} ({100 * mean:+.1f} points)")
    helped = f"The assistant makes a clear difference at {', '.join(clear)}." if clear else (
        "The assistant makes no clear difference at any size."
    )  # fmt: skip
    return f"From a teacher of width {first['teacher']} to one of width {last['teacher']}: {words}. {helped}"


def _said(values: Sequence[float], *, sign: str = "") -> str:
    mean, half = mean_and_half(list(values))
    return f"{100 * mean:{sign}.1f} ± {100 * half:.1f}" if len(values) > 1 else f"{100 * mean:{sign}.1f}"


def main(arguments: Sequence[str]) -> int:
    """Measure the grid and write table and record."""
    parser = argparse.ArgumentParser(prog="python -m kdcore.capacity_gap", description="Measure the capacity gap.")
    parser.add_argument("--teachers", type=int, nargs="+", default=list(TEACHERS), metavar="WIDTH")
    parser.add_argument("--students", type=int, nargs="+", default=list(STUDENTS), metavar="WIDTH")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each cell (3)")
    chosen = parser.parse_args(arguments)
    if not 1 <= chosen.seeds <= 20:
        parser.error(f"--seeds {chosen.seeds}: 1 to 20 is right")
    if max(chosen.students) >= min(chosen.teachers):
        parser.error("every teacher must be wider than every student, or there is no place for an assistant")

    def said(found: dict[str, Any]) -> None:
        last = found["cells"][-1]
        print(f"teacher {last['teacher']}, student {last['student']}: {last['test']}", file=sys.stderr, flush=True)

    try:
        found = measure(chosen.teachers, chosen.students, chosen.seeds, said=said)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 3
    MEASURED.parent.mkdir(parents=True, exist_ok=True)
    write_whole(MEASURED, (json.dumps(found, indent=1, sort_keys=True) + "\n").encode())
    write_whole(PAGE, page(found).encode())
    print(PAGE.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
