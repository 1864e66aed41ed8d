"""What if: the grid's fields are runs, what is wrong stands beside the control, and a click trains what is missing."""

from __future__ import annotations

import time
from functools import partial

import pytest
import torch
from streamlit.testing.v1 import AppTest

from app import state
from kdcore import engine
from kdcore.beginnings import begun
from kdcore.catalog import catalog as read_catalog
from kdcore.events import Checkpoint, Event, Failed, PhaseStarted, Snapshot, Started, Stopped
from kdcore.launch import LaunchError
from kdcore.processes import this_process
from kdcore.recipe import Parent, Recipe
from kdcore.runs import Run, Shelf
from kdcore.scribe import write
from kdcore.slots import Slots
from tests.app.asking import Launching, on_pictures, stills, words

CATALOG = read_catalog()


@pytest.fixture
def desk(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Launching:
    found = Launching(shelf)
    monkeypatch.setattr(state, "desk", lambda: found)
    monkeypatch.setattr(state, "catalog", lambda: CATALOG)
    return found


def page() -> None:
    from app.screens import grid

    grid.show()


def opened(**params: str) -> AppTest:
    test = AppTest.from_function(page, default_timeout=60)
    for name, value in params.items():
        test.query_params[name] = value
    test.run()
    assert not test.exception, test.exception[0].value
    return test


def test_temperature_over_seeds_is_offered_first_and_nothing_starts_by_itself(desk: Launching) -> None:
    test = opened()
    assert test.button(key="grid.start").label == "Train 12 runs"
    assert desk.launched == []
    (picture,) = stills(test)
    assert picture["data"][0]["type"] == "heatmap"
    assert [text["text"] for text in picture["layout"]["annotations"]] == ["–"] * 12
    said = words(test)
    assert "What the seeds say" not in said, "nothing has been trained"
    assert "Click a field" not in said
    assert not test.table


def test_a_click_trains_every_field_once(desk: Launching) -> None:
    test = opened(y="methods.0.weight:1, 2", x="seed:3, 4")
    test.button(key="grid.start").click().run()
    assert not test.exception
    assert len(desk.launched) == len({one.id for one in desk.launched}) == 4
    assert {(one.seed, one.methods[0].weight) for one in desk.launched} == {(3, 1.0), (3, 2.0), (4, 1.0), (4, 2.0)}
    assert test.button(key="grid.start").disabled


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"y": "methods.0.temperature:0.1"}, "lies outside"),
        ({"y": "methods.0.temperature:x"}, "is not what temperature takes"),
        ({"y": "seed:1, 2", "x": "seed:3"}, "same setting"),
        ({"y": "training.epochs:1, 2, 3, 4, 5, 6, 7, 8, 9", "x": "seed:1, 2, 3, 4, 5, 6, 7, 8"}, "at most"),
        ({"recipe": "{"}, "cannot be read"),
    ],
)
def test_what_cannot_be_is_said(desk: Launching, params: dict[str, str], says: str) -> None:
    test = opened(**params)
    assert says in words(test).replace("\\", "")
    assert desk.launched == []


def test_an_unknown_setting_in_the_address_is_left_aside(desk: Launching) -> None:
    assert opened(y="../../etc:1", x="methods.99.weight:1").button(key="grid.start").label == "Train 12 runs"


def test_of_a_fork_the_settings_are_taken_and_its_beginning_is_not(desk: Launching) -> None:
    fork = Recipe(seed=3).with_setting("methods.0.temperature", 5.0).replace(parent=Parent("f" * 16, "2-20"))
    test = opened(recipe=fork.to_text(), y="methods.0.weight:1, 2", x="seed:3, 4")
    assert "begin at the beginning" in test.info[0].value
    test.button(key="grid.start").click().run()
    assert [one.parent for one in desk.launched] == [None] * 4
    assert {one.methods[0].method.settings["temperature"] for one in desk.launched} == {5.0}


class Training(Launching):
    """A desk that trains what it is handed, in this process."""

    def launch(self, recipe: Recipe) -> str:
        run = self.shelf.run(super().launch(recipe))
        self._train(run)
        return run.id

    def go_on(self, run_id: str) -> None:
        super().go_on(run_id)
        self._train(self.shelf.run(run_id))

    def _train(self, run: Run) -> None:
        train = partial(engine.run, checkpoint_every=0.0)
        write(run, begun(run, self.shelf, train), slots=Slots(self.shelf.root / "slots", "cpu", 1))


def half_way(straight: list[Event], phase: int) -> int:
    """The place after the events up to a middle checkpoint of the phase, and one that came later."""
    places = [at for at, event in enumerate(straight) if isinstance(event, Checkpoint) and event.phase == phase]
    return places[len(places) // 2] + 2


def lose(run: Run) -> None:
    """Its process is one that is gone."""
    run.begin({**this_process("work"), "create_time": 1.0})


def test_what_was_stopped_or_lost_goes_on_from_its_checkpoint_to_the_weights_it_would_have_had(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Training(shelf)
    monkeypatch.setattr(state, "desk", lambda: desk)
    monkeypatch.setattr(state, "catalog", lambda: CATALOG)
    base = on_pictures(epochs=4, methods=[{"is": "kd", "temperature": 2.0}])
    fields = [base.with_setting("methods.0.temperature", value) for value in (1.0, 2.0, 4.0, 8.0)]
    straight = [list(engine.run(recipe, checkpoint_every=0.0)) for recipe in fields[:2]]
    runs = [shelf.create(recipe)[0] for recipe in fields[:3]]
    for event in straight[0][: half_way(straight[0], 2)]:
        runs[0].append(event)
    runs[0].append(Stopped(time.time()))
    for event in straight[1][: half_way(straight[1], 1)]:
        runs[1].append(event)
    lose(runs[1])
    runs[2].append(Stopped(time.time()))  # before its first checkpoint
    assert [run.state() for run in runs] == ["stopped", "lost", "stopped"]

    test = opened(recipe=base.to_text(), y="methods.0.temperature:1, 2, 4, 8", x="nothing else")
    assert test.button(key="grid.start").label == "Train 4 runs"
    assert "2 go on from their last checkpoint, 2 begin at the beginning." in words(test)
    test.button(key="grid.start").click().run()
    assert not test.exception
    assert test.button(key="grid.start").label == "All are trained"
    assert "checkpoint" not in words(test)
    assert desk.gone_on == [runs[0].id, runs[1].id]
    assert desk.launched == fields[2:]
    expected = {runs[0].id, runs[1].id, runs[2].id, f"{runs[2].id}-2", fields[3].id}
    assert {run.id for run in shelf.runs()} == expected, "what goes on is no further attempt"
    for run, events in zip(runs, straight, strict=False):
        told = run.events()[0]
        assert sum(isinstance(event, Started) for event in told) == 1
        assert [event.phase for event in told if isinstance(event, PhaseStarted)] == [0, 1, 2]
        snapshots = [event for event in events if isinstance(event, Snapshot)]
        assert [one.name for one in run.history().snapshots] == [one.name for one in snapshots]
        for one in snapshots:
            ours = run.tensors(one.name)
            assert ours.keys() == one.tensors.keys()
            assert all(torch.equal(value, one.tensors[name]) for name, value in ours.items()), one.name


def test_it_says_when_all_go_on_and_a_failed_one_begins_at_the_beginning(desk: Launching, shelf: Shelf) -> None:
    recipes = [Recipe(seed=seed) for seed in (3, 4)]
    runs = [shelf.create(recipe)[0] for recipe in recipes]
    for run in runs:
        run.append(Checkpoint(time.time(), 0, 0, {}))
        lose(run)
    params = {"y": "seed:3, 4", "x": "nothing else"}
    test = opened(**params)
    assert test.button(key="grid.start").label == "Go on with 2 runs"
    assert "2 go on from their last checkpoint." in words(test)
    runs[0].append(Failed(time.time(), "the term ce.ce of the student became nan at step 7", ""))
    test = opened(**params)
    assert test.button(key="grid.start").label == "Train 2 runs"
    assert "1 goes on from its last checkpoint, 1 begins at the beginning." in words(test)
    test.button(key="grid.start").click().run()
    assert not test.exception
    assert (desk.gone_on, desk.launched) == ([runs[1].id], recipes[:1])
    assert runs[0].state() == "failed"
    assert shelf.run(f"{runs[0].id}-2").state() == "waiting"


def test_a_field_that_another_tab_has_go_on_meanwhile_is_no_fault(
    desk: Launching, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = shelf.create(Recipe(seed=3))
    run.append(Checkpoint(time.time(), 0, 0, {}))
    run.append(Stopped(time.time()))

    def too_late(run_id: str) -> None:
        shelf.go_on(run_id)
        raise LaunchError(f"The run cannot go on: Run {run_id} is waiting; only one that was interrupted can go on.")

    monkeypatch.setattr(desk, "go_on", too_late)
    test = opened(y="seed:3", x="nothing else")
    test.button(key="grid.start").click().run()
    assert not test.exception
    assert not test.error
    assert [one.id for one in shelf.runs()] == [run.id]
