"""Every scheme on its own example, over paired seeds: what it is worth against the student alone."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import Any

import torch

from kdcore.catalog import SCHEMES
from kdcore.engine import run
from kdcore.events import Failed, Finished
from kdcore.files import write_whole
from kdcore.recipe import Recipe, code_version
from kdcore.standings import mean_and_half

MEASURED = Path(__file__).absolute().parent.parent / "assets" / "measured" / "schemes"
"""One file of results for each scheme."""
PAGE = Path(__file__).absolute().parent / "SCHEMES.md"


def example(key: str, seed: int = 0) -> Recipe:
    """The recipe with which a scheme shows what it is for."""
    found = {**Recipe().to_json(), "scheme": {"is": key}, **SCHEMES[key].example, "seed": seed}
    return Recipe.from_json(found)


def measure(key: str, seeds: int) -> dict[str, Any]:
    """A scheme's example with seeds 0 to seeds - 1.

    Gives {"recipe", "test": {role: [accuracy in [0, 1] of each seed]}, "parts", "seconds" of CPU, "failed",
    "machine"}.
    """
    tests: dict[str, list[float]] = {}
    row: dict[str, Any] = {"recipe": example(key).to_json(), "test": tests, "parts": {}, "seconds": [], "failed": ""}
    for seed in range(seeds):
        began = time.process_time()
        *_, last = run(example(key, seed))
        if not isinstance(last, Finished):
            row["failed"] = last.reason if isinstance(last, Failed) else "it did not finish"
            break
        row["seconds"].append(round(time.process_time() - began, 1))
        for role, result in last.results.items():
            tests.setdefault(role, []).append(round(result["test_accuracy"], 4))
            row["parts"][role] = result["part"]
    row["machine"] = f"{platform.machine()}, torch {torch.__version__.split('+')[0]}, code {code_version()}"
    return row


def table(found: dict[str, Any]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| scheme | on | student alone, % | student, % | difference, points | others, % | seeds | CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key in sorted(found, key=lambda name: (SCHEMES[name].kind if name in SCHEMES else "", name)):
        row = found[key]
        if row["failed"] or "student" not in row["test"]:
            lines.append(f"| `{key}` | {row['recipe']['data']['is']} | | {row['failed'] or 'no student'} | | | | |")
            continue
        student, alone = row["test"]["student"], row["test"].get("baseline")
        gain = "–"
        if alone:
            mean, half = mean_and_half([one - other for one, other in zip(student, alone, strict=True)])
            gain = f"{100 * mean:+.1f} ± {100 * half:.1f}" if len(student) > 1 else f"{100 * mean:+.1f}"
        others = _others({role: values for role, values in row["test"].items() if role not in ("student", "baseline")})
        data = row["recipe"]["data"]
        knobs = ", ".join(f"{name} {value}" for name, value in data.items() if name != "is")
        lines.append(
            f"| `{key}` | {data['is']}{f' ({knobs})' if knobs else ''} "
            f"| {f'{100 * sum(alone) / len(alone):.1f}' if alone else '–'} | {100 * sum(student) / len(student):.1f} "
            f"| {gain} | {others} | {len(student)} | {sum(row['seconds']) / len(row['seconds']):.0f} |"
        )
    return "\n".join(lines) + "\n"


def _others(tests: dict[str, list[float]]) -> str:
    """Each further role with its mean; many of one name ("teacher 7") together."""
    groups: dict[str, list[float]] = {}
    for role, values in tests.items():
        groups.setdefault(role.rstrip("0123456789").strip(), []).append(100 * sum(values) / len(values))
    found = []
    for name, means in groups.items():
        alone = [role for role in tests if role.rstrip("0123456789").strip() == name]
        if len(means) > 3:
            found.append(f"{len(means)} × {name} {min(means):.1f} to {max(means):.1f}")
        else:
            found += [f"{role} {mean:.1f}" for role, mean in zip(alone, means, strict=True)]
    return ", ".join(found) or "–"


HEAD = """# Every scheme on its own example

Test accuracy of the last epoch, means over paired seeds with 95 % intervals (Student's t) of the difference between the
student and its twin that learned from the labels alone. Made by `python -m kdcore schemes`; each scheme's example
stands in its file (`example`) and opens in the app. Schemes that do not help here are listed like the others.

"""


def keep(key: str, row: dict[str, Any]) -> None:
    """Keep a scheme's results, and make the page anew from all that are kept."""
    MEASURED.mkdir(parents=True, exist_ok=True)
    write_whole(MEASURED / f"{key}.json", (json.dumps(row, indent=1, sort_keys=True) + "\n").encode())
    write_whole(PAGE, page().encode())


def page() -> str:
    """The page made of all results that are kept."""
    return HEAD + table({path.stem: json.loads(path.read_text(encoding="utf-8")) for path in MEASURED.glob("*.json")})
