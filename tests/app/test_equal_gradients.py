"""The button "Equal gradients": it writes the measured weights into the recipe, or says why it cannot."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.views.equal_gradients import balanced
from kdcore.catalog import catalog as read_catalog
from kdcore.launch import AskError
from kdcore.preview import Preview
from kdcore.recipe import Recipe
from kdcore.runs import Shelf

RECIPE = Recipe.from_json({"methods": [{"is": "ce"}, {"is": "kd"}, {"is": "sp"}]})


class Desk:
    """A desk that notes what it was asked, and answers with these weights."""

    def __init__(self) -> None:
        self.asked: list[tuple[Recipe, float]] = []
        self.refusal = ""

    def preview(self, recipe: Recipe) -> Preview:
        return Preview()

    def balance(self, recipe: Recipe, share: float) -> dict[int, float]:
        self.asked.append((recipe, share))
        if self.refusal:
            raise AskError(self.refusal)
        return {1: 0.8 * share, 2: 1.0}


@pytest.fixture
def desk(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Desk:
    found, cards = Desk(), read_catalog()
    monkeypatch.setattr(state, "desk", lambda: found)
    monkeypatch.setattr(state, "catalog", lambda: cards)
    monkeypatch.setattr(state, "address", lambda page, **params: "http://here")
    return found


def page() -> None:
    from app.screens import begin

    begin.show()


def opened(recipe: Recipe) -> AppTest:
    test = AppTest.from_function(page, default_timeout=60)
    test.query_params["recipe"] = recipe.to_text()
    test.run()
    assert not test.exception
    return test


def weight(test: AppTest, number: int) -> float:
    (found,) = [one for one in test.number_input if (one.key or "").split("~")[0] == f"methods.{number}.weight"]
    return float(found.value or 0.0)


def test_a_click_writes_the_weights_and_shows_them_in_the_controls(desk: Desk) -> None:
    test = opened(RECIPE)
    test.number_input(key="balance.share").set_value(0.25).run()
    test.button(key="balance.set").click().run()
    assert not test.exception
    assert [share for _, share in desk.asked] == [0.25]
    assert desk.asked[0][0].methods == RECIPE.methods
    assert [part.weight for part in test.session_state["kept.draft"].methods] == [None, 0.2, 1.0]
    assert (weight(test, 0), weight(test, 1), weight(test, 2)) == (1.0, 0.2, 1.0)
    assert any("0.25 times as hard" in caption.value for caption in test.caption)
    assert '"weight":0.2' in str(test.query_params["recipe"])


def test_the_sentence_goes_when_the_recipe_changes(desk: Desk) -> None:
    test = opened(RECIPE)
    test.button(key="balance.set").click().run()
    (found,) = [one for one in test.number_input if (one.key or "").split("~")[0] == "methods.1.weight"]
    found.set_value(3.0).run()
    assert not any("times as hard" in caption.value for caption in test.caption)
    assert weight(test, 1) == 3.0


def test_a_refusal_stands_beside_the_button_and_changes_nothing(desk: Desk) -> None:
    desk.refusal = "at gives the student no gradient"
    test = opened(RECIPE)
    test.button(key="balance.set").click().run()
    assert any("no gradient" in error.value for error in test.error)
    assert test.session_state["kept.draft"].methods == RECIPE.methods


def test_there_is_no_button_without_anything_to_weigh(desk: Desk) -> None:
    test = opened(Recipe.from_json({"methods": [{"is": "ce"}]}))
    assert not [button for button in test.button if button.key == "balance.set"]


def test_the_button_waits_for_a_recipe_without_faults(desk: Desk) -> None:
    wrong = Recipe.from_json({"methods": [{"is": "ce"}, {"is": "kd", "temperature": 900}]})
    assert opened(wrong).button(key="balance.set").disabled


def test_weights_go_to_their_places() -> None:
    assert [part.weight for part in balanced(RECIPE, {2: 7.0}).methods] == [None, None, 7.0]
