"""The capacity-gap experiment as Markdown: a table for each student and temperature, and what it shows. No torch."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence

from kdcore.capacity import ALONE, ASSISTED, DISTILLED, Capacity, Cell
from kdcore.capacity_verdict import sentence, verdict

HEAD = """# The capacity gap: does a larger teacher make a better student?

A student may be too small to follow a large teacher; a network of middle size, taught by the teacher, may then be the
better teacher (Mirzadeh et al. 2020, https://arxiv.org/abs/1902.03393), and a teacher may be too good for its student
(Cho and Hariharan 2019, https://arxiv.org/abs/1910.01348). Both are put to the test here.

Test accuracy of the last epoch in %, means over paired seeds ± half the 95 % interval (Student's t). *Distilled*: the
student hears only the teacher's soft targets. *By an assistant*: the same student hears a network that heard the
teacher; its width is the geometric mean of the two. *Student alone* learns from the labels. All three start from the
same weights and take the same number of steps; the assistant's training comes on top. *Sure*: the mean of the teacher's
largest probability (T = 1) on the pictures that the student learns from; at 100 % its answers at T = 1 are the labels.

"""
COLUMNS = (
    "teacher's width", "teacher, %", "sure, %", "student alone, %", "distilled, %", "over alone, points",
    "assistant, %", "by an assistant, %", "over distilled, points",
)  # fmt: skip


def markdown(grid: Capacity) -> str:
    """The page."""
    parts = [HEAD, *([f"**{found}**\n\n"] if (found := verdict(grid)) else [])]
    for student in grid.students:
        for heat in grid.temperatures:
            cells = grid.panel(student, heat)
            if not cells:
                continue
            size = cells[0].parameters.get("student alone", 0)
            lines = [
                f"## Student of width {student} ({size:,} parameters), T = {heat:g}\n",
                f"| {' | '.join(COLUMNS)} |",
                "|" + "---|" * len(COLUMNS),
                *(f"| {' | '.join(_row(cell))} |" for cell in cells),
            ]
            parts.append("\n".join(lines) + f"\n\n{sentence(cells)}\n\n")
    parts.append(f"{chance(grid)}\n\n{cost(grid)}\n\n{made_with(grid)}\n\n")
    shared = {key: value for key, value in grid.base.to_json().items() if key not in ("seed", "version")}
    parts.append(f"All runs share: `{json.dumps(shared)}`.\n\n")
    parts.append(
        "Made by `python -m kdcore.capacity_gap`; the numbers of each seed stand in "
        "`assets/measured/capacity_gap.json`, and the app draws them as curves.\n"
    )
    return "".join(parts)


def _row(cell: Cell) -> list[str]:
    return [
        str(cell.teacher), said(cell.mean("teacher")), f"{100 * cell.sureness():.1f}", said(cell.mean(ALONE)),
        said(cell.mean(DISTILLED)), said(cell.over(DISTILLED, ALONE), sign="+"), said(cell.mean("assistant")),
        said(cell.mean(ASSISTED)), said(cell.over(ASSISTED, DISTILLED), sign="+"),
    ]  # fmt: skip


def said(found: tuple[float, float], *, sign: str = "") -> str:
    """A mean and half of its interval in %, or in points with a sign; one seed has no interval."""
    mean, half = found
    return f"{100 * mean:{sign}.1f}" + (f" ± {100 * half:.1f}" if math.isfinite(half) else "")


def chance(grid: Capacity) -> str:
    """How many of the comparisons would look clear by chance."""
    count = 2 * sum(1 for cell in grid.cells if cell.done())
    return (
        f"Each interval stands alone: of {count} comparisons about {max(1, round(count / 20))} would look clear by "
        "chance."
    )


def cost(grid: Capacity) -> str:
    """What the detour costs, in CPU seconds."""

    def mean(arms: Sequence[str]) -> float:
        found = [value for cell in grid.cells for arm in arms for value in cell.seconds.get(arm, ())]
        return sum(found) / len(found) if found else 0.0

    student, assistant = mean((DISTILLED, ASSISTED)), mean(("assistant",))
    return (
        f"A student's training takes {student:.2f} CPU seconds on average, the assistant's takes {assistant:.2f} more: "
        f"the detour costs {(student + assistant) / max(student, 1e-9):.1f} times the direct way, the teacher not "
        "counted."
    )


def made_with(grid: Capacity) -> str:
    """One line on seeds, machine and versions."""
    made, done = grid.made, min((cell.done() for cell in grid.cells), default=0)
    when = time.strftime("%Y-%m-%d", time.gmtime(made["started"])) if made.get("started") else "unknown day"
    seeds = f"{done} paired seeds (0 to {done - 1})" if done > 1 else "one seed (0)" if done else "not every cell yet"
    return (
        f"Measured {when}: {seeds}, {grid.seconds:.0f} CPU seconds in all; code {made.get('code')}, torch "
        f"{made.get('torch')}, Python {made.get('python')}, {made.get('threads')} thread of {made.get('processor')} "
        f"({made.get('cores')} cores, {made.get('system')})."
    )
