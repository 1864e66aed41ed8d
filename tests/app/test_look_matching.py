"""Look inside: what the methods of a run compare, and which channels are partners, on really trained runs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.views import scrubber
from kdcore.engine import run as train
from kdcore.events import Event
from kdcore.recipe import Recipe
from kdcore.run import Run
from kdcore.runs import Shelf
from tests.app.asking import Answering, words

PICTURES = Recipe.from_json(
    {
        "data": {"is": "digits", "train_size": 200},
        "teacher": {"is": "plain", "width": 6},
        "student": {"is": "plain", "width": 4, "stage_count": 2},
        "methods": [{"is": "ce"}, {"is": "at"}, {"is": "rkd"}, {"is": "nst", "kernel": "gaussian"}],
        "training": {"epochs": 1, "teacher_epochs": 1, "batch": 64},
    }
)
POINTS = Recipe.from_json(
    {
        "data": {"is": "toy2d", "size": 120},
        "teacher": {"is": "mlp", "width": 8},
        "student": {"is": "mlp", "width": 4},
        "training": {"epochs": 1, "teacher_epochs": 1, "batch": 32},
    }
)
LABELS_ONLY = Recipe.from_json(
    {**PICTURES.to_json(), "methods": [{"is": "ce"}, {"is": "nst", "kernel": "gaussian"}]}
)  # fmt: skip
COMPARED, PARTNERS = "What the method compares", "Channel partners"


@pytest.fixture(scope="module")
def told() -> dict[str, list[Event]]:
    """What small runs really said."""
    return {recipe.id: list(train(recipe)) for recipe in (PICTURES, POINTS, LABELS_ONLY)}


@pytest.fixture
def written(shelf: Shelf, told: dict[str, list[Event]], monkeypatch: pytest.MonkeyPatch) -> Callable[[Recipe], Run]:
    monkeypatch.setattr(state, "desk", lambda: Answering(shelf))
    scrubber.forget()

    def write(recipe: Recipe) -> Run:
        run, _ = shelf.create(recipe)
        for event in told[recipe.id]:
            run.append(event)
        return run

    return write


def look() -> None:
    from app.screens.look import show

    show()


def open_look(run: str, view: str, method: str = "") -> AppTest:
    page = AppTest.from_function(look, default_timeout=60)
    page.query_params["run"], page.query_params["view"] = run, view
    if method:
        page.query_params["method"] = method
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def shown(page: AppTest) -> dict:
    return json.loads(page.get("bidi_component")[0].proto.json)


def box(page: AppTest, label: str):
    return next(one for one in page.selectbox if one.label == label)


def test_the_methods_of_the_run_that_have_something_to_show_can_be_chosen(written: Callable[..., Run]) -> None:
    page = open_look(written(PICTURES).id, COMPARED)
    assert box(page, "Method").options == ["Attention transfer (AT)", "Relational distillation (RKD)"]
    assert "infinitely many features" in box(page, "Method").help
    frame = shown(page)["film"]["frames"][-1]
    assert frame["says"].startswith("Compared: attention map. Over ")
    assert "Drawn for validation picture 0" in frame["says"]
    names = [trace["name"] for trace in shown(page)["film"]["traces"]]
    assert names[:5] == ["Teacher", "Student", "Student alone", "Student − teacher", "Student alone − teacher"]
    box(page, "Method").select("Relational distillation (RKD)").run()
    assert not page.exception
    assert "ordered by class" in shown(page)["film"]["frames"][-1]["says"]
    assert box(page, "What it compares").options == ["all of them", "distances", "angles at the chosen input"]


def test_a_link_names_the_method_and_one_that_is_not_there_is_a_sentence(written: Callable[..., Run]) -> None:
    run = written(PICTURES)
    page = open_look(run.id, COMPARED, "rkd")
    assert "distances and angles" in shown(page)["film"]["frames"][-1]["says"]
    page = open_look(run.id, COMPARED, "vid")
    assert "method=vid: this run can show at, rkd" in words(page)
    assert "attention map" in shown(page)["film"]["frames"][-1]["says"]


def test_one_of_what_is_compared_can_be_chosen_alone(written: Callable[..., Run]) -> None:
    page = open_look(written(PICTURES).id, COMPARED)
    choice = box(page, "What it compares")
    assert choice.options[:2] == ["all of them", "attention map, stage 1 ↔ stage 1"]
    before = len(shown(page)["film"]["frames"][-1]["traces"])
    choice.select_index(1).run()
    assert not page.exception
    assert before == 2 * len(shown(page)["film"]["frames"][-1]["traces"]) == 10


def test_another_picture_is_another_film(written: Callable[..., Run]) -> None:
    for view in (COMPARED, PARTNERS):
        page = open_look(written(PICTURES).id, view)
        before = shown(page)["film"]["traces"]
        page.number_input[0].set_value(5).run()
        assert not page.exception
        assert shown(page)["film"]["traces"] != before
        assert "validation picture 5" in shown(page)["film"]["frames"][-1]["says"]


def test_partners_of_any_pair_of_layers(written: Callable[..., Run]) -> None:
    page = open_look(written(PICTURES).id, PARTNERS)
    film = shown(page)["film"]
    assert "the student" in film["frames"][-1]["says"]
    assert {trace.get("name") for trace in film["traces"]} >= {"Student", "Teacher", "Student alone", "link"}
    box(page, "Layer of the teacher").select_index(3).run()
    assert "stage 3 of the teacher" in words(page)


@pytest.mark.parametrize("view", [COMPARED, PARTNERS])
def test_points_have_them_too(view: str, written: Callable[..., Run]) -> None:
    page = open_look(written(POINTS).id, view)
    assert not page.number_input
    assert shown(page)["film"]["frames"]


def test_a_run_with_nothing_to_lay_side_by_side_says_why(written: Callable[..., Run]) -> None:
    page = open_look(written(LABELS_ONLY).id, COMPARED)
    assert "infinitely many features" in words(page)
    assert not page.get("bidi_component")
