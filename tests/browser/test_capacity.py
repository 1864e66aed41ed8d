"""A stranger measures the capacity gap on the page: its time is said before, its curves grow, it ends with a table."""

from __future__ import annotations

import re
from collections.abc import Callable

from kdcore.capacity import Capacity, kept_in
from kdcore.capacity_board import CapacityBoard

from .conftest import App, Visitor

PATIENCE = 200_000
START = "Measure on this machine"
LINES = """() => [...document.querySelectorAll('.kdlab-film .scatterlayer path.js-line')].length"""


def test_the_capacity_gap_is_measured_on_its_page(app: App, visit: Callable[..., Visitor]) -> None:
    board = CapacityBoard(app.runs)
    try:
        measure_here(app, visit(f"{app.url}/capacity").page)
    finally:
        board.stop()


def measure_here(app: App, page) -> None:  # type: ignore[no-untyped-def]
    page.set_default_timeout(PATIENCE)
    page.get_by_text("Measure it here").click()
    chosen = {"Widths of teachers": "12, 24", "Widths of students": "4", "Temperatures": "2", "Seeds": "1",
              "Epochs of a student": "3", "Epochs of a teacher": "2"}  # fmt: skip
    for name, value in chosen.items():
        field = page.get_by_label(name, exact=True)
        field.fill(value)
        field.press("Enter")
        page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.get_by_text(re.compile(r"2 runs, about .* of one core")).wait_for()
    page.get_by_role("button", name=START).click()
    page.get_by_text("This came with KD Lab.").wait_for(state="hidden")
    page.get_by_role("button", name="Forget").wait_for()
    done = Capacity.read(kept_in(app.runs))
    assert done.finished
    assert done.steps() == (2, 2)
    assert (done.teachers, done.students, done.base.budget().epochs) == ([12, 24], [4], 3)
    page.wait_for_function(f"() => ({LINES})() === 4")
    assert page.locator('[data-testid="stException"]').count() == 0
    page.get_by_role("button", name="Forget").click()
    page.get_by_text("This came with KD Lab").first.wait_for()
    assert not kept_in(app.runs).exists()
