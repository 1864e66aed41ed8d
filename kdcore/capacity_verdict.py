"""What the capacity-gap experiment shows, in sentences that say no more than its intervals do. No torch."""

from __future__ import annotations

from scipy.special import stdtrit

from kdcore.capacity import ALONE, ASSISTED, DISTILLED, ENOUGH, Capacity, Cell
from kdcore.standings import mean_and_half


def verdict(grid: Capacity) -> str:
    """Whether there is a capacity gap anywhere; "" before there is enough to say.

    Its intervals are widened for all the comparisons that it makes (Bonferroni).
    """
    panels = {
        (student, heat): cells
        for student in grid.students
        for heat in grid.temperatures
        if len(cells := grid.panel(student, heat)) > 1 and min(cell.done() for cell in cells) >= ENOUGH
    }
    if not panels:
        return ""
    count = sum(len(cells) for cells in panels.values())
    behind = [_place(*place) for place, cells in panels.items() if _better_teacher(cells, of=count)]
    helped = [_place(*place) for place, cells in panels.items() if _ahead(cells[-1], ASSISTED, cells[-1], of=count)]
    if not behind and not helped:
        found = (
            "No capacity gap shows here: nowhere does the student of the largest teacher fall clearly behind that of a "
            "smaller one, and nowhere does an assistant clearly help it"
        )
    else:
        found = (
            f"The student of the largest teacher falls behind that of a smaller one: {', '.join(behind) or 'nowhere'}; "
            f"an assistant helps it: {', '.join(helped) or 'nowhere'}"
        )
    return f"{found} (intervals widened for the {count} comparisons of this sentence)."


def _place(student: int, heat: float) -> str:
    return f"student {student} at T = {heat:g}"


def _points(mean: float, half: float) -> str:
    return f"{100 * mean:+.1f} ± {100 * half:.1f}".replace("-", "−")


def _better_teacher(cells: list[Cell], *, of: int) -> Cell | None:
    """The smaller teacher, less often right than the largest, whose student is clearly ahead; None without."""
    last = cells[-1]
    found = [
        cell
        for cell in cells[:-1]
        if _ahead(cell, DISTILLED, last, of=of) and cell.mean("teacher")[0] < last.mean("teacher")[0]
    ]
    return max(found, key=lambda cell: cell.mean(DISTILLED)[0], default=None)


def _ahead(one: Cell, arm: str, other: Cell, *, of: int) -> bool:
    """Whether a cell's arm is clearly better than another cell's distilled student, as one of so many comparisons."""
    differences = [a - b for a, b in zip(one.test[arm], other.test[DISTILLED], strict=False)]
    count = len(differences)
    mean, half = mean_and_half(differences)
    return mean > half * float(stdtrit(count - 1, 1 - 0.025 / of) / stdtrit(count - 1, 0.975))


def sentence(cells: list[Cell]) -> str:
    """What one panel shows, said only where a paired interval supports it; "" before anything is measured."""
    if not cells:
        return ""
    if cells[0].done() < ENOUGH:
        return f"{cells[0].done()} of at least {ENOUGH} seeds: nothing can be said yet."
    worth = _points(*cells[-1].over(DISTILLED, ALONE))
    parts = [
        f"The largest teacher adds {worth} points to learning alone.",
        _against(cells, DISTILLED, ALONE, "Distilled straight"),
    ]
    better = _better_teacher(cells, of=max(1, len(cells) - 1))
    if better is not None:
        last = cells[-1]
        ahead = mean_and_half([a - b for a, b in zip(better.test[DISTILLED], last.test[DISTILLED], strict=False)])
        parts.append(
            f"It learns more from the teacher of width {better.teacher} than from that of width {last.teacher}, though "
            f"the latter is right more often: {_points(*ahead)} points."
        )
    parts.append(_against(cells, ASSISTED, DISTILLED, "The way by an assistant"))
    return " ".join(parts)


def _against(cells: list[Cell], arm: str, other: str, words: str) -> str:
    """Where one arm is clearly better or worse than another, with the differences."""
    told = []
    for sign, word in ((1, "gains clearly over"), (-1, "loses clearly against")):
        found = [cell for cell in cells if cell.clear(arm, other) == sign]
        if found:
            listed = ", ".join(f"{100 * cell.over(arm, other)[0]:+.1f} at width {cell.teacher}" for cell in found)
            told.append(f"{word} {_name(other)}: {listed.replace('-', '−')} (points)")
    return f"{words} {' and '.join(told)}." if told else f"{words} makes no clear difference to {_name(other)}."


def _name(arm: str) -> str:
    return {ALONE: "the student alone", DISTILLED: "distilling straight"}[arm]
