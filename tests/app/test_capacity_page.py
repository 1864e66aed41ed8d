"""Capacity gap: curves of what was measured, its table and file, and what the page says before anything is there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import ClassVar

import pytest
from streamlit.testing.v1 import AppTest

from app import state, theme
from app.charts import capacity as chart
from app.views import capacity_form as form
from app.views.moment import as_csv
from kdcore import capacity as module
from kdcore import capacity_board as desk
from kdcore.capacity import ALONE, ARMS, ASSISTED, DISTILLED, Capacity, Cell, kept_in
from kdcore.capacity_board import CapacityBoard
from kdcore.catalog import catalog as read_catalog
from kdcore.preview import Preview
from kdcore.recipe import Recipe, code_version
from kdcore.runs import Shelf
from tests.app.asking import stills, words

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
BASE = Recipe.from_json(
    {
        "data": {"is": "digits", "train_size": 300},
        "teacher": {"is": "mlp"},
        "student": {"is": "mlp"},
        "methods": [{"is": "kd"}],
        "scheme": {"is": "takd", "assistants": 1},
    }
)


def cell(teacher: int, student: int, heat: float, gain: float, *, seeds: int = 3) -> Cell:
    """A student at 80 % alone, distilled better by `gain`, by an assistant by twice that."""
    alone = [0.79, 0.80, 0.81][:seeds]
    test = {
        "teacher": [0.9 + teacher / 1000] * seeds,
        ALONE: alone,
        DISTILLED: [value + gain for value in alone],
        "assistant": [0.85] * seeds,
        ASSISTED: [value + 2 * gain for value in alone],
    }
    return Cell(
        teacher, student, heat, dict.fromkeys(ARMS.values(), 100 * student), test,
        {"teacher": [0.95] * seeds, "assistant": [0.9] * seeds},
        {DISTILLED: [1.0] * seeds, "assistant": [0.5] * seeds, ASSISTED: [1.0] * seeds},
    )  # fmt: skip


def measured(*, seeds: int = 3, finished: bool = True, code: str = "abc") -> Capacity:
    cells = [
        cell(size, width, heat, gain, seeds=seeds)
        for width in (4, 8)
        for heat, gain in ((1.0, 0.01), (4.0, 0.03))
        for size in (16, 64)
    ]
    made = {"code": code, "torch": "2", "python": "3", "processor": "A processor", "cores": 2, "threads": 1,
            "started": 1.0, "system": "Linux"}  # fmt: skip
    return Capacity(BASE, [16, 64], [4, 8], [1.0, 4.0], 3, made, cells, seconds=12.0, finished=finished)


@pytest.fixture
def nothing(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing measured anywhere; where a measurement of one's own would stand."""
    cards = read_catalog()
    monkeypatch.setattr(state, "catalog", lambda: cards)
    monkeypatch.setattr(state, "shelf", lambda: shelf)
    monkeypatch.setattr(module, "SHIPPED", shelf.root / "none shipped.json")
    monkeypatch.setattr(form, "planner", Plans)
    shelf.root.mkdir(parents=True, exist_ok=True)
    return kept_in(shelf.root)


class Plans:
    """Plans that are there at once: every phase takes as many seconds as `seconds` says for the teacher's width."""

    seconds: ClassVar[dict[int, float]] = {}

    def ask(self, recipe: Recipe) -> Future[Preview]:
        found: Future[Preview] = Future()
        taken = self.seconds.get(recipe.teacher.settings["width"])
        names = ("teacher", "baseline", "direct", "assistant 1", "student") if taken is not None else ()
        found.set_result(
            Preview(phases=[{"name": one, "seconds": 0.5 if one == "baseline" else taken} for one in names])
        )
        return found


@pytest.fixture
def plans(nothing: Path) -> Iterator[dict[int, float]]:
    """Teacher's width -> seconds of a phase."""
    yield Plans.seconds
    Plans.seconds.clear()


@pytest.fixture
def board(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CapacityBoard]:
    """A measurement that is started sleeps."""
    monkeypatch.setattr(desk, "COMMAND", SLEEPER)
    found = CapacityBoard(nothing.parent)
    yield found
    found.stop()


def page() -> None:
    from app.screens import capacity

    capacity.show()


def opened() -> AppTest:
    test = AppTest.from_function(page, default_timeout=60).run()
    assert not test.exception
    return test


def test_before_anything_is_measured_it_says_how_to(nothing: Path) -> None:
    test = opened()
    assert "Nothing has been measured yet" in words(test)
    assert "python -m kdcore.capacity_gap" in words(test)
    assert not test.button(key="capacity.start").disabled
    assert "80 runs" in words(test)
    assert not stills(test)
    assert not test.dataframe


def test_the_time_is_said_before_anything_starts(nothing: Path, plans: dict[int, float]) -> None:
    plans |= {20: 1.0, 432: 3.0}
    said = words(opened())
    # five seeds: each of four teachers once, two students alone, and sixteen cells of three trainings
    widths = [20, 48, 144, 432]
    teachers = [1.0 + 2.0 * (width - 20) / 412 for width in widths]
    whole = 5 * (sum(teachers) + 2 * 0.5 + 4 * 3 * sum(teachers))
    assert f"80 runs, about {theme.seconds(whole)} of one core" in said


@pytest.mark.parametrize(
    ("control", "value", "words_of_it"),
    [
        ("capacity.form.teachers", "16, wide", "'wide' is none; whole numbers"),
        ("capacity.form.teachers", " , ", "at least one is right"),
        ("capacity.form.students", "64", "every teacher must be wider than every student"),
        ("capacity.form.students", "0", "width"),
        ("capacity.form.heats", "0", "temperature"),
        ("capacity.form.heats", "<b>", "is none"),
    ],
)
def test_a_grid_that_cannot_be_measured_is_refused_beside_the_form(
    nothing: Path, control: str, value: str, words_of_it: str
) -> None:
    test = opened()
    test.text_input(key=control).set_value(value).run()
    assert not test.exception
    assert words_of_it in test.error[0].value.replace("\\", "")
    assert test.button(key="capacity.start").disabled


def test_it_is_started_with_what_was_chosen_followed_and_stopped(nothing: Path, board: CapacityBoard) -> None:
    test = opened()
    test.text_input(key="capacity.form.teachers").set_value("64, 16").run()
    test.text_input(key="capacity.form.students").set_value("8").run()
    test.text_input(key="capacity.form.heats").set_value("2.5").run()
    test.number_input(key="capacity.form.seeds").set_value(3).run()
    test.number_input(key="capacity.form.training.epochs").set_value(7).run()
    test.button(key="capacity.start").click().run()
    assert not test.exception
    assert board.going()
    meant = Capacity.read(nothing)
    assert (meant.teachers, meant.students, meant.temperatures, meant.seeds) == ([16, 64], [8], [2.5], 3)
    assert meant.base.budget().epochs == 7
    assert not [button for button in test.button if button.key == "capacity.start"]
    test.button(key="capacity.stop").click().run()
    assert not board.going()
    assert "Stopped after 0 of" in words(test)
    assert [button for button in test.button if button.key == "capacity.start"]


def test_while_it_goes_on_the_curves_are_drawn_of_what_is_there(nothing: Path, board: CapacityBoard) -> None:
    grid = measured(finished=False, code=code_version())
    for one in grid.cells[2:]:
        for values in (*one.test.values(), *one.sure.values(), *one.seconds.values()):
            values.clear()
    board.start(grid)
    grid.now = "seed 1: teacher 64, student 4, T 1"
    grid.write(nothing)  # as whoever measures does after every run
    test = opened()
    assert len(stills(test)) == 1
    assert len(test.dataframe[0].value) == 2
    assert test.get("progress")[0].proto.text.startswith("6 of 24 runs · seed 1")


@pytest.mark.parametrize(("code", "can"), [(code_version(), True), ("older", False)])
def test_a_stopped_one_goes_on_only_with_the_same_code(
    nothing: Path, board: CapacityBoard, code: str, can: bool
) -> None:
    measured(finished=False, code=code).write(nothing)
    test = opened()
    assert "Stopped after 24 of 24 runs" in words(test)
    assert ("begin anew" in words(test)) == (not can)
    buttons = [button for button in test.button if button.key == "capacity.go_on"]
    assert bool(buttons) == can
    if can:
        buttons[0].click().run()
        assert board.going()
        assert len(Capacity.read(nothing).cells[0].test[ALONE]) == 3, "what was measured stays"


def test_what_ended_it_is_said(nothing: Path) -> None:
    grid = measured(finished=False)
    grid.now = "It ended early: the <b>disk</b> is full"
    grid.write(nothing)
    assert "It ended early" in words(opened())


def test_forgetting_deletes_what_was_measured_here(nothing: Path) -> None:
    measured().write(nothing)
    test = opened()
    test.button(key="capacity.forget").click().run()
    assert not nothing.exists()
    assert "Nothing has been measured yet" in words(test)


def test_what_was_measured_stands_in_curves_sentences_and_a_table(nothing: Path) -> None:
    measured().write(nothing)
    test = opened()
    assert len(stills(test)) == 1
    table = test.dataframe[0].value
    assert len(table) == 8
    first = table.iloc[0]
    assert (first["student's width"], first["T"], first["teacher's width"]) == (4, "1", 16)
    assert first["distilled, %"] == "81.0 ± 2.5"
    assert first["over alone"] == "+1.0 ± 0.0"
    assert first["over distilled"] == "+1.0 ± 0.0"
    said = words(test)
    assert "3.0 at width 16, \\+3.0 at width 64" in said
    assert "falls behind that of a smaller one\\: nowhere; an assistant helps it\\: student 4 at T = 1" in said
    assert "of 16 comparisons about 1 would look clear by chance" in said
    assert "the detour costs 1.5 times the direct way" in said
    assert "A processor" in said
    assert "came with KD Lab" not in said


def test_each_panel_has_its_own_four_lines_with_the_measured_values() -> None:
    figure = chart.draw(measured(), dark=False)
    assert len(figure.data) == 4 * 4
    panels = {trace.yaxis: {} for trace in figure.data}
    for trace in figure.data:
        panels[trace.yaxis][trace.name] = trace
    assert sorted(panels) == ["y", "y2", "y3", "y4"]
    lower = panels["y3"]  # student 4 at T = 4 stands below student 4 at T = 1
    assert list(lower["distilled straight from it"].y) == pytest.approx([0.83, 0.83])
    assert list(lower["by an assistant"].y) == pytest.approx([0.86, 0.86])
    assert list(lower["student alone"].y) == pytest.approx([0.80, 0.80])
    assert list(lower["the teacher itself"].y) == pytest.approx([0.916, 0.964])
    assert list(panels["y"]["distilled straight from it"].y) == pytest.approx([0.81, 0.81])
    assert lower["distilled straight from it"].line.color == theme.COLOURS["student"]
    assert lower["by an assistant"].line.color == theme.COLOURS["assistant"]
    assert [trace.name for trace in figure.data if trace.showlegend] == list(chart.NAMES.values())
    assert figure.layout.yaxis.range == figure.layout.yaxis3.range
    assert list(figure.layout.xaxis.tickvals) == [16, 64]
    assert figure.layout.xaxis.ticktext[0].startswith("16<br>95 %")


def test_bars_are_of_the_paired_difference_and_one_seed_has_none() -> None:
    grid = measured()
    grid.cells[0].test[DISTILLED] = [0.79, 0.82, 0.82]  # over alone: 0, 2 and 1 points
    drawn = next(trace for trace in chart.draw(grid, dark=True).data if trace.name == chart.NAMES[DISTILLED])
    assert list(drawn.error_y.array) == pytest.approx([4.302652729911275 * 0.01 / 3**0.5, 0.0], abs=1e-9)
    alone = next(
        trace for trace in chart.draw(measured(seeds=1), dark=True).data if trace.name == chart.NAMES[ASSISTED]
    )
    assert list(alone.error_y.array) == [0.0, 0.0]


def test_what_came_with_the_lab_is_shown_until_something_was_measured_here(
    nothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = nothing.parent / "shipped.json"
    monkeypatch.setattr(module, "SHIPPED", shipped)
    measured(code="shipped").write(shipped)
    assert "This came with KD Lab" in words(opened())
    measured(code="mine").write(nothing)
    test = opened()
    assert "code mine" in words(test)
    test.toggle(key="capacity.shipped").set_value(True).run()
    assert "code shipped" in words(test)


def test_one_that_is_not_finished_says_how_far_it_is(nothing: Path) -> None:
    grid = measured(finished=False)
    for values in (*grid.cells[7].test.values(), *grid.cells[7].sure.values()):
        values.clear()
    grid.write(nothing)
    test = opened()
    assert "Stopped after 21 of 24 runs" in words(test)
    assert len(test.dataframe[0].value) == 7


def test_a_damaged_file_is_said_and_the_page_goes_on(nothing: Path) -> None:
    nothing.write_text("{")
    test = opened()
    assert "holds no measurement of the capacity gap" in test.error[0].value
    assert "Nothing has been measured yet" in words(test)


def test_the_file_has_every_seed_of_every_field() -> None:
    lines = as_csv(chart.rows(measured())).strip().splitlines()
    assert len(lines) == 1 + 8 * 3
    assert lines[1] == "4,1,16,0,0.916,0.79,0.8,0.85,0.81,0.95,0.9"


def test_a_field_s_run_has_its_sizes_and_temperature() -> None:
    grid = measured()
    recipe = grid.run_of(grid.cells[3], 2)
    assert (recipe.teacher.settings["width"], recipe.student.settings["width"], recipe.seed) == (64, 4, 2)
    assert recipe.methods[0].method.settings["temperature"] == 4.0
