"""What if: the grid's fields are runs, what is wrong stands beside the control, and a click trains what is missing."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from kdcore.catalog import catalog as read_catalog
from kdcore.recipe import Parent, Recipe
from kdcore.runs import Shelf
from tests.app.asking import Launching, stills, words

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
