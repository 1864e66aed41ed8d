"""A student made from its teacher, on Begin: sizes at once, how far it is off once a run has trained the teacher."""

from __future__ import annotations

import json
import time

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from kdcore.beginnings import laid_on
from kdcore.foretelling import foretell
from kdcore.launch import AskError
from kdcore.preview import Foretold
from kdcore.recipe import Recipe
from kdcore.runs import Shelf
from tests.app.test_begin import Desk, cards, control, draft, opened
from tests.test_foundation import written

LAYERS = ["stem.0.0", "stages.0.0.0", "stages.1.0.0", "the answers"]


def recipe(derivation: str = "lowrank", ratio: float = 0.3) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 200},
            "teacher": {"is": "plain", "width": 8, "stage_count": 2},
            "methods": [{"is": "kd"}],
            "scheme": {"is": "from_teacher", "derivation": derivation, "ratio": ratio, "random": False},
            "training": {"epochs": 1, "teacher_epochs": 2},
        }
    )


class Foretelling(Desk):
    """A desk that foretells from the runs of a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__()
        self.shelf = shelf
        self.asked: list[Recipe] = []
        self.problem = ""

    def foretell(self, recipe: Recipe) -> Foretold:
        self.asked.append(recipe)
        if self.problem:
            raise AskError(self.problem)
        return foretell(recipe, laid_on(self.shelf))


@pytest.fixture
def desk(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Foretelling:
    found = Foretelling(shelf)
    monkeypatch.setattr(state, "desk", lambda: found)
    monkeypatch.setattr(state, "catalog", cards)
    monkeypatch.setattr(state, "address", lambda page, **params: f"http://here/{page}?{params}")
    return found


def told(test: AppTest, words: str) -> str:
    """What stands below the knobs, once these words are among it."""
    for _ in range(100):
        said = "\n".join(text.value.replace("\\", "") for text in (*test.markdown, *test.caption))
        if words in said and "Measuring …" not in said:
            return said
        time.sleep(0.1)
        test.run()
        assert not test.exception
    raise AssertionError(f"{words!r} never came:\n{said}")


def errors(test: AppTest) -> dict[str, float]:
    """Layer -> height of its bar; none where nothing is drawn."""
    for chart in test.get("plotly_chart"):
        (bars, *_) = json.loads(chart.proto.spec)["data"]
        if "the answers" in (bars.get("x") or ()):
            return dict(zip(bars["x"], (float(word.strip("% ")) for word in bars["text"]), strict=True))
    return {}


def test_the_errors_move_with_the_slider_where_a_run_has_trained_the_teacher(desk: Foretelling, shelf: Shelf) -> None:
    written(shelf, recipe(ratio=0.8))
    test = opened(recipe().to_text())
    said = told(test, "is off most")
    assert "multiply-accumulates" in said
    assert "Before it has learned it is right for" in said
    assert "is known once" not in said
    rough = errors(test)
    assert list(rough) == LAYERS
    control(test.slider, "scheme.ratio").set_value(0.6).run()
    told(test, "is off most")
    fine = errors(test)
    assert all(fine[layer] < rough[layer] for layer in LAYERS[:-1])
    assert draft(test).scheme.settings["ratio"] == 0.6
    assert desk.launched == []


def test_without_the_teacher_it_says_when_the_error_is_known_and_then_says_it(desk: Foretelling, shelf: Shelf) -> None:
    test = opened(recipe().to_text())
    said = told(test, "is known once a run has trained this teacher")
    assert "of the teacher's" in said
    assert not errors(test)
    test.run()
    assert len(desk.asked) == 1  # nothing has changed
    written(shelf, recipe())
    test.run()
    told(test, "is off most")
    assert list(errors(test)) == LAYERS


def test_a_narrower_student_has_no_layers_to_compare_but_answers(desk: Foretelling, shelf: Shelf) -> None:
    written(shelf, recipe())
    test = opened(recipe("narrow").to_text())
    assert "off most" not in told(test, "The student's answers are off by")
    assert list(errors(test)) == ["the answers"]


def test_what_is_wrong_is_said_and_other_schemes_are_not_asked(desk: Foretelling) -> None:
    opened()
    opened(recipe("lowrank", 5.0).to_text())
    assert desk.asked == []
    desk.problem = "The computing process broke: <b>it said nothing"
    told(opened(recipe().to_text()), "This cannot be said now: The computing process broke: <b>it said nothing")
