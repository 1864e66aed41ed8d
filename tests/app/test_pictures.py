"""The page Pictures on an empty shelf, on runs that have nothing to show, and on a really trained one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from kdcore.answer import Answer
from kdcore.events import Event, Snapshot
from kdcore.processes import this_process
from kdcore.run import Run
from kdcore.runs import Shelf
from tests.app.asking import Answering, on_pictures, on_points, stills, words

RECIPES = {"pictures": on_pictures(2), "points": on_points()}


def pictures() -> None:
    from app.screens.pictures import show

    show()


def open_pictures(**params: str) -> AppTest:
    page = AppTest.from_function(pictures, default_timeout=60)
    for name, value in params.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def cards(page: AppTest) -> dict:
    return json.loads(page.get("bidi_component")[0].proto.json)


def maps(page: AppTest) -> dict:
    return stills(page)[0]


def choose(page: AppTest, label: str, option: str) -> AppTest:
    next(box for box in page.selectbox if box.label == label).select(option).run()
    assert not page.exception, page.exception[0].value
    return page


def test_an_empty_shelf_says_what_will_stand_here_and_leads_to_begin(shelf: Shelf) -> None:
    page = open_pictures()
    assert "on which student and teacher disagree" in words(page)
    assert page.button(key="pictures.begin").label == "Begin a distillation"


def test_a_finished_run_opens_on_its_worst_disagreement_with_reasons(
    written: Callable[..., Run], desk: Answering
) -> None:
    run = written()
    page = open_pictures()
    shown = cards(page)
    assert shown["chosen"] == shown["cards"][0]["place"]
    assert f"{len(shown['cards'])} pictures on which student and teacher disagree" in words(page)
    assert f"in validation picture {shown['chosen']}" in words(page)
    names = {trace["name"] for trace in maps(page)["data"]}
    assert {"teacher/Integrated Gradients", "student/Occlusion", "baseline/Grad-CAM, last layer"} <= names
    assert {moment for *_, moment in desk.asked} == {run.history().snapshots[-1].name}


def test_the_address_names_the_picture_and_the_pictures(written: Callable[..., Run]) -> None:
    run = written()
    place = cards(open_pictures(run=run.id, which="All pictures"))["cards"][3]["place"]
    page = open_pictures(run=run.id, which="All pictures", picture=str(place))
    assert cards(page)["chosen"] == place
    assert len(cards(page)["cards"]) == 30
    assert f"in validation picture {place}" in words(page)


@pytest.mark.parametrize("wrong", ["99999", "-1", "x", "<b>", "²"])
def test_a_picture_that_is_not_there_is_the_first(written: Callable[..., Run], wrong: str) -> None:
    page = open_pictures(run=written().id, picture=wrong)
    assert cards(page)["chosen"] == cards(page)["cards"][0]["place"]


def test_class_order_split_and_moment_are_asked_for(written: Callable[..., Run], desk: Answering) -> None:
    run = written()
    page = open_pictures(run=run.id)
    choose(page, "Class to explain", "explain class 3")
    assert desk.asked[-1][:2] == (
        "attribution",
        {
            "split": "validation", "picture": cards(page)["chosen"], "explained": 3, "student_layer": -1,
            "teacher_layer": -1,
        },
    )  # fmt: skip
    assert "What speaks for “3”" in words(page)
    choose(page, "First comes", "Teacher surest")
    assert desk.asked[-2][1]["order"] == "teacher surest"
    choose(page, "From", "test")
    assert "in test picture" in words(page)
    choose(page, "Moment", "epoch 1 of 2")
    assert desk.asked[-1][2] == run.history().phases[2].snapshots[1].name


def test_reasons_over_many_pictures_are_a_film(written: Callable[..., Run]) -> None:
    page = open_pictures(run=written().id, pictures="Over many pictures")
    film = cards(page)["film"]
    assert "the student agrees to" in film["frames"][0]["says"]
    assert not stills(page)


def test_a_strip_says_who_answers_more_of_the_pictures_as_the_teacher_does(
    written: Callable[..., Run], desk: Answering
) -> None:
    run = written()
    page = open_pictures(run=run.id)
    strip = next(one.proto.body for one in page.get("html") if "kdlab-near" in one.proto.body)
    answer = desk.ask(run.id, "disagreements", {}, run.history().snapshots[-1].name)
    assert "validation pictures answered alike" in strip
    for part, share in answer.nearness.items():
        assert re.search(rf'dot {part}( early)?" data-near="{share:.6g}"', strip)
    assert 'aria-label="How near to the teacher' in strip


def test_nothing_found_is_said(written: Callable[..., Run], desk: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = desk.ask

    def nothing(run_id: str, probe_key: str, settings: dict[str, object], snapshot: str, **how: object) -> Answer:
        found = ask(run_id, probe_key, settings, snapshot)
        return type(found)(**{**vars(found), "places": [], "title": "No picture"})

    monkeypatch.setattr(desk, "ask", nothing)
    page = open_pictures(run=written().id)
    assert "No picture" in words(page)
    assert "All pictures is never empty" in words(page)
    assert not page.get("bidi_component")


def test_of_points_the_whole_plane_is_seen_and_where_they_disagree(
    written: Callable[..., Run], desk: Answering
) -> None:
    page = open_pictures(run=written("points").id)
    told = next(data["film"] for one in page.get("bidi_component") if "film" in (data := json.loads(one.proto.json)))
    assert told["near"]["of"] == "test points decided alike"
    assert {probe for probe, *_ in desk.asked} == {"boundaries"}
    assert "learned from points in a plane" in words(page)


def test_a_damaged_snapshot_is_a_sentence(written: Callable[..., Run]) -> None:
    run = written()
    last = run.history().snapshots[-1].name
    (run.folder / "snapshots" / f"{last}.safetensors").write_bytes(b"broken")
    page = open_pictures(run=run.id)
    assert page.info
    assert not page.get("bidi_component")


def test_a_live_run_shows_its_newest_moment_and_offers_later_ones(
    written: Callable[..., Run], told: dict[str, list[Event]]
) -> None:
    last = [event for event in told["pictures"] if isinstance(event, Snapshot)][-1]
    run = written(goes_on=lambda event: event != last)
    run.begin(this_process("work"))
    page = open_pictures(run=run.id)
    assert cards(page)["cards"]
    assert "pictures.newer" not in {button.key for button in page.button}
    assert "newest epoch" in next(box for box in page.selectbox if box.label == "Moment").options


def test_before_the_student_is_taught_it_says_so(written: Callable[..., Run]) -> None:
    run = written(goes_on=lambda event: not (isinstance(event, Snapshot) and event.phase == 2))
    page = open_pictures(run=run.id)
    assert "has not begun to learn" in words(page) or "before its student was taught" in words(page)
