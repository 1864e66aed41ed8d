"""Tournament: the table and the frontier of what was measured, and a measurement of one's own that can be stopped."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.screens import tournament as screen
from app.views.moment import as_csv
from kdcore import tournaments as module
from kdcore.catalog import catalog as read_catalog
from kdcore.recipe import code_version
from kdcore.runs import Shelf
from kdcore.standings import PAIRS, Row, Standings
from kdcore.tournaments import Tournaments
from tests.app.asking import stills, words

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
_SCRIPT = "import sys, kdcore.tournaments, kdcore.tournament_table; print('torch' in sys.modules)"


def measured(*, finished: bool = True, code: str = "abc") -> Standings:
    rows = [
        Row("alone", [0.70, 0.71, 0.72], [1.0] * 3, 2_000_000),
        Row("kd", [0.80, 0.81, 0.82], [2.0] * 3, 3_000_000),
        Row("at", [0.90, 0.91, 0.92], [4.0] * 3, 20_000_000),
        Row("nst", [0.75, 0.76, 0.77], [5.0] * 3, 30_000_000),
        Row("weight_distance", refusal="networks of one kind alone"),
    ]
    made = {"code": code, "torch": "2", "python": "3", "processor": "A processor", "cores": 2, "threads": 1,
            "started": 1.0, "system": "Linux"}  # fmt: skip
    return Standings("digits", PAIRS["digits"], 3, 60.0, made, [0.99] * 3, rows, finished=finished)


@pytest.fixture
def board(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tournaments]:
    """No tournament anywhere; one that is started sleeps."""
    cards = read_catalog()
    monkeypatch.setattr(state, "catalog", lambda: cards)
    monkeypatch.setattr(state, "shelf", lambda: shelf)
    monkeypatch.setattr(module, "SHIPPED", shelf.root / "none shipped")
    monkeypatch.setattr(module, "COMMAND", SLEEPER)
    found = Tournaments(shelf.root)
    found.folder.mkdir(parents=True)
    yield found
    found.stop()


def page() -> None:
    from app.screens import tournament

    tournament.show()


def opened() -> AppTest:
    test = AppTest.from_function(page, default_timeout=60).run()
    assert not test.exception
    return test


def test_before_anything_is_measured_it_says_what_will_stand_here(board: Tournaments) -> None:
    test = opened()
    assert "Nothing has been measured on this pair yet" in words(test)
    assert not stills(test)
    assert test.button(key="tournament.start").label == "Measure on this machine"


def test_what_was_measured_stands_in_a_table_and_a_frontier(board: Tournaments) -> None:
    measured().write(board.path("digits"))
    test = opened()
    table = test.dataframe[0].value.set_index("contender")
    assert list(table.index) == ["at", "kd (plain KD)", "nst", "student alone", "weight_distance"]
    assert table.loc["at", "student"] == pytest.approx(91.0)
    assert table.loc["at", "over KD"] == "+10.0 ± 0.0"
    assert table.loc["nst", "against KD"] == "clearly worse"
    assert table.loc["weight_distance", "why not"] == "networks of one kind alone"
    figure = stills(test)[0]
    assert {"plain KD", "student alone", "frontier"} <= {trace["name"] for trace in figure["data"]}
    assert "A processor" in words(test)
    assert "The best here is at with 91.0 % at 4 s" in words(test)
    test.segmented_control(key="tournament.cost").set_value("megabytes").run()
    assert "The best here is at with 91.0 % at 20 MB" in words(test)


def test_what_came_with_the_lab_is_shown_until_something_was_measured_here(
    board: Tournaments, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = board.root / "shipped"
    folder.mkdir()
    monkeypatch.setattr(module, "SHIPPED", folder)
    measured(code="shipped").write(folder / "digits.json")
    assert "This came with KD Lab" in words(opened())
    measured(code="mine").write(board.path("digits"))
    test = opened()
    assert "code mine" in words(test)
    test.toggle(key="tournament.shipped.digits").set_value(True).run()
    assert "code shipped" in words(test)


def test_a_measurement_is_started_followed_and_stopped(board: Tournaments) -> None:
    test = opened()
    test.button(key="tournament.start").click().run()
    assert board.going() == "digits"
    assert not [button for button in test.button if button.key == "tournament.start"]
    test.button(key="tournament.stop").click().run()
    assert board.going() == ""
    assert [button for button in test.button if button.key == "tournament.start"]


def test_on_another_pair_it_says_that_one_goes_on(board: Tournaments) -> None:
    board.start("fashion", seeds=2, limit=5.0)
    test = opened()
    assert "The tournament on Fashion-MNIST goes on" in words(test)
    assert not [button for button in test.button if button.key in ("tournament.start", "tournament.stop")]


@pytest.mark.parametrize(("code", "label"), [(code_version(), "Go on"), ("older", "Measure on this machine")])
def test_a_stopped_one_goes_on_only_with_the_same_code(board: Tournaments, code: str, label: str) -> None:
    measured(finished=False, code=code).write(board.path("digits"))
    test = opened()
    assert test.button(key="tournament.start").label == label
    assert "Stopped after" in words(test)
    assert ("begin anew" in words(test)) == (code == "older")


def test_what_ended_it_is_said(board: Tournaments) -> None:
    standings = measured(finished=False)
    standings.now = "It ended early: Fashion-MNIST is <b>not</b> here"
    standings.write(board.path("digits"))
    assert "It ended early" in words(opened())


def test_a_damaged_file_is_said_and_can_be_measured_anew(board: Tournaments) -> None:
    board.path("digits").write_text("{")
    test = opened()
    assert "no standings of a tournament" in test.error[0].value
    assert test.button(key="tournament.start")


def test_forgetting_deletes_what_was_measured_here(board: Tournaments) -> None:
    measured().write(board.path("digits"))
    test = opened()
    test.button(key="tournament.forget").click().run()
    assert board.own("digits") is None
    assert "Nothing has been measured" in words(test)


def test_the_file_has_every_contender(board: Tournaments) -> None:
    text = as_csv(screen.chart.rows(measured(), {"at": "feature"}))
    assert len(text.strip().splitlines()) == 6
    assert "networks of one kind alone" in text


def test_reading_standings_needs_no_torch() -> None:
    root = Path(__file__).resolve().parent.parent.parent
    told = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        cwd=root, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert told.stdout.strip() == "False", told.stderr
