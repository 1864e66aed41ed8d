"""The form that measures the capacity gap here: sizes, temperatures, seeds, budget, and how long that would take."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

import streamlit as st

from app import theme
from app.views.knobs import plain
from app.views.measuring import tried
from app.views.plan import planner
from kdcore.capacity import BASE, MOST_SEEDS, STUDENTS, TEACHERS, TEMPERATURES, Capacity, CapacityError, planned
from kdcore.capacity_board import CapacityBoard
from kdcore.cards import Card, Catalog
from kdcore.check import faults
from kdcore.preview import Preview
from kdcore.recipe import Recipe, RecipeError

KEY = "capacity"
SEEDS = 5
BUDGET = {
    "data.train_size": ("Training pictures", 100, 1200, 100),
    "training.epochs": ("Epochs of a student", 1, 300, 10),
    "training.teacher_epochs": ("Epochs of a teacher", 1, 300, 10),
}
"""Setting that all runs share -> its name here, least, most, and step."""
PACE = 0.6
"""Seconds until the form looks whether the plan of its runs is there."""


def form(board: CapacityBoard, catalog: Catalog, before: Capacity | None) -> None:
    """Draws the form and the button that starts the measurement; what is wrong stands above the button.

    `before`: what was measured last, with whose sizes and budget the form begins.
    """
    meant, wrong = _meant(catalog, before)
    for words in wrong:
        st.error(plain(words), icon=":material/error:")
    waits = meant is not None and Estimate(meant).ready() is None
    st.fragment(_start_row, run_every=PACE if waits else None)(board, meant, before, waits)


def _meant(catalog: Catalog, before: Capacity | None) -> tuple[Capacity | None, list[str]]:
    """The grid that the controls describe, or None and what is wrong with it."""
    had = before or Capacity(BASE, list(TEACHERS), list(STUDENTS), list(TEMPERATURES), SEEDS)
    wrong: list[str] = []
    cards = catalog.folders["networks"]
    width = cards[had.base.student.key].knobs["width"]
    columns = st.columns(3)

    def widths(place: int, what: str, values: Sequence[int]) -> list[int]:
        text = columns[place].text_input(
            f"Widths of {what}", ", ".join(map(str, values)), key=f"{KEY}.form.{what}", max_chars=80,
            help=f"Neurons in each hidden layer, {width.low:g} to {width.high:g}, with commas between them.",
        )  # fmt: skip
        found, trouble = numbers(text, f"widths of {what}", whole=True)
        wrong.extend(trouble)
        return [int(value) for value in found]

    teachers, students = widths(0, "teachers", had.teachers), widths(1, "students", had.students)
    text = columns[2].text_input(
        "Temperatures", ", ".join(f"{value:g}" for value in had.temperatures), key=f"{KEY}.form.heats", max_chars=80,
        help="Of the soft targets, with commas between them.",
    )  # fmt: skip
    heats, trouble = numbers(text, "temperatures", whole=False)
    wrong += trouble
    first, *others = st.columns(len(BUDGET) + 1)
    base = had.base
    seeds = int(first.number_input(
        "Seeds", 1, MOST_SEEDS, had.seeds, key=f"{KEY}.form.seeds",
        help="Runs of each cell. From three on intervals are good for a verdict.",
    ))  # fmt: skip
    for place, (path, (name, low, high, step)) in zip(others, BUDGET.items(), strict=True):
        value = min(high, max(low, _setting(base, path, catalog)))
        chosen = place.number_input(name, low, high, value, step, key=f"{KEY}.form.{path}")
        base = base.with_setting(path, int(chosen))
    if wrong:
        return None, wrong
    try:
        grid = planned(base, teachers, students, heats, seeds)
        for cell in grid.cells:
            for fault in faults(grid.run_of(cell, 0), catalog):
                raise CapacityError(f"{fault.where}: {fault.text}")
    except (CapacityError, RecipeError) as error:
        return None, [str(error)]
    return grid, []


def numbers(text: str, what: str, *, whole: bool) -> tuple[list[float], list[str]]:
    """The numbers of such a list, and what is wrong with it."""
    found: list[float] = []
    for word in filter(None, (part.strip() for part in text.replace(";", ",").split(","))):
        try:
            found.append(int(word) if whole else float(word))
        except ValueError:
            kind = "whole numbers" if whole else "numbers"
            return [], [f"{what}: {word[:20]!r} is none; {kind} with commas between them are right"]
    return found, [] if found else [f"{what}: at least one is right"]


def _setting(recipe: Recipe, path: str, catalog: Catalog) -> int:
    part, _, name = path.partition(".")
    if part == "training":
        return int(getattr(recipe.budget(), name))
    card: Card = catalog.card("datasets", recipe.data.key)
    return int(card.fill(recipe.data.settings)[name])


class Estimate:
    """How long a grid takes on one core, from the plans of its run with the smallest teacher and with the largest."""

    def __init__(self, grid: Capacity) -> None:
        self._grid = grid
        self._ends = sorted({grid.teachers[0], grid.teachers[-1]})

    def ask(self) -> list[Future[Preview]]:
        """The plans, now or later."""
        grid = self._grid
        found = []
        for width in self._ends:
            cell = next(one for one in grid.cells if (one.teacher, one.student) == (width, grid.students[-1]))
            found.append(planner().ask(grid.run_of(cell, 0)))
        return found

    def ready(self) -> float | None:
        """Seconds, or None while the plans are being made; 0 where there is none."""
        asked = self.ask()
        if not all(one.done() for one in asked):
            return None
        if any(one.cancelled() or one.exception() is not None or not one.result().phases for one in asked):
            return 0.0
        plans = {width: _phases(one.result()) for width, one in zip(self._ends, asked, strict=True)}
        grid = self._grid
        low, high = self._ends[0], self._ends[-1]

        def of(name: str, width: int) -> float:
            """Seconds of those phases for a teacher of that width, in proportion between the two that are known."""
            share = (width - low) / (high - low) if high > low else 0.0
            return (1 - share) * plans[low][name] + share * plans[high][name]

        once = sum(of("teacher", width) for width in grid.teachers) + len(grid.students) * of("baseline", low)
        return grid.seeds * (once + sum(of("others", cell.teacher) for cell in grid.cells))


def _phases(found: Preview) -> dict[str, float]:
    """Seconds of the two phases that cells of a seed share, and of all others together."""
    seconds = {"teacher": 0.0, "baseline": 0.0, "others": 0.0}
    for phase in found.phases:
        name = phase["name"] if phase["name"] in seconds else "others"
        seconds[name] += float(phase["seconds"])
    return seconds


def _start_row(board: CapacityBoard, meant: Capacity | None, before: Capacity | None, waited: bool) -> None:
    seconds = None if meant is None else Estimate(meant).ready()
    if board.going() or (waited and seconds is not None):
        st.rerun()  # the page draws what goes on, and it alone can end the pace of this part
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Measure on this machine", icon=":material/play_arrow:", key=f"{KEY}.start", type="primary",
            disabled=meant is None, on_click=start, args=(board, meant),
        )  # fmt: skip
        if meant is None:
            return
        runs = f"{len(meant.cells) * meant.seeds:,} runs"
        if seconds is None:
            st.caption(f":material/hourglass_top: {runs}; measuring a few steps to say how long they take …")
            return
        said = f", about {theme.seconds(seconds)} of one core" if seconds else ""
        kept = " What was measured here before is replaced." if before is not None and before.any() else ""
        st.caption(f"{runs}{said}. It goes on when this page or the app is closed, and can be stopped.{kept}")


def start(board: CapacityBoard, grid: Capacity) -> None:
    """For the callback of a button: measures the grid, or goes on with it."""
    tried(KEY, lambda: board.start(grid))
