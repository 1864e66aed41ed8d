"""Look inside: what the methods of a run compare, and which channels are partners, on really trained runs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from kdcore.run import Run
from tests.app.asking import on_pictures, on_points, words

GAUSSIAN = {"is": "nst", "kernel": "gaussian"}
RECIPES = {
    "pictures": on_pictures(methods=[{"is": "ce"}, {"is": "at"}, {"is": "rkd"}, GAUSSIAN]),
    "points": on_points(),
    "flat": on_pictures(methods=[{"is": "ce"}, {"is": "sp"}], student={"is": "mlp", "width": 6}),
    "in stages": on_pictures(2, methods=[{"is": "kd"}, {"is": "ab", "own_stage": 0.5}]),
    "nothing to show": on_pictures(methods=[{"is": "ce"}, GAUSSIAN]),
}
COMPARED, PARTNERS = "What the method compares", "Channel partners"


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
    page = open_look(written("pictures").id, COMPARED)
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
    run = written("pictures")
    page = open_look(run.id, COMPARED, "rkd")
    assert "distances and angles" in shown(page)["film"]["frames"][-1]["says"]
    page = open_look(run.id, COMPARED, "vid")
    assert "method=vid: this run can show at, rkd" in words(page).replace("\\", "")
    assert "attention map" in shown(page)["film"]["frames"][-1]["says"]


def test_a_method_that_teaches_in_another_phase_is_found_there(written: Callable[..., Run]) -> None:
    run = written("in stages")
    page = open_look(run.id, COMPARED)
    assert box(page, "Method").options == ["Soft targets (KD)"]
    assert "Under Phase, choose “Activation boundaries (AB): the student learns by it alone”" in words(page)
    page = open_look(run.id, COMPARED, "ab")
    assert "method=ab: it is compared in another phase; choose “Activation bound" in words(page).replace("\\", "")
    page = AppTest.from_function(look, default_timeout=60)
    named = {"run": run.id, "view": COMPARED, "method": "ab"}
    staged = next(phase for phase in run.history().phases if phase.title.startswith("Activation boundaries"))
    for name, value in {**named, "phase": str(staged.number + 1)}.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    assert box(page, "Method").value == "ab"
    assert "Compared: " in shown(page)["film"]["frames"][-1]["says"]
    assert "choose “The student learns from the teacher”" in words(page)


def test_one_of_what_is_compared_can_be_chosen_alone(written: Callable[..., Run]) -> None:
    page = open_look(written("pictures").id, COMPARED)
    choice = box(page, "What it compares")
    assert choice.options[:2] == ["all of them", "attention map, stage 1 ↔ stage 1"]
    before = len(shown(page)["film"]["frames"][-1]["traces"])
    choice.select_index(1).run()
    assert not page.exception
    assert before == 2 * len(shown(page)["film"]["frames"][-1]["traces"]) == 10


def test_another_picture_is_another_film(written: Callable[..., Run]) -> None:
    for view in (COMPARED, PARTNERS):
        page = open_look(written("pictures").id, view)
        before = shown(page)["film"]["traces"]
        page.number_input[0].set_value(5).run()
        assert not page.exception
        assert shown(page)["film"]["traces"] != before
        assert "validation picture 5" in shown(page)["film"]["frames"][-1]["says"]


def test_partners_of_any_pair_of_layers(written: Callable[..., Run]) -> None:
    page = open_look(written("pictures").id, PARTNERS)
    film = shown(page)["film"]
    assert "the student" in film["frames"][-1]["says"]
    assert {trace.get("name") for trace in film["traces"]} >= {"Student", "Teacher", "Student alone", "link"}
    box(page, "Layer of the teacher").select_index(3).run()
    assert "stage 3 of the teacher" in words(page)


@pytest.mark.parametrize(
    ("view", "why"),
    [(PARTNERS, "The student's neurons have no place in a picture"), (COMPARED, "Many pictures are compared")],
)
def test_a_picture_that_is_not_shown_cannot_be_chosen_and_it_says_why(
    view: str, why: str, written: Callable[..., Run]
) -> None:
    page = open_look(written("flat").id, view)
    assert [choice.disabled for choice in page.number_input if choice.label == "Picture"] == [True]
    assert why in words(page)
    assert shown(page)["film"]["frames"]
    page = open_look(written("pictures").id, view)
    assert [choice.disabled for choice in page.number_input if choice.label == "Picture"] == [False]


@pytest.mark.parametrize("view", [COMPARED, PARTNERS])
def test_points_have_them_too(view: str, written: Callable[..., Run]) -> None:
    page = open_look(written("points").id, view)
    assert not page.number_input
    assert shown(page)["film"]["frames"]


def test_a_run_with_nothing_to_lay_side_by_side_says_why(written: Callable[..., Run]) -> None:
    page = open_look(written("nothing to show").id, COMPARED)
    assert "infinitely many features" in words(page)
    assert not page.get("bidi_component")
