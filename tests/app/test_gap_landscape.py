"""The loss landscape and visual concepts on the page, on really trained runs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

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
    page.selectbox(key="gap.landscape.loss").select("kl").run()
    assert not page.exception
    assert desk.asked[-1][1] == {"loss": "kl", "batch_norm": "re-estimated"}


def test_the_plane_is_drawn_for_the_chosen_epoch(written: Callable[..., Run], desk: Answering) -> None:
    run = written("points")
    page = open_gap(run, LINE)
    page.selectbox(key="gap.landscape.shape").select("plane").run()
    assert not page.exception
    (figure,) = figures(page)
    assert [trace["name"] for trace in figure["data"] if trace["type"] == "contour"] == ["student", "baseline"]
    assert "At a distance of 0.4 filter lengths" in words(page)
    assert "validation points" in words(page)
    first, last = [snapshot.name for snapshot in run.history().phases[-1].snapshots]
    assert desk.asked[-1][2] == last
    page.select_slider[0].set_value(first).run()
    assert desk.asked[-1] == ("loss_plane", {"loss": "cross_entropy", "batch_norm": "kept"}, first)


def test_without_a_student_alone_the_line_says_so_and_the_plane_is_there(written: Callable[..., Run]) -> None:
    run = written("no student alone")
    page = open_gap(run, LINE)
    assert "trained no student alone" in words(page)
    page.selectbox(key="gap.landscape.shape").select("plane").run()
    assert [trace["name"] for trace in figures(page)[0]["data"] if trace["type"] == "contour"] == ["student"]


def test_concepts_are_counted_for_all_three_networks_over_their_own_training(
    written: Callable[..., Run], desk: Answering
) -> None:
    run = written("shapes")
    page = open_gap(run, CONCEPTS)
    page.selectbox(key="gap.concepts.count").select(4).run()
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


@pytest.mark.parametrize("section", [LINE, CONCEPTS])
def test_a_run_without_snapshots_has_nothing_to_look_into(section: str, written: Callable[..., Run]) -> None:
    page = open_gap(written("shapes", said=lambda event: None if isinstance(event, Snapshot) else event), section)
    assert "without a snapshot" in words(page)
