"""The capacity-gap experiment: its runs can be run, its sentences say no more than the intervals do."""

from __future__ import annotations

from typing import Any

import pytest

from kdcore import capacity_gap
from kdcore.capacity_gap import STUDENTS, TEACHERS, cell, main, page, verdict
from kdcore.catalog import catalog
from kdcore.check import faults


def result(teacher: int, distilled: list[float], assisted: list[float]) -> dict[str, Any]:
    test = {
        "teacher": [0.95, 0.96, 0.95],
        "alone": [0.7, 0.71, 0.72],
        "distilled": distilled,
        "by an assistant": assisted,
    }
    return {"teacher": teacher, "student": 3, "parameters": {"student": 1234}, "test": test}


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("student", STUDENTS)
def test_every_cell_of_the_grid_can_be_run(teacher: int, student: int) -> None:
    assert faults(cell(teacher, student, 0), catalog()) == []


def test_a_clear_fall_is_said_with_its_size() -> None:
    cells = [result(8, [0.80, 0.81, 0.80], [0.80, 0.81, 0.80]), result(48, [0.76, 0.77, 0.76], [0.80, 0.81, 0.80])]
    words = verdict(cells)
    assert "4.0 points less for the distilled student" in words
    assert "clear difference at width 48 (+4.0 points)" in words


def test_within_the_noise_no_difference_is_claimed() -> None:
    cells = [result(8, [0.80, 0.70, 0.90], [0.80, 0.71, 0.89]), result(48, [0.70, 0.90, 0.80], [0.80, 0.70, 0.90])]
    words = verdict(cells)
    assert "no clear difference to the distilled student" in words
    assert "no clear difference at any size" in words


def test_one_seed_claims_nothing_and_has_no_interval() -> None:
    cells = [result(8, [0.8], [0.9]), result(48, [0.2], [0.9])]
    for one in cells:
        one["test"] = {way: values[:1] for way, values in one["test"].items()}
    words = page({"cells": cells, "seeds": 1, "seconds": 3.0})
    assert "no clear difference" in words
    assert "±" not in words.partition("## Student")[2]


def test_the_page_has_a_table_for_each_student() -> None:
    cells = [result(8, [0.80, 0.81, 0.80], [0.80, 0.81, 0.80]), result(48, [0.76, 0.77, 0.76], [0.80, 0.81, 0.80])]
    words = page({"cells": cells, "seeds": 3, "seconds": 3.0})
    assert words.count("## Student of width 3 (1,234 parameters)") == 1
    assert "| 48 | 95.3 ± 1.4 | 71.0 ± 2.5 | 76.3 ± 1.4 | 80.3 ± 1.4 | +4.0 ± 0.0 |" in words


def test_a_grid_without_room_for_an_assistant_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--teachers", "8", "--students", "8"])
    assert "wider than every student" in capsys.readouterr().err


def test_a_run_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = cell
    monkeypatch.setattr(capacity_gap, "cell", lambda *which: real(*which).with_setting("student.width", 0))
    assert main(["--teachers", "8", "--students", "3", "--seeds", "1"]) == 3
    assert "width" in capsys.readouterr().err
