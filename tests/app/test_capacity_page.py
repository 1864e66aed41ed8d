"""Capacity gap: curves of what was measured, its table and file, and what the page says before anything is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import state, theme
from app.charts import capacity as chart
from app.views.moment import as_csv
from kdcore import capacity as module
from kdcore.capacity import ALONE, ARMS, ASSISTED, DISTILLED, Capacity, Cell, kept_in
from kdcore.catalog import catalog as read_catalog
from kdcore.recipe import Recipe
from kdcore.runs import Shelf
from tests.app.asking import stills, words

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
    shelf.root.mkdir(parents=True, exist_ok=True)
    return kept_in(shelf.root)


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
    assert test.code[0].value == "python -m kdcore.capacity_gap"
    assert not stills(test)
    assert not test.dataframe


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
    assert "21 of 24 runs so far" in words(test)
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
