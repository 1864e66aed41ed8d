"""The capacity-gap experiment: measured, stopped and gone on with; its sentences say no more than intervals do."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kdcore import capacity_gap
from kdcore.capacity import ALONE, ARMS, ASSISTED, DISTILLED, SHIPPED, Capacity, CapacityError, Cell
from kdcore.capacity_gap import BASE, SEEDS, STUDENTS, TEACHERS, TEMPERATURES, fresh, main, measure
from kdcore.capacity_table import cost, markdown
from kdcore.capacity_verdict import sentence, verdict
from kdcore.catalog import catalog
from kdcore.check import faults
from kdcore.engine import run
from kdcore.events import Finished
from kdcore.listing import FAILED, FINE, STOPPED, WRONG
from kdcore.recipe import Recipe

ROOT = Path(__file__).resolve().parent.parent
TINY = BASE.with_setting("training.epochs", 2).with_setting("training.teacher_epochs", 2)
SMALL = [
    "--teachers", "24", "12", "--students", "6", "--temperatures", "2", "--seeds", "2",
    "--set", "training.epochs=2", "--set", "training.teacher_epochs=2",
]  # fmt: skip


def grid(seeds: int = 2) -> Capacity:
    return fresh(TINY, (24, 12), (6,), (2.0,), seeds)


@pytest.fixture(scope="module")
def measured() -> tuple[Capacity, list[str]]:
    """Two teachers over two seeds, and what was heard meanwhile."""
    found, heard = grid(), []
    measure(found, said=lambda now: heard.append(now.now))
    return found, heard


def cell(teacher: int, distilled: list[float], assisted: list[float], *, right: float = 0.95) -> Cell:
    count = len(distilled)
    test = {
        "teacher": [right + 0.01 * (number % 2) for number in range(count)],
        ALONE: [0.70, 0.71, 0.72, 0.73][:count],
        DISTILLED: distilled,
        "assistant": [0.9] * count,
        ASSISTED: assisted,
    }
    sure = {"teacher": [0.9] * count, "assistant": [0.8] * count}
    seconds = {DISTILLED: [2.0] * count, "assistant": [3.0] * count, ASSISTED: [2.0] * count}
    return Cell(teacher, 6, 2.0, {ALONE: 1234}, test, sure, seconds)


def of(*cells: Cell) -> Capacity:
    widths = [one.teacher for one in cells]
    return Capacity(TINY, widths, [6], [2.0], cells[0].done(), {"started": 0.0}, list(cells), finished=True)


def test_every_cell_of_the_experiment_can_be_run() -> None:
    whole = fresh(BASE, TEACHERS, STUDENTS, TEMPERATURES, SEEDS)
    assert len(whole.cells) == len(TEACHERS) * len(STUDENTS) * len(TEMPERATURES)
    assert all(faults(whole.run_of(one, 0), catalog()) == [] for one in whole.cells)


def test_a_small_grid_is_measured_to_its_end(measured: tuple[Capacity, list[str]]) -> None:
    found, heard = measured
    assert found.finished
    assert found.steps() == (4, 4)
    assert heard[0] == "seed 0: teacher 12, student 6, T 2"
    assert heard[-1] == ""
    for one in found.cells:
        assert {arm: len(values) for arm, values in one.test.items()} == dict.fromkeys(ARMS.values(), 2)
        assert all(0.1 < value <= 1.0 for values in one.sure.values() for value in values)
        assert all(value > 0 for values in one.seconds.values() for value in values)
        assert one.parameters["student alone"] < one.parameters["assistant"] < one.parameters["teacher"]
    assert found.cells[0].test[ALONE] == found.cells[1].test[ALONE]  # the same student alone beside every teacher


def test_a_field_comes_out_as_its_own_run_does(measured: tuple[Capacity, list[str]]) -> None:
    found = measured[0]
    one = found.cells[1]
    *_, last = run(found.run_of(one, 1))
    assert isinstance(last, Finished)
    assert {arm: values[1] for arm, values in one.test.items()} == {
        arm: last.results[role]["test_accuracy"] for role, arm in ARMS.items()
    }


def test_what_stopped_goes_on_and_ends_with_the_same_numbers(measured: tuple[Capacity, list[str]]) -> None:
    whole = measured[0]
    half = Capacity.from_json(json.loads(json.dumps(whole.to_json())))
    for values in (*half.cells[1].test.values(), *half.cells[1].sure.values(), *half.cells[1].seconds.values()):
        del values[1:]
    kept = half.cells[0].seconds[DISTILLED]
    measure(half, said=lambda now: None)
    assert [one.test for one in half.cells] == [one.test for one in whole.cells]
    assert [one.sure for one in half.cells] == [one.sure for one in whole.cells]
    assert half.cells[0].seconds[DISTILLED] == kept


def test_the_command_can_be_stopped_and_goes_on_with_more_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, page = tmp_path / "kept.json", tmp_path / "page.md"
    whole = capacity_gap.one_run
    monkeypatch.setattr(capacity_gap, "step_aside", lambda nice: None)
    monkeypatch.setattr(capacity_gap.signal, "signal", lambda *which: None)

    def third(now: Capacity, one: Cell, seed: int, shared: capacity_gap.Shared) -> None:
        if seed == 1:
            raise KeyboardInterrupt
        whole(now, one, seed, shared)

    monkeypatch.setattr(capacity_gap, "one_run", third)
    assert main([*SMALL, "--json", str(place), "--to", str(page)]) == STOPPED
    assert "goes on" in capsys.readouterr().err
    assert Capacity.read(place).steps() == (2, 4)
    assert not page.exists()
    monkeypatch.setattr(capacity_gap, "one_run", whole)
    assert main([*SMALL, "--seeds", "3", "--json", str(place), "--to", str(page)]) == FINE
    assert capsys.readouterr().err.startswith("2/6 seed 1: teacher 12")
    assert Capacity.read(place).steps() == (6, 6)
    assert page.read_text(encoding="utf-8").count("## Student of width 6") == 1


def test_another_grid_begins_anew(measured: tuple[Capacity, list[str]]) -> None:
    found = measured[0]
    assert found.same_as(grid(seeds=5))
    assert not found.same_as(fresh(TINY, (24, 12), (6,), (2.0, 4.0), 2))
    assert not found.same_as(fresh(TINY.with_setting("training.rate", 0.02), (24, 12), (6,), (2.0,), 2))
    other = grid()
    other.made["code"] = "another"
    assert not found.same_as(other)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--teachers", "8", "--students", "8"], "wider than every student"),
        (["--seeds", "0"], "seeds=0"),
        (["--temperatures", "0"], "temperature"),
        (["--students", "0"], "width"),
        (["--set", "scheme.assistants=2"], "one assistant"),
        (["--set", "scheme.direct=false"], "direct way"),
        (["--set", "methods.0=1"], "methods"),
        (["--set", "data.train_size"], "PATH=VALUE"),
    ],
)
def test_a_grid_that_cannot_be_measured_is_refused_at_the_door(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "kept.json"
    assert main([*arguments, "--json", str(place)]) == WRONG
    assert words in capsys.readouterr().err
    assert not place.exists()


def test_a_run_that_fails_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity_gap, "step_aside", lambda nice: None)
    monkeypatch.setattr(capacity_gap.signal, "signal", lambda *which: None)
    wild = ["--set", "training.optimizer=sgd", "--set", "training.rate=10", "--set", "methods.0.weight=1e7"]
    wild += ["--set", "training.epochs=10"]
    assert main([*SMALL, *wild, "--json", str(tmp_path / "kept.json")]) == FAILED
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.match(r"teacher (12|24), student 6, T 2, seed [01]: the (loss|term) .* became (inf|nan)", last), last


def test_a_clear_fall_is_said_with_its_size() -> None:
    words = sentence(
        [
            cell(8, [0.80, 0.81, 0.83], [0.80, 0.81, 0.83]),
            cell(48, [0.76, 0.77, 0.79], [0.80, 0.81, 0.83], right=0.97),
        ]
    )
    assert words.startswith("The largest teacher adds +6.3 ± 1.4 points to learning alone. Distilled straight gains")
    assert "gains clearly over the student alone: +10.3 at width 8, +6.3 at width 48" in words
    assert (
        "more from the teacher of width 8 than from that of width 48, though the latter is right more often: +4.0"
        in words
    )
    assert "The way by an assistant gains clearly over distilling straight: +4.0 at width 48" in words


def test_a_loss_is_said_too() -> None:
    words = sentence([cell(8, [0.60, 0.62, 0.61], [0.50, 0.52, 0.51])])
    assert "Distilled straight loses clearly against the student alone: −10.0 at width 8" in words
    assert "The way by an assistant loses clearly against distilling straight: −10.0 at width 8" in words


def test_a_gap_is_one_where_the_largest_teacher_s_student_falls_behind_and_the_detour_helps() -> None:
    better = cell(8, [0.80, 0.81, 0.83], [0.80, 0.81, 0.83])
    words = verdict(of(better, cell(48, [0.76, 0.77, 0.79], [0.80, 0.81, 0.83], right=0.97)))
    assert "falls behind that of a smaller one: student 6 at T = 2; an assistant helps it: student 6 at T = 2" in words
    assert "widened for the 2 comparisons" in words
    assert "No capacity gap" not in words
    worse = verdict(of(better, cell(48, [0.76, 0.77, 0.79], [0.76, 0.77, 0.79], right=0.80)))
    assert worse.startswith("No capacity gap shows here: nowhere does the student of the largest teacher fall")


def test_many_comparisons_want_a_wider_interval() -> None:
    one = cell(8, [0.799, 0.804, 0.813], [0.8, 0.8, 0.8])  # ahead by 1.1 ± 1.0 points
    last = cell(48, [0.792, 0.793, 0.798], [0.8, 0.8, 0.8], right=0.97)
    assert "It learns more from the teacher of width 8" in sentence([one, last])
    assert "falls behind that of a smaller one: nowhere" not in verdict(of(one, last))
    assert "No capacity gap shows here" in verdict(of(one, last))


def test_the_verdict_waits_for_three_seeds_of_a_whole_panel() -> None:
    assert verdict(of(cell(8, [0.8, 0.8], [0.9, 0.9]), cell(48, [0.7, 0.7], [0.9, 0.9]))) == ""
    assert verdict(of(cell(8, [0.8, 0.8, 0.8], [0.9, 0.9, 0.9]))) == ""


def test_within_the_noise_no_difference_is_claimed() -> None:
    words = sentence([cell(8, [0.8, 0.6, 0.7], [0.8, 0.7, 0.6]), cell(48, [0.7, 0.8, 0.6], [0.6, 0.8, 0.7])])
    assert "Distilled straight makes no clear difference to the student alone." in words
    assert "The way by an assistant makes no clear difference to distilling straight." in words
    assert "more from" not in words


def test_two_seeds_claim_nothing_and_one_has_no_interval() -> None:
    assert "nothing can be said yet" in sentence([cell(8, [0.8, 0.8], [0.9, 0.9])])
    assert "±" not in markdown(of(cell(8, [0.8], [0.9]))).partition("## Student")[2]


def test_the_page_has_a_table_with_the_paired_differences_and_the_price() -> None:
    words = markdown(of(cell(8, [0.80, 0.81, 0.83], [0.80, 0.81, 0.83]), cell(48, [0.76, 0.78, 0.79], [0.9, 0.9, 0.9])))
    assert "## Student of width 6 (1,234 parameters), T = 2" in words
    assert (
        "| 8 | 95.3 ± 1.4 | 90.0 | 71.0 ± 2.5 | 81.3 ± 3.8 | +10.3 ± 1.4 | 90.0 ± 0.0 | 81.3 ± 3.8 | +0.0 ± 0.0 |"
        in words
    )
    assert "of 4 comparisons about 1 would look clear by chance" in words
    assert "the detour costs 2.5 times the direct way" in cost(of(cell(8, [0.8], [0.9])))


def test_a_measurement_comes_back_from_its_file(measured: tuple[Capacity, list[str]], tmp_path: Path) -> None:
    place = tmp_path / "kept.json"
    measured[0].write(place)
    assert Capacity.read(place) == measured[0]
    told = measured[0].to_json()
    for wrong in (
        "{", "[]", json.dumps({**told, "version": 2}), json.dumps({**told, "cells": [{"teacher": 3}]}),
        json.dumps({**told, "cells": [{**told["cells"][0], "sure": {"teacher": [math.nan], "assistant": [0.5]}}]}),
        json.dumps({**told, "cells": [{**told["cells"][0], "test": {"teacher": [0.5]}}]}),
    ):  # fmt: skip
        place.write_text(wrong)
        with pytest.raises(CapacityError):
            Capacity.read(place)


def test_what_came_with_the_lab_is_whole_and_the_docs_are_made_from_it() -> None:
    found = Capacity.read(SHIPPED)
    assert found.finished
    assert found.seeds >= 3
    assert all(one.done() == found.seeds for one in found.cells)
    assert all(faults(found.run_of(one, 0), catalog()) == [] for one in found.cells)
    assert isinstance(found.base, Recipe)
    assert (ROOT / "kdcore" / "CAPACITY.md").read_text(encoding="utf-8") == markdown(found)


def test_reading_a_measurement_needs_no_torch() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import sys, kdcore.capacity, kdcore.capacity_table; print('torch' in sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert told.stdout.strip() == "False", told.stderr
