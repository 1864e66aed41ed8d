"""Look inside on an empty shelf, on runs that have nothing to show, and on really trained ones."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.views import scrubber
from kdcore.answer import Answer, answer_from_bytes
from kdcore.catalog import PROBES
from kdcore.engine import run as train
from kdcore.events import Event, Snapshot
from kdcore.launch import AskError
from kdcore.recipe import Recipe
from kdcore.revive import revive
from kdcore.run import Run
from kdcore.runs import Shelf

PICTURES = Recipe.from_json(
    {
        "data": {"is": "digits", "train_size": 200},
        "teacher": {"is": "plain", "width": 6},
        "student": {"is": "plain", "width": 4, "stage_count": 2},
        "methods": [{"is": "ce"}, {"is": "semckd"}, {"is": "ab"}],
        "training": {"epochs": 2, "teacher_epochs": 1, "batch": 64},
    }
)
POINTS = Recipe.from_json(
    {
        "data": {"is": "toy2d", "size": 120},
        "teacher": {"is": "mlp", "width": 8},
        "student": {"is": "mlp", "width": 4},
        "training": {"epochs": 2, "teacher_epochs": 2, "batch": 32},
    }
)
MAPS, BOUNDARIES, LAYERS = "Feature maps", "Activation boundaries", "Layer assignment"


class Answering:
    """Answers in this process as a worker does, without one."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def ask(self, run_id: str, probe_key: str, settings: dict[str, object], snapshot: str) -> Answer:
        try:
            answer = PROBES[probe_key](**settings).ask(revive(self.shelf.run(run_id), snapshot))
        except ValueError as error:
            raise AskError(str(error)) from error
        return answer_from_bytes(answer.to_bytes())


@pytest.fixture(scope="module")
def told() -> dict[str, list[Event]]:
    """What two small runs really said."""
    return {"pictures": list(train(PICTURES)), "points": list(train(POINTS))}


@pytest.fixture
def written(shelf: Shelf, told: dict[str, list[Event]], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Puts such a run, or its beginning, on the shelf."""
    monkeypatch.setattr(state, "desk", lambda: Answering(shelf))
    scrubber.forget()

    def write(kind: str, goes_on: Callable[[Event], bool] = lambda event: True) -> Run:
        run, _ = shelf.create(PICTURES if kind == "pictures" else POINTS)
        for event in told[kind]:
            if not goes_on(event):
                break
            run.append(event)
        return run

    return write


def look() -> None:
    from app.screens.look import show

    show()


def open_look(run: str = "", view: str = "") -> AppTest:
    page = AppTest.from_function(look, default_timeout=60)
    if run:
        page.query_params["run"] = run
    if view:
        page.query_params["view"] = view
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def words(page: AppTest) -> str:
    kinds = (page.markdown, page.caption, page.error, page.warning, page.info)
    return "\n".join(element.value for kind in kinds for element in kind)


def shown(page: AppTest) -> dict:
    return json.loads(page.get("bidi_component")[0].proto.json)


def test_an_empty_shelf_says_what_will_stand_here_and_leads_to_begin(shelf: Shelf) -> None:
    page = open_look()
    assert "Look inside two networks" in words(page)
    assert page.button(key="look.begin").label == "Begin a distillation"


def test_a_run_that_is_not_there_is_named_and_another_shown(written: Callable[..., Run]) -> None:
    written("pictures")
    page = open_look("0123456789abcdef")
    assert "There is no run 0123456789abcdef" in words(page)
    assert shown(page)["total"] == 3


def test_the_newest_finished_run_opens_with_its_first_picture_and_then_all(written: Callable[..., Run]) -> None:
    run = written("pictures")
    page = open_look()
    first = shown(page)
    assert (first["done"], first["total"]) == (1, 3)
    assert first["film"]["frames"][0]["label"] == "epoch 2 of 2", "the end first"
    while shown(page)["done"] < 3:
        page.run()
    film = shown(page)["film"]
    assert [frame["label"] for frame in film["frames"]] == ["epoch 0 of 2", "epoch 1 of 2", "epoch 2 of 2"]
    assert all("linearly" in frame["says"] for frame in film["frames"])
    names = {trace.get("name") for trace in film["traces"]}
    assert {"Teacher", "Student after the connector", "Difference", "Student", "Student alone"} <= names
    assert run.id in shown(page)["about"]


def test_another_picture_is_another_film(written: Callable[..., Run]) -> None:
    page = open_look(written("pictures").id)
    before = shown(page)["film"]["frames"][-1]
    page.number_input[0].set_value(7).run()
    assert not page.exception
    assert shown(page)["film"]["frames"][-1]["name"] == before["name"]
    assert shown(page)["film"]["traces"] != before


def test_layers_can_be_chosen(written: Callable[..., Run]) -> None:
    page = open_look(written("pictures").id)
    choice = next(box for box in page.selectbox if box.label == "Layer of the teacher")
    assert [option.split(" · ")[0] for option in choice.options] == [
        "automatic",
        "stage 1",
        "stage 2",
        "stage 3",
    ]
    choice.select_index(3).run()
    assert "stage 3 of the teacher" in words(page)


def test_pictures_have_their_signs_counted_and_attention_drawn(written: Callable[..., Run]) -> None:
    run = written("pictures")
    assert "switched the same way" in shown(open_look(run.id, BOUNDARIES))["film"]["frames"][0]["says"]
    film = shown(open_look(run.id, LAYERS))["film"]
    assert film["traces"][0]["type"] == "heatmap"
    assert "each row adds up to 1" in film["frames"][0]["texts"][0]["text"]


def test_points_open_on_their_plane_and_have_no_maps(written: Callable[..., Run]) -> None:
    run = written("points")
    page = open_look(run.id)
    assert "decides as the teacher" in shown(page)["film"]["frames"][0]["says"]
    assert "have no feature maps" in words(open_look(run.id, MAPS))


def test_a_run_without_attention_says_which_methods_have_it(written: Callable[..., Run]) -> None:
    page = open_look(written("points").id, LAYERS)
    assert "semckd and afd_attn" in words(page)
    assert not page.get("bidi_component")


def test_before_the_student_is_taught_it_says_so(written: Callable[..., Run]) -> None:
    run = written("pictures", lambda event: not (isinstance(event, Snapshot) and event.phase == 2))
    page = open_look(run.id)
    assert "has not begun to learn" in words(page) or "before its student was taught" in words(page)


def test_a_damaged_snapshot_is_a_sentence(written: Callable[..., Run]) -> None:
    run = written("pictures")
    last = run.history().snapshots[-1].name
    (run.folder / "snapshots" / f"{last}.safetensors").write_bytes(b"broken")
    page = open_look(run.id)
    assert page.info
    assert not page.exception


def test_sixty_of_many_snapshots_are_asked_with_both_ends() -> None:
    many = [Snapshot(0.0, 2, step, float(step), f"2-{step}", ["student"]) for step in range(1000)]
    kept = scrubber.thinned(many)
    assert len(kept) == scrubber.MOST
    assert (kept[0], kept[-1]) == (many[0], many[-1])
    order = scrubber._order(kept)
    assert order[0] == kept[-1]
    assert sorted(order, key=lambda one: one.step) == kept


def test_the_csv_has_an_epoch_for_each_line(written: Callable[..., Run]) -> None:
    run = written("pictures")
    snapshots = run.history().phases[2].snapshots
    desk = state.desk()
    answers = [desk.ask(run.id, "sign_agreement", {}, snapshot.name) for snapshot in snapshots]
    lines = scrubber.table(snapshots, answers).splitlines()
    assert lines[0].startswith("epoch,series,")
    assert [line.split(",")[0] for line in lines[1:]] == [str(epoch) for epoch in (0, 1, 2) for _ in range(6)]
