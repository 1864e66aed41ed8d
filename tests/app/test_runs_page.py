"""Runs: every run stands in the list with what came of it; chosen ones are compared, opened, repeated or deleted."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from app import rows, state
from app.charts.compare import compare
from app.rows import row_of, student_curve
from kdcore.catalog import catalog as read_catalog
from kdcore.recipe import Recipe
from kdcore.run import Run
from kdcore.runs import Shelf
from tests.app.asking import stills


@pytest.fixture
def gone(gone: list[tuple[str, dict]], shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict]]:
    """Where the page sent the tab to. The shelf holds nothing but what the test puts there."""
    cards = read_catalog()
    shelf.recorded = shelf.root / "none recorded"
    monkeypatch.setattr(state, "catalog", lambda: cards)
    monkeypatch.setattr(state, "shelf", lambda: shelf)
    return gone


def page() -> None:
    from app.screens import runs

    runs.show()


def opened() -> AppTest:
    test = AppTest.from_function(page, default_timeout=60).run()
    assert not test.exception
    return test


def choose(test: AppTest, *runs: Run) -> AppTest:
    test.multiselect(key="runs.chosen").set_value([run.id for run in runs]).run()
    assert not test.exception
    return test


def test_an_empty_shelf_says_what_will_stand_here_and_leads_to_begin(gone: list) -> None:
    test = opened()
    assert "Nothing has run yet" in test.markdown[0].value
    test.button(key="runs.begin").click().run()
    assert gone == [("begin", {})]


def test_every_run_stands_in_the_list_with_its_state_and_results(
    gone: list, finished: Run, running: Run, failed: Run, stopped: Run, lost: Run
) -> None:
    table = opened().dataframe[0].value.set_index("run")
    states = {run: table.loc[run.id[:6], "state"].split()[-1] for run in (finished, running, failed, stopped, lost)}
    assert list(states.values()) == ["finished", "running", "failed", "stopped", "lost"]
    row = table.loc[finished.id[:6]]
    assert row["student"] == pytest.approx(93.0)
    assert row["alone"] == pytest.approx(81.0)
    assert row["gain"] == pytest.approx(12.0)
    assert row["time"] == "4.2 s"


def test_a_recorded_run_is_labelled_and_stays(gone: list, finished: Run, shelf: Shelf) -> None:
    shelf.recorded = shelf.root / "recorded"
    shelf.recorded.mkdir()
    finished.folder.rename(shelf.recorded / finished.id)
    test = opened()
    assert list(test.dataframe[0].value["when"]) == ["recorded"]
    choose(test, finished)
    assert "stay" in test.caption[-1].value
    assert not [button for button in test.button if button.key == "runs.delete.sure"]


def test_the_filter_keeps_runs_that_say_the_word(gone: list, finished: Run, hidden: Run) -> None:
    test = opened()
    test.text_input(key="runs.search").set_value(hidden.id[:8]).run()
    assert list(test.dataframe[0].value["run"]) == [hidden.id[:6]]
    test.text_input(key="runs.search").set_value("no such word").run()
    assert "No run passes" in test.info[0].value


def test_one_run_is_opened_and_its_recipe_used(gone: list, finished: Run) -> None:
    for key, there in (("runs.watch", "watch"), ("runs.inside", "look")):
        choose(opened(), finished).button(key=key).click().run()
        assert gone.pop() == (there, {"run": finished.id})
    test = choose(opened(), finished)
    test.button(key="runs.recipe").click().run()
    assert gone.pop() == ("begin", {"recipe": finished.recipe})
    assert test.session_state["kept.draft"] == finished.recipe


def test_several_runs_are_compared_in_one_chart_and_by_what_differs(
    gone: list, finished: Run, stopped: Run, hidden: Run
) -> None:
    test = choose(opened(), finished, hidden)
    assert len(stills(test)) == 1
    settings = test.dataframe[-1].value.set_index("setting")
    assert settings.loc["data.hidden class"].tolist() == ["-1", "3"]
    assert "student.width" not in settings.index
    choose(test, finished, stopped)
    assert "no score yet" in " ".join(caption.value for caption in test.caption)


def test_deleting_asks_and_then_deletes_those_alone(gone: list, finished: Run, stopped: Run, shelf: Shelf) -> None:
    test = choose(opened(), stopped)
    assert stopped.folder.exists()
    test.button(key="runs.delete.sure").click().run()
    assert [run.id for run in shelf.runs()] == [finished.id]
    assert "1 deleted" in test.success[0].value


def test_a_run_that_is_going_cannot_be_deleted(gone: list, running: Run, finished: Run) -> None:
    test = choose(opened(), running, finished)
    assert "stop first" in test.error[0].value
    assert not [button for button in test.button if button.key == "runs.delete.sure"]


def test_a_damaged_recipe_is_a_row_that_says_so(gone: list, finished: Run) -> None:
    (finished.folder / "recipe.json").write_text('{"seed": "<b>x</b>"}')
    test = opened()
    assert "whole number" in test.dataframe[0].value["what"].iloc[0]
    assert choose(test, finished).button(key="runs.recipe").disabled


def test_a_row_follows_a_run_until_its_end_and_is_then_kept(gone: list, running: Run) -> None:
    cards = read_catalog()
    assert row_of(running, cards).state == "running"
    from kdcore.events import Stopped

    running.append(Stopped(0.0))
    first = row_of(running, cards)
    assert first.state == "stopped"
    assert row_of(running, cards) is first


def test_the_curve_of_the_student_is_its_validation_accuracy(gone: list, finished: Run) -> None:
    epochs, values = student_curve(finished.history())
    assert epochs == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert values[-1] == pytest.approx(0.93)
    figure = compare({"a": (epochs, values), "b": (epochs, values)}, dark=True)
    assert [trace.name for trace in figure.data] == ["a", "b"]
    assert figure.data[0].line.color != figure.data[1].line.color
    assert figure.layout.yaxis.title.text == "validation accuracy"


def test_times_are_said_as_people_say_them() -> None:
    import time

    assert rows.ago(time.time()) == "just now"
    assert rows.ago(time.time() - 600) == "10 min ago"
    assert rows.ago(time.time() - 7200) == "2 h ago"
    assert rows.ago(0.0) == "–"


def test_runs_of_equal_settings_say_so(gone: list, finished: Run, shelf: Shelf) -> None:
    twin = shelf.root / f"{finished.id}-2"
    import shutil

    shutil.copytree(finished.folder, twin)
    test = choose(opened(), finished, shelf.run(twin.name))
    assert "the same settings" in " ".join(caption.value for caption in test.caption)
    assert Recipe(seed=1) == finished.recipe
