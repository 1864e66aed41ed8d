"""The gap on an empty shelf and on really trained runs, section by section."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

import app.section
from app.section import sections
from app.views.waiting import BLANK, COMING
from kdcore.answer import Answer
from kdcore.events import Snapshot
from kdcore.launch import AskError
from kdcore.patience import Waits
from kdcore.run import Run
from kdcore.runs import Shelf
from tests.app.asking import Answering, on_pictures, on_points, words

RECIPES = {"pictures": on_pictures(2), "points": on_points()}


def show_gap() -> None:
    from app.screens.gap import show

    show()


def open_gap(run: str = "", section: str = "") -> AppTest:
    page = AppTest.from_function(show_gap, default_timeout=60)
    if run:
        page.query_params["run"] = run
    if section:
        page.query_params["show"] = section
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def film(page: AppTest) -> dict:
    return player(page)["film"]


def player(page: AppTest) -> dict:
    """What the film component was given; other components may stand before it."""
    return next(data for one in page.get("bidi_component") if "film" in (data := json.loads(one.proto.json)))


def test_an_empty_shelf_leads_to_begin(shelf: Shelf) -> None:
    page = open_gap()
    assert page.button(key="look.begin").label == "Begin a distillation"


def test_a_finished_run_opens_with_fidelity_and_asks_for_nothing_else(
    written: Callable[..., Run], desk: Answering
) -> None:
    page = open_gap(written().id)
    assert "gives the teacher's answer for" in film(page)["frames"][-1]["says"]
    assert {probe for probe, *_ in desk.asked} == {"fidelity"}


@pytest.mark.parametrize(
    ("section", "probe", "says"),
    [
        ("Calibration", "calibration", "Expected calibration error (15 bins"),
        ("Classes", "confusion", "Against the student alone"),
    ],
)
def test_films_of_the_other_sections(
    section: str, probe: str, says: str, written: Callable[..., Run], desk: Answering
) -> None:
    page = open_gap(written().id, section)
    assert says in film(page)["frames"][-1]["says"]
    assert {asked for asked, *_ in desk.asked} == {probe}


def test_a_choice_in_a_section_never_clears_its_place_and_another_section_says_what_is_coming(
    written: Callable[..., Run], desk: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[str] = []
    empty, caption = st.empty, DeltaGenerator.caption
    # The delta of an `st.empty()` takes away what stood in its place, unless the one that fills it comes with it.
    monkeypatch.setattr(
        app.section, "st", SimpleNamespace(**{**vars(st), "empty": lambda: cleared.append("") or empty()})
    )
    said: list[str] = []
    monkeypatch.setattr(DeltaGenerator, "caption", lambda self, body, **more: said.append(body) or caption(self, body))
    at_once = desk.ask

    def slowly(*asked: Any, waits: Waits) -> Answer:
        time.sleep(2 * BLANK)
        waits(0.5)
        waits(0.7)
        return at_once(*asked, waits=waits)

    run, other = written(), written("points")
    page = open_gap(run.id, "Calibration")
    monkeypatch.setattr(desk, "ask", slowly)
    page.selectbox(key="choice.bins").select(10).run()
    assert "(10 bins" in film(page)["frames"][-1]["says"]
    assert (cleared, said.count(COMING)) == ([], 0), "that of other bins is the section's own"
    page.segmented_control[0].set_value("Classes").run()
    assert not page.exception
    assert "Against the student alone" in film(page)["frames"][-1]["says"]
    assert page.query_params["show"] == "Classes"
    assert (len(cleared), said.count(COMING)) == (1, 1)
    assert COMING not in words(page), "it goes with the answer"
    page.segmented_control[0].set_value("Calibration").run()
    assert "(10 bins" in film(page)["frames"][-1]["says"]
    assert (len(cleared), said.count(COMING)) == (2, 1), "what is there at once needs no word"
    page.selectbox(key=f"look.run.{run.id}").select(other.id).run()
    assert "bins" in film(page)["frames"][-1]["says"]
    assert (len(cleared), said.count(COMING)) == (3, 2), "another run's picture would be taken for this one's"


def test_another_number_of_bins_is_another_question(written: Callable[..., Run], desk: Answering) -> None:
    page = open_gap(written().id, "Calibration")
    page.selectbox(key="choice.bins").select(10).run()
    assert not page.exception
    assert desk.asked[-1][:2] == ("calibration", {"bins": 10})
    assert "(10 bins" in film(page)["frames"][-1]["says"]


def test_whoever_is_sent_a_link_sees_the_same(written: Callable[..., Run], desk: Answering) -> None:
    said = {
        "Calibration": {"bins": "10"},
        "Embeddings": {"way": "t-SNE"},
        "Loss landscape": {"loss": "KL to the teacher"},
    }
    for section, choice in said.items():
        page = AppTest.from_function(show_gap, default_timeout=60)
        page.query_params.update({"run": written().id, "show": section, **choice})
        page.run()
        assert not page.exception
    asked = [(probe, settings) for probe, settings, _ in desk.asked]
    assert ("calibration", {"bins": 10}) in asked
    assert ("embeddings", {"way": "tsne"}) in asked
    assert ("loss_line", {"loss": "kl", "batch_norm": "re-estimated"}) in asked
    assert not [settings for probe, settings in asked if probe == "calibration" and settings != {"bins": 10}]


def test_every_temperature_comes_with_the_film(written: Callable[..., Run], desk: Answering) -> None:
    page = open_gap(written().id, "Dark knowledge")
    assert film(page)["lens"]["values"][0] == "1"
    assert [len(frame["lenses"]) for frame in film(page)["frames"]] == [9]
    (frame,) = film(page)["frames"]
    assert frame["lenses"][4]["near"] == frame["near"], "T = 4 is the fifth"
    assert frame["lenses"][0]["of"].endswith("at T = 1")
    assert [probe for probe, *_ in desk.asked] == ["dark_knowledge"]
    page.number_input[0].set_value(7).run()
    assert not page.exception
    assert "test picture 7" in film(page)["frames"][-1]["lenses"][3]["texts"][-1]["text"]
    assert page.query_params["test"] == "7", "the picture stands in the address"


def test_embeddings_in_both_ways(written: Callable[..., Run], desk: Answering) -> None:
    page = open_gap(written().id, "Embeddings")
    assert [trace["name"] for trace in film(page)["traces"]] == ["Teacher", "Student", "Student alone"]
    assert "PCA 1" in json.dumps(film(page)["layout"])
    page.selectbox(key="choice.way").select("tsne").run()
    assert not page.exception
    assert "t-SNE 1" in json.dumps(film(page)["layout"])


def test_a_class_chosen_stands_out_in_the_embeddings(written: Callable[..., Run]) -> None:
    page = open_gap(written().id, "Embeddings")
    assert player(page)["standing"] == []
    next(box for box in page.selectbox if box.label == "Class").select(3).run()
    assert not page.exception
    standing = player(page)["standing"]
    texts = film(page)["traces"][0]["text"]
    assert standing == [row for row, text in enumerate(texts) if ": a 3," in text] != []
    assert page.query_params["class"] == "3"


def test_a_test_input_chosen_elsewhere_stands_out_in_the_embeddings_with_its_picture(
    written: Callable[..., Run],
) -> None:
    page = AppTest.from_function(show_gap, default_timeout=60)
    page.query_params["run"], page.query_params["show"] = written().id, "Embeddings"
    page.query_params["test"] = "5"
    page.run()
    assert not page.exception
    (row,) = player(page)["standing"]
    assert "5" in film(page)["traces"][0]["text"][row]
    cards = "".join(one.proto.body for one in page.get("html"))
    assert "Test input 5, class" in cards
    assert "Test input #5 is chosen for all panels" in words(page)
    page.query_params["test"] = "7"
    page.run()
    assert player(page)["standing"] == []
    assert "Test input #7 is chosen; it is not among the 400" in words(page)


def test_a_strip_says_at_each_epoch_who_is_nearer_to_the_teacher(written: Callable[..., Run]) -> None:
    told = film(open_gap(written().id))
    assert list(told["near"]["networks"]) == ["teacher", "student", "baseline"]
    assert told["near"]["of"] == "test pictures answered alike"
    for frame in told["frames"]:
        assert {part: 0.0 <= share <= 1.0 for part, share in frame["near"].items()} == {
            "student": True,
            "baseline": True,
        }


@pytest.mark.parametrize(
    ("section", "of"),
    [
        ("Calibration", "what the diagrams have in common"),
        ("Classes", "what the answers to each class have in common"),
        ("Dark knowledge", "correlation of the likenesses at T = 4"),
        ("Embeddings", "nearest 10 neighbours that are the same"),
        ("Loss landscape", "probability on the same classes"),
    ],
)
def test_every_section_that_compares_networks_has_the_strip(section: str, of: str, written: Callable[..., Run]) -> None:
    told = film(open_gap(written().id, section))
    assert told["near"]["of"] == of
    assert all(set(frame["near"]) == {"student", "baseline"} for frame in told["frames"])


@pytest.mark.parametrize("section", ["Classes", "Dark knowledge"])
def test_a_class_chosen_elsewhere_is_framed_and_a_field_can_be_clicked(
    section: str, written: Callable[..., Run]
) -> None:
    page = AppTest.from_function(show_gap, default_timeout=60)
    page.query_params.update({"run": written().id, "show": section, "class": "3"})
    page.run()
    assert not page.exception
    frames = [shape for shape in film(page)["layout"]["shapes"] if shape["type"] == "rect" and shape["x1"] == 9.5]
    assert frames
    assert {(shape["y0"], shape["y1"]) for shape in frames} == {(2.5, 3.5)}
    assert player(page)["cells"], "a field can be clicked"


def test_without_a_class_nothing_is_framed(written: Callable[..., Run]) -> None:
    assert "shapes" not in film(open_gap(written().id, "Classes"))["layout"]


def test_points_have_no_picture_but_an_answer(written: Callable[..., Run]) -> None:
    run = written("points")
    page = open_gap(run.id, "Dark knowledge")
    assert "to the same class" in film(page)["frames"][-1]["says"], "two classes have likenesses too"
    assert "points" in film(open_gap(run.id))["frames"][-1]["says"]


def test_a_refusal_is_a_sentence(written: Callable[..., Run], desk: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Answer:
        raise AskError("the snapshot does not fit its recipe")

    monkeypatch.setattr(desk, "ask", refuse)
    run = written()
    recorded, of_shapes = "Gradients", "Visual concepts"  # nobody is asked for those here
    for section in [one.title for one in sections("gap") if one.title not in (recorded, of_shapes)]:
        page = open_gap(run.id, section)
        assert "the snapshot does not fit its recipe" in words(page)


def test_before_the_student_is_taught_it_says_so(written: Callable[..., Run]) -> None:
    run = written("pictures", lambda event: not (isinstance(event, Snapshot) and event.phase == 2))
    page = open_gap(run.id)
    assert "has not begun to learn" in words(page) or "before its student was taught" in words(page)
