"""Sweep: the form says what is wrong, the sweep is started and stopped, and the winner stands beside the start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.charts import sweep as chart
from app.views import sweep_form, sweep_result
from app.views.moment import as_csv
from kdcore import sweeps as module
from kdcore.catalog import catalog as read_catalog
from kdcore.events import Checkpoint, Stopped
from kdcore.recipe import Recipe
from kdcore.runs import Run, Shelf
from kdcore.sweep import Plan, Sweep, Try, plan
from kdcore.sweeps import Sweeps
from tests.app import asking
from tests.app.asking import Launching, stills, words
from tests.app.conftest import tell

CATALOG = read_catalog()
SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
TEMPERATURE, WIDTH = "methods.0.temperature", "student.width"
needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="Optuna is not installed")


@pytest.fixture
def desk(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Launching:
    found = Launching(shelf)
    monkeypatch.setattr(state, "desk", lambda: found)
    return found


@pytest.fixture
def board(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sweeps]:
    """No sweep anywhere; one that is started sleeps."""
    monkeypatch.setattr(state, "catalog", lambda: CATALOG)
    monkeypatch.setattr(state, "shelf", lambda: shelf)
    monkeypatch.setattr(module, "COMMAND", SLEEPER)
    found = Sweeps(shelf.root)
    found.folder.mkdir(parents=True)
    yield found
    found.stop()


def planned(*spans: str, seed: int = 0) -> Plan:
    spans = spans or (f"{TEMPERATURE}=1..16:log", f"{WIDTH}=8..64:linear")
    return plan(Recipe(), spans, CATALOG, sampler="tpe", seed=seed, pruner="median")


def kept(found: Sweep, board: Sweeps) -> AppTest:
    """Its page, once the board has it."""
    found.write(board.path(found.plan.id))
    return opened(sweep=found.plan.id)


def told(shelf: Shelf, *, finished: bool = True) -> Sweep:
    """Five tries: two finished with runs of their own, one of each other end."""
    meant = planned()

    def run_of(recipe: Recipe) -> Run:
        run = shelf.create(recipe)[0]
        for event in tell(recipe):
            run.append(event)
        return run

    def one(number: int, temperature: float, width: int, **more: Any) -> Try:
        return Try(number, {TEMPERATURE: temperature, WIDTH: width}, **more)

    start = Try(-1, {}, "finished", run_of(meant.recipe).id, 0.85, [(1, 0.4), (2, 0.85)])
    tries = [
        one(0, 4.0, 16, state="finished", accuracy=0.8, curve=[(1, 0.3), (2, 0.8)], run="0" * 16),
        one(1, 6.5, 32, state="finished", accuracy=0.91, curve=[(1, 0.5), (2, 0.91)]),
        one(2, 1.0, 8, state="pruned", accuracy=0.2, curve=[(1, 0.2)], why="below the median of the others"),
        one(3, 2.0, 9, state="refused", why="<b>bold</b> words"),
        one(4, 3.0, 10, state="failed", why="the loss became nan"),
    ]
    tries[1].run = run_of(meant.with_values(tries[1].values)).id
    return Sweep(
        meant,
        5,
        start,
        tries,
        {TEMPERATURE: 0.7, WIDTH: 0.3},
        "" if finished else "4 of 5 tries are over",
        finished,
        9.0,
    )


opened = partial(asking.opened, "sweep")


def keys(test: AppTest) -> set[str]:
    return {button.key for button in test.button}


def test_temperature_and_weight_are_offered_first_and_nothing_starts_by_itself(board: Sweeps) -> None:
    test = opened()
    assert test.multiselect[0].value == [TEMPERATURE, "methods.0.weight"]
    assert test.button(key="sweep.start").label == "Start 20 tries"
    assert board.ids() == []
    assert board.going() == ""


@needs_optuna
def test_a_click_starts_what_the_form_says_and_it_is_shown_and_stopped(board: Sweeps) -> None:
    test = opened(vary=f"{TEMPERATURE}=2..8:log;{WIDTH}=8, 16", tries="7", sampler="random", pruner="none", draw="3")
    test.button(key="sweep.start").click().run()
    assert not test.exception
    (id,) = board.ids()
    assert board.going() == id
    started = board.read(id)
    assert [span.text for span in started.plan.spans] == [f"{TEMPERATURE}=2..8:log", f"{WIDTH}=8, 16"]
    assert (started.runs, started.plan.sampler, started.plan.pruner, started.plan.seed) == (7, "random", "none", 3)
    assert "as soon as the first try has an accuracy" in words(test)
    test.button(key="sweep.stop").click().run()
    assert board.going() == ""
    assert "sweep.go_on" in keys(test)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"vary": f"{TEMPERATURE}=8..2:log"}, "goes from 8 down to 2"),
        ({"vary": f"{TEMPERATURE}=0.1..2:log"}, "lies outside"),
        ({"vary": f"{TEMPERATURE}=x..2"}, "is not a number"),
        ({"vary": f"{WIDTH}=8"}, "nothing to search"),
        ({"recipe": "{"}, "cannot be read"),
        ({"recipe": '{"student": {"is": "nothing"}}'}, "nothing"),
        ({"sweep": "../../etc/passwd"}, "There is no sweep"),
        ({"sweep": "0" * 16}, "There is no sweep"),
    ],
)
def test_what_cannot_be_is_said(board: Sweeps, params: dict[str, str], says: str) -> None:
    test = opened(**params)
    assert says in words(test).replace("\\", "")
    assert board.ids() == []


def test_a_range_that_cannot_be_keeps_the_start_closed(board: Sweeps) -> None:
    assert opened(vary=f"{TEMPERATURE}=8..2:log").button(key="sweep.start").disabled


def test_settings_that_are_not_there_are_left_aside(board: Sweeps) -> None:
    test = opened(vary="../../etc=1..2;methods.9.weight=1..2", tries="many", sampler="grid", draw="-1")
    assert test.multiselect[0].value == [TEMPERATURE, "methods.0.weight"]
    assert test.button(key="sweep.start").label == "Start 20 tries"


def test_without_any_setting_it_says_so(board: Sweeps) -> None:
    test = opened()
    test.multiselect[0].set_value([]).run()
    assert "nothing is varied" in words(test)
    assert test.button(key="sweep.start").disabled


def test_without_optuna_one_sentence_says_how_to_get_it(
    board: Sweeps, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    import app.screens.sweep as screen

    for place in (screen, sweep_form, sweep_result):
        monkeypatch.setattr(place, "installed", lambda: False)
    test = opened()
    assert "pip install optuna" in test.info[0].value
    assert test.button(key="sweep.start").disabled
    found = told(shelf)
    assert len(stills(kept(found, board))) == 4, "what was found before can still be looked at"


def test_tries_stand_in_pictures_and_a_table(board: Sweeps, shelf: Shelf) -> None:
    found = told(shelf)
    test = kept(found, board)
    settings, progress, curves, importance = stills(test)
    assert {trace["name"] for trace in settings["data"]} >= {"finished", "stopped early", "best"}
    assert {trace["name"] for trace in progress["data"]} >= {"best so far", "the recipe as it stands"}
    assert {trace.get("name") for trace in curves["data"]} >= {"best, try 2", "stopped early"}
    assert importance["data"][0]["y"] == ["student · width", "kd: temperature"]
    for figure in (settings, progress, curves):
        assert figure["layout"]["yaxis"]["title"]["text"] == "validation accuracy, %"
    table = test.dataframe[-1].value.set_index("try")
    assert list(table.index[:3]) == ["as it stands", "2", "1"]
    assert dict(table["state"]) == {
        "as it stands": "✓ finished", "2": "✓ finished", "1": "✓ finished", "3": "✂ stopped early",
        "4": "✗ refused", "5": "✗ failed",
    }  # fmt: skip
    assert "2 finished, 1 stopped early, 1 refused, 1 failed" in words(test)
    assert "**91.0 %** (try 2); the recipe as it stands 85.0 %" in words(test)


def test_the_winner_stands_beside_the_start_on_test_pictures_with_what_that_is_worth(
    board: Sweeps, shelf: Shelf
) -> None:
    found = told(shelf)
    test = kept(found, board)
    worth = test.dataframe[0].value
    assert list(worth["validation"]) == pytest.approx([85.0, 91.0])
    assert list(worth["test"]) == pytest.approx([93.0, 93.0])
    assert list(worth["pictures"]) == [500, 500]
    said = words(test)
    assert "picked on validation pictures among 2 finished tries" in said
    assert "one seed says little" in said
    assert "known to ±" in said


def test_a_sweep_that_goes_on_names_no_winner_yet(board: Sweeps, shelf: Shelf) -> None:
    found = told(shelf, finished=False)
    test = kept(found, board)
    assert "sweep.use" not in keys(test)
    assert test.button(key="sweep.go_on").label == "Go on to 5 tries"


def test_the_best_becomes_the_recipe(board: Sweeps, shelf: Shelf, gone: list[tuple[str, dict]]) -> None:
    found = told(shelf)
    kept(found, board).button(key="sweep.use").click().run()
    ((where, params),) = gone
    assert where == "begin"
    assert params["recipe"] == found.plan.recipe.with_setting(TEMPERATURE, 6.5).with_setting(WIDTH, 32)


def test_winner_and_start_are_compared_over_seeds_that_the_search_has_not_seen(
    board: Sweeps, shelf: Shelf, desk: Launching
) -> None:
    found = told(shelf)
    test = kept(found, board)
    test.button(key="sweep.seeds").click().run()
    assert not test.exception
    assert sorted({one.seed for one in desk.launched}) == [1, 2, 3, 4, 5]
    assert len({one.id for one in desk.launched}) == 10
    for number, recipe in enumerate(desk.launched):
        for event in tell(recipe):
            if number >= 5 and hasattr(event, "results"):
                results = {**event.results, "student": {**event.results["student"], "test_accuracy": 0.95}}
                event = replace(event, results=results)
            shelf.run(recipe.id).append(event)
    test.run()
    assert "The best **beats** the recipe as it stands: +2.0 points" in words(test)
    assert "sweep.seeds" not in keys(test)


def test_runs_of_the_comparison_that_were_stopped_go_on_from_their_checkpoint(
    board: Sweeps, shelf: Shelf, desk: Launching
) -> None:
    found = told(shelf)
    test = kept(found, board)
    test.button(key="sweep.seeds").click().run()
    for number, recipe in enumerate(desk.launched):
        if number < 2:
            shelf.run(recipe.id).append(Checkpoint(0.0, 0, 0, {}))
        shelf.run(recipe.id).append(Stopped(0.0))
    test.run()
    assert "2 go on from their last checkpoint, 8 begin at the beginning." in words(test)
    test.button(key="sweep.seeds").click().run()
    assert desk.gone_on == [recipe.id for recipe in desk.launched[:2]]
    assert len(desk.launched) == 18


def test_a_damaged_sweep_is_said_and_can_be_forgotten(board: Sweeps) -> None:
    board.path("0" * 16).write_text("{")
    test = opened(sweep="0" * 16)
    assert "is damaged" in words(test)
    test.button(key="sweep.forget").click().run()
    assert not test.exception
    assert board.ids() == []


def test_what_ended_it_is_said(board: Sweeps, shelf: Shelf) -> None:
    found = told(shelf, finished=False)
    found.now = "It ended early: Optuna's file is <b>damaged</b>"
    assert "It ended early" in kept(found, board).error[0].value


def test_of_another_code_it_can_be_looked_at_but_does_not_go_on(board: Sweeps, shelf: Shelf) -> None:
    found = told(shelf, finished=False)
    found.plan = replace(found.plan, code="older")
    test = kept(found, board)
    assert "another version of the code" in words(test)
    assert "sweep.go_on" not in keys(test)
    assert len(stills(test)) == 4


def test_changing_it_takes_its_plan_into_the_form(board: Sweeps, shelf: Shelf) -> None:
    found = told(shelf)
    test = kept(found, board)
    test.button(key="sweep.change").click().run()
    assert not test.exception
    assert test.multiselect[0].value == [TEMPERATURE, WIDTH]
    assert test.button(key="sweep.start").label == "Start 5 tries"
    assert [one.value for one in test.text_input] == ["1..16", "8..64"]


def test_the_file_has_every_try_and_the_start(board: Sweeps, shelf: Shelf) -> None:
    text = as_csv(chart.rows(told(shelf)))
    assert len(text.strip().splitlines()) == 7
    assert "as it stands" in text
    assert "the loss became nan" in text


@pytest.mark.parametrize("dark", [False, True])
def test_pictures_are_drawn_whatever_there_is(dark: bool) -> None:
    spans = ("methods.0.weight=0.1..10:log", "training.optimizer=adamw, sgd", f"{WIDTH}=8, 16", "student.depth=1..3")
    empty = Sweep(planned(*spans), 4)
    one = Try(0, {"methods.0.weight": 2.0, "training.optimizer": "sgd", WIDTH: 8, "student.depth": 2}, accuracy=0.1)
    for found in (empty, replace(empty, tries=[one]), replace(empty, tries=[replace(one, state="finished")])):
        names = {span.path: span.path for span in found.plan.spans}
        figure = chart.settings(found, names, {}, dark=dark)
        assert figure.layout.xaxis2.type == "category"
        assert figure.layout.xaxis.type == "log"
        for draw in (chart.progress, chart.curves):
            assert draw(found, dark=dark).layout.xaxis.title.text


def test_tries_far_below_the_others_do_not_flatten_the_picture() -> None:
    tries = [Try(n, {TEMPERATURE: 2.0, WIDTH: 8}, "finished", "", 0.9 + n / 1000) for n in range(9)]
    tries.append(Try(9, {TEMPERATURE: 2.0, WIDTH: 8}, "finished", "", 0.1))
    found = Sweep(planned(), 10, tries=tries)
    assert chart.below(found) == 1
    figure = chart.progress(found, dark=False)
    low = figure.layout.yaxis.range[0]
    assert low > 50
    marks = next(trace for trace in figure.data if trace.name == "finished")
    assert min(marks.y) >= low
    assert "triangle-down" in marks.marker.symbol
    assert min(row[1] for row in marks.customdata) == pytest.approx(10.0)
