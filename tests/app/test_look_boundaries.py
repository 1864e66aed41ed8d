"""The section Activation boundaries on a run on points and on one on pictures, both really trained."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from kdcore.run import Run
from tests.app.asking import on_pictures, on_points, words

RECIPES = {
    "pictures": on_pictures(2, methods=[{"is": "ce"}, {"is": "ab", "margin": 2.0}]),
    "points": on_points(2),
    "in a stage of its own": on_pictures(2, methods=[{"is": "kd"}, {"is": "ab", "own_stage": 0.5}]),
}
DRAWINGS = (
    "In a plane", "Along a line", "Neurons like the teacher's", "Neurons that flip", "Distance to the boundary",
)  # fmt: skip


def look() -> None:
    from app.screens.look import show

    show()


def opened(run: Run, drawing: str) -> AppTest:
    page = AppTest.from_function(look, default_timeout=60)
    page.query_params["run"], page.query_params["view"] = run.id, "Activation boundaries"
    page.query_params["drawing"] = drawing
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def last(page: AppTest, number: int = 0) -> dict:
    """The last frame of a film on the page."""
    return json.loads(page.get("bidi_component")[number].proto.json)["film"]["frames"][-1]


def chosen(page: AppTest, label: str, option: str) -> None:
    next(box for box in page.selectbox if box.label == label).select(option).run()
    assert not page.exception, page.exception[0].value


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("points", ("test points", "Linear regions met", "switched the same way", "changed since", "the other side")),
        ("pictures", ("of this plane", "Linear regions met", "switched the same way", "changed since", "but within 2")),
    ],
)
def test_every_drawing_has_its_film(written: Callable[[str], Run], kind: str, said: tuple[str, ...]) -> None:
    run = written(kind)
    for drawing, expected in zip(DRAWINGS, said, strict=True):
        page = opened(run, drawing)
        assert expected in last(page)["says"], drawing
        assert page.caption, "each says how to read it"


@pytest.mark.parametrize("kind", ["points", "pictures"])
def test_the_plane_can_be_coloured_by_equal_signs(written: Callable[[str], Run], kind: str) -> None:
    page = opened(written(kind), "In a plane")
    chosen(page, "Colour", "Signs like the teacher's")
    assert "neurons as the teacher does" in last(page)["says"]
    assert "The lighter" in words(page)


def test_pictures_can_be_chosen_and_a_wrong_choice_is_a_sentence(written: Callable[[str], Run]) -> None:
    page = opened(written("pictures"), "In a plane")
    before = last(page)["texts"]
    boxes = [box for box in page.number_input if box.label.startswith("Picture")]
    assert [box.value for box in boxes] == [None] * 3
    boxes[0].set_value(7).run()
    assert any("(#7)" in text["text"] for text in last(page)["texts"])
    assert last(page)["texts"] != before
    next(box for box in page.number_input if box.label == "Picture 2").set_value(7).run()
    assert not page.exception
    assert "one stands twice" in words(page)


def test_the_picture_of_all_panels_is_the_first_and_the_others_stand_in_the_address(
    written: Callable[[str], Run],
) -> None:
    page = AppTest.from_function(look, default_timeout=60)
    for name, value in {
        "run": written("pictures").id, "view": "Activation boundaries", "drawing": "In a plane", "picture": "7",
        "third": "11", "second": "99999",
    }.items():  # fmt: skip
        page.query_params[name] = value
    page.run()
    assert not page.exception, page.exception[0].value
    boxes = [box for box in page.number_input if box.label.startswith("Picture")]
    assert [box.value for box in boxes] == [7, None, 11]
    assert "second=99999" in words(page)
    shown = " ".join(text["text"] for text in last(page)["texts"])
    assert "(#7)" in shown
    assert "(#11)" in shown
    boxes[1].set_value(9).run()
    assert not page.exception
    assert page.query_params["second"] in ("9", ["9"])
    assert page.query_params["picture"] in ("7", ["7"])


def test_where_a_connector_for_signs_can_be_seen_is_said(written: Callable[[str], Run]) -> None:
    found = "Through a connector for signs the student is seen under Phase, “Activation boundaries (AB)"
    for drawing in (DRAWINGS[2], DRAWINGS[4]):
        assert found not in words(opened(written("pictures"), drawing)), "AB teaches in this very phase"
        assert found in words(opened(written("in a stage of its own"), drawing))


def test_a_line_between_two_chosen_pictures(written: Callable[[str], Run]) -> None:
    page = opened(written("pictures"), "Along a line")
    next(box for box in page.number_input if box.label == "Picture 2").set_value(5).run()
    assert not page.exception
    film = json.loads(page.get("bidi_component")[0].proto.json)["film"]
    assert "(#5)" in film["layout"]["xaxis4"]["title"]["text"]


def test_a_line_through_points_goes_the_chosen_way(written: Callable[[str], Run]) -> None:
    page = opened(written("points"), "Along a line")
    first = last(page)["says"]
    chosen(page, "Line", "From corner to corner")
    assert "diagonal" in words(page)
    assert last(page)["says"] != first


def test_single_neurons_stand_below_their_layers(written: Callable[[str], Run]) -> None:
    page = opened(written("points"), "Neurons like the teacher's")
    assert len(page.get("bidi_component")) == 2
    assert "Mean over layers" in last(page, 1)["says"]


def test_flips_can_be_counted_since_the_snapshot_before(written: Callable[[str], Run]) -> None:
    page = opened(written("points"), "Neurons that flip")
    chosen(page, "Compared", "Since the snapshot before")
    assert "since the snapshot before" in last(page)["says"]


def test_the_margin_of_the_run_is_marked_as_its_own(written: Callable[[str], Run]) -> None:
    texts = [text["text"] for text in last(opened(written("pictures"), "Distance to the boundary"))["texts"]]
    assert "2: this run's AB margin" in texts
    texts = [text["text"] for text in last(opened(written("points"), "Distance to the boundary"))["texts"]]
    assert any("does not use it" in text for text in texts)
