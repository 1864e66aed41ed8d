"""The loss landscape and visual concepts on the page, on really trained runs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from kdcore.catalog import catalog
from kdcore.check import faults
from kdcore.events import Snapshot
from kdcore.recipe import Recipe
from kdcore.run import Run
from tests.app.asking import Answering, on_points, stills, words

LINE, CONCEPTS = "Loss landscape", "Visual concepts"
SMALL = {
    "teacher": {"is": "plain", "width": 4, "stage_count": 2},
    "student": {"is": "plain", "width": 2, "stage_count": 2},
    "training": {"epochs": 1, "teacher_epochs": 1, "batch": 64},
}
DRAWN = {"is": "shapes", "size": 110, "classes": 3, "clutter": 0}
RECIPES = {
    "digits": Recipe.from_json({**SMALL, "data": {"is": "digits", "train_size": 150}}),
    "shapes": Recipe.from_json({**SMALL, "data": DRAWN}),
    "no student alone": Recipe.from_json({**SMALL, "data": DRAWN, "scheme": {"is": "offline", "baseline": False}}),
    "points": on_points(),
}


def show_gap() -> None:
    from app.screens.gap import show

    show()


def open_gap(run: Run, section: str) -> AppTest:
    page = AppTest.from_function(show_gap, default_timeout=120)
    page.query_params["run"] = run.id
    page.query_params["show"] = section
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def figures(page: AppTest) -> list[dict]:
    return stills(page)


@pytest.mark.parametrize("kind", ["digits", "points"])
def test_the_line_is_a_film_over_the_epochs(kind: str, written: Callable[..., Run], desk: Answering) -> None:
    page = open_gap(written(kind), LINE).run()
    film = json.loads(page.get("bidi_component")[0].proto.json)["film"]
    assert "nats at the student alone and" in film["frames"][-1]["says"]
    assert len(film["frames"]) == 2
    assert {asked[0] for asked in desk.asked} == {"loss_line"}
    page.selectbox(key="choice.loss").select("kl").run()
    assert not page.exception
    assert desk.asked[-1][1] == {"loss": "kl", "batch_norm": "re-estimated"}


def test_the_plane_is_drawn_for_the_chosen_epoch(written: Callable[..., Run], desk: Answering) -> None:
    run = written("points")
    page = open_gap(run, LINE)
    page.selectbox(key="choice.walk").select("plane").run()
    assert not page.exception
    told = next(data["film"] for one in page.get("bidi_component") if "film" in (data := json.loads(one.proto.json)))
    assert told["near"]["of"] == "probability on the same classes"
    assert set(told["frames"][0]["near"]) == {"student", "baseline"}
    (figure,) = figures(page)
    assert [trace["name"] for trace in figure["data"] if trace["type"] == "contour"] == ["student", "baseline"]
    assert "At a distance of 0.4 filter lengths" in words(page)
    assert "validation points" in words(page)
    first, last = [snapshot.name for snapshot in run.history().phases[-1].snapshots]
    assert desk.asked[-1][2] == last
    page.select_slider[0].set_value(first).run()
    assert desk.asked[-1] == ("loss_plane", {"loss": "cross_entropy", "batch_norm": "kept"}, first)


def test_of_other_data_a_recipe_with_shapes_is_offered(written: Callable[..., Run], gone: list) -> None:
    page = open_gap(written("digits"), CONCEPTS)
    assert "data set shapes" in page.info[0].value
    page.button(key="gap.concepts.shapes").click().run()
    (where, named) = gone[-1]
    assert where == "begin"
    assert named["recipe"].data.key == "shapes"
    assert faults(named["recipe"], catalog()) == []


def test_without_a_student_alone_the_line_says_so_and_the_plane_is_there(written: Callable[..., Run]) -> None:
    run = written("no student alone")
    page = open_gap(run, LINE)
    assert "trained no student alone" in words(page)
    page.selectbox(key="choice.walk").select("plane").run()
    assert [trace["name"] for trace in figures(page)[0]["data"] if trace["type"] == "contour"] == ["student"]


def test_concepts_are_counted_for_all_three_networks_over_their_own_training(
    written: Callable[..., Run], desk: Answering
) -> None:
    run = written("shapes")
    page = open_gap(run, CONCEPTS)
    page.selectbox(key="choice.counted").select(4).run()
    for _ in range(8):
        page.run()
    assert not page.exception
    maps, curves = figures(page)
    assert [trace["name"] for trace in maps["data"] if trace["type"] == "heatmap"] == ["teacher", "student", "baseline"]
    assert len([trace for trace in curves["data"] if "Student alone" in trace["name"]]) == 2
    assert "At the end the student holds" in words(page)
    asked = {(settings["of"], snapshot) for _, settings, snapshot in desk.asked if settings["pictures"] == 4}
    names = [[snapshot.name for snapshot in phase.snapshots] for phase in run.history().phases]
    wanted = {("teacher", names[2][-1])} | {("student", name) for name in names[2]}
    assert asked == wanted | {("baseline", name) for name in names[1]}
    rows = page.dataframe[0].value
    assert list(rows["network"]) == ["Teacher", "Student", "Student alone"]
    page.number_input[0].set_value(3).run()
    assert "Picture 3" in figures(page)[0]["layout"]["annotations"][0]["text"]
    assert page.query_params["picture"] == "3", "chosen for all panels"
    first = names[2][0]
    page.select_slider[0].set_value(first).run()
    assert page.query_params["epoch"] == "0", "and so is the epoch"
    strip = next(one.proto.body for one in page.get("html") if "kdlab-near" in one.proto.body)
    assert "cells that are a concept for both" in strip
    assert {part for part in ("student", "baseline", "teacher") if f'dot {part}' in strip} == {
        "student", "baseline", "teacher",
    }  # fmt: skip


def test_counting_can_be_stopped_and_taken_up_again(
    written: Callable[..., Run], desk: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.sections.gap import concepts

    monkeypatch.setattr(concepts, "PATIENCE", 0.0)
    page = open_gap(written("shapes"), CONCEPTS)
    page.selectbox(key="choice.counted").select(4).run()
    if not page.get("progress"):
        pytest.fail("nothing is left to count")
    page.button(key="gap.concepts.stop").click().run()
    asked = len(desk.asked)
    page.run()
    assert len(desk.asked) == asked, "nobody is asked any more"
    assert "Count the other" in page.button(key="gap.concepts.stop").label
    assert len(figures(page)) == 2, "what is there stays"
    page.button(key="gap.concepts.stop").click().run()
    assert len(desk.asked) > asked


def test_a_picture_beyond_those_that_are_counted_on_is_said(written: Callable[..., Run]) -> None:
    page = AppTest.from_function(show_gap, default_timeout=120)
    page.query_params.update({"run": written("shapes").id, "show": CONCEPTS, "picture": "9"})
    page.run()
    assert not page.exception
    assert "Validation picture 9 is chosen; concepts are counted on the first 8 only." in words(page)


def test_concepts_without_a_student_alone_are_the_other_twos(written: Callable[..., Run]) -> None:
    page = open_gap(written("no student alone"), CONCEPTS)
    for _ in range(6):
        page.run()
    assert not page.exception
    assert "student alone" not in next(line for line in words(page).split("\n") if "At the end the student" in line)


@pytest.mark.parametrize(("kind", "key"), [("digits", "digits"), ("points", "toy2d")])
def test_other_data_are_refused_in_one_sentence(kind: str, key: str, written: Callable[..., Run]) -> None:
    page = open_gap(written(kind), CONCEPTS)
    assert f"this run has {key}" in words(page)
    assert not stills(page)
    assert not page.select_slider, "no control of what is not there"


@pytest.mark.parametrize("section", [LINE, CONCEPTS])
def test_a_run_without_snapshots_has_nothing_to_look_into(section: str, written: Callable[..., Run]) -> None:
    page = open_gap(written("shapes", said=lambda event: None if isinstance(event, Snapshot) else event), section)
    assert "without a snapshot" in words(page)
