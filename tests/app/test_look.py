"""Look inside on an empty shelf, on runs that have nothing to show, and on really trained ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import NoReturn

import pytest
from streamlit.runtime.scriptrunner_utils.exceptions import StopException
from streamlit.testing.v1 import AppTest

from app import state
from app.views import scrubber, similar
from app.views.inside import layers_of, who_is_who
from app.views.similar import with_pair
from kdcore.catalog import catalog
from kdcore.engine import run as train
from kdcore.events import PhaseStarted, Snapshot, Started
from kdcore.history import History, fold
from kdcore.recipe import Recipe
from kdcore.run import Run
from kdcore.runs import Shelf
from tests.app.asking import Answering, on_pictures, on_points, words

RECIPES = {
    "pictures": on_pictures(2, methods=[{"is": "ce"}, {"is": "semckd"}, {"is": "ab", "own_stage": 0.0}]),
    "points": on_points(2),
}
MAPS, BOUNDARIES, LAYERS = "Feature maps", "Activation boundaries", "Layer assignment"
SIMILARITY = "Similarity (CKA)"
KERNEL = "CKA's kernel, beside SVCCA"


def look() -> None:
    from app.screens.look import show

    show()


def after(parts: dict[str, str], *lessons: tuple[str, str]) -> History:
    """What is known once a phase with these lessons of knowledge (student, teacher) has begun."""
    roles = {role: {"part": part, "layers": [{"name": role, "shape": [4]}]} for role, part in parts.items()}
    told = [{"student": student, "teacher": teacher, "kind": "knowledge", "parts": []} for student, teacher in lessons]
    begun = PhaseStarted(0.0, 0, "phase", "Phase", 10, 1, ["student"], told)
    return fold([Started(0.0, {}, roles, {"shape": [1, 8, 8]}, "cpu", 1, 1), begun])


@pytest.mark.parametrize(
    ("parts", "lessons", "views", "said"),
    [
        ({"teacher": "teacher", "student": "student"}, [("student", "teacher"), ("generator", "teacher")],
         ("student", "teacher"), ""),
        ({"student": "student", "peer 2": "peer"}, [("student", "peer 2"), ("peer 2", "student")],
         ("student", "peer 2"), "On this page the teacher is **peer 2**."),
        ({"student": "student"}, [("student:0", "student"), ("student:1", "student")], ("student:1", "student"),
         "On this page the student is **student, exit 2** and the teacher is the **last exit of the same network**."),
        ({"teacher": "teacher", "assistant 1": "assistant"}, [("assistant 1", "teacher")], ("assistant 1", "teacher"),
         "On this page the student is **assistant 1**."),
    ],
)  # fmt: skip
def test_the_student_s_own_lesson_is_looked_at_and_other_names_are_said(
    parts: dict[str, str], lessons: list[tuple[str, str]], views: tuple[str, str], said: str
) -> None:
    history = after(parts, *lessons)
    found = layers_of(history, history.phases[0])
    assert tuple(view for view, _ in found.values()) == views
    assert all(layers for _, layers in found.values()), "layers can be chosen of both"
    assert who_is_who(history, history.phases[0]) == said


def open_look(run: str = "", view: str = "") -> AppTest:
    page = AppTest.from_function(look, default_timeout=60)
    if run:
        page.query_params["run"] = run
    if view:
        page.query_params["view"] = view
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def shown(page: AppTest) -> dict:
    """What the film was given; other components may stand before it."""
    return next(data for one in page.get("bidi_component") if "film" in (data := json.loads(one.proto.json)))


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


def test_pictures_have_their_boundaries_and_attention_drawn(written: Callable[..., Run]) -> None:
    run = written("pictures")
    assert "of this plane" in shown(open_look(run.id, BOUNDARIES))["film"]["frames"][0]["says"]
    film = shown(open_look(run.id, LAYERS))["film"]
    assert film["traces"][0]["type"] == "heatmap"
    assert "each row adds up to 1" in film["frames"][0]["texts"][0]["text"]


def test_cka_and_svcca_stand_side_by_side_for_both_students(written: Callable[..., Run]) -> None:
    page = open_look(written("pictures").id, SIMILARITY)
    film = shown(page)["film"]
    assert [trace["name"] for trace in film["traces"][:4]] == [
        "Linear CKA: student × teacher", "SVCCA: student × teacher",
        "Linear CKA: student alone × teacher", "SVCCA: student alone × teacher",
    ]  # fmt: skip
    assert "last layers of student and teacher are alike with linear CKA" in film["frames"][-1]["says"]
    assert shown(page)["cells"]
    measure, whose = (next(box for box in page.selectbox if box.label == name) for name in (KERNEL, "Compare"))
    measure.select("rbf").run()
    assert "with RBF CKA" in shown(page)["film"]["frames"][-1]["says"]
    assert page.query_params["measure"] in ("RBF CKA", ["RBF CKA"])
    whose.select("teacher").run()
    assert not page.exception
    assert {trace["name"] for trace in shown(page)["film"]["traces"]} == {
        "RBF CKA: teacher × teacher", "SVCCA: teacher × teacher",
    }  # fmt: skip
    assert not shown(page)["cells"], "a field there is no pair of student and teacher"


def test_a_measure_that_is_not_there_is_named_and_the_usual_one_shown(written: Callable[..., Run]) -> None:
    page = AppTest.from_function(look, default_timeout=60)
    page.query_params["run"], page.query_params["view"] = written("pictures").id, SIMILARITY
    page.query_params["measure"] = "cosine"
    page.run()
    assert not page.exception
    assert "There is no kernel called “cosine”. Showing Linear CKA instead." in words(page)
    assert "linear CKA" in shown(page)["film"]["frames"][-1]["says"]


@pytest.mark.parametrize(("kind", "said"), [("pictures", "linearly"), ("points", "decides as the teacher")])
def test_a_pair_in_the_address_is_framed_and_opens_below(written: Callable[..., Run], kind: str, said: str) -> None:
    run = written(kind)
    assert len(open_look(run.id, SIMILARITY).get("bidi_component")) == 1
    page = AppTest.from_function(look, default_timeout=60)
    page.query_params["run"], page.query_params["view"], page.query_params["layers"] = run.id, SIMILARITY, "0-0"
    page.run()
    assert not page.exception
    frames = shown(page)["film"]["layout"]["shapes"]
    assert {frame["xref"] for frame in frames} == {"x", "x2", "x3", "x4"}
    assert {(frame["x0"], frame["y0"]) for frame in frames} == {(-0.46, -0.46)}
    opened = json.loads(page.get("bidi_component")[1].proto.json)
    assert said in opened["film"]["frames"][-1]["says"]
    page.run()
    assert len(page.get("bidi_component")) == 2, "it stays open"
    page.button(key="look.cell.close").click().run()
    assert not page.exception
    assert len(page.get("bidi_component")) == 1
    assert "layers" not in page.query_params


def test_a_pair_that_is_not_there_is_named(written: Callable[..., Run]) -> None:
    page = AppTest.from_function(look, default_timeout=60)
    page.query_params["run"], page.query_params["view"] = written("pictures").id, SIMILARITY
    page.query_params["layers"] = "1-9"
    page.run()
    assert not page.exception
    assert "layers=1-9" in words(page)
    assert "Click a field above" in words(page)


class SimpleBox:
    """A box that stands open."""

    open = True

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_nothing_is_asked_for_while_the_suggestions_are_closed(written: Callable[..., Run]) -> None:
    page = open_look(written("pictures").id, SIMILARITY)
    assert [box.label for box in page.expander] == ["Suggest pairs: which layers to match?"]
    assert not [button for button in page.button if button.label == "Match these"]


def test_suggested_pairs_say_why_and_lead_to_begin(
    written: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[tuple[str, Recipe]] = []
    monkeypatch.setattr(state, "catalog", catalog)
    monkeypatch.setattr(similar.st, "expander", lambda *_, **__: SimpleBox())  # the harness cannot keep a box open
    monkeypatch.setattr(state, "go", lambda page, *, recipe: gone.append((page, recipe)))
    page = AppTest.from_function(look, default_timeout=60)
    page.query_params["run"], page.query_params["view"] = written("pictures").id, SIMILARITY
    page.run()
    assert not page.exception
    rows = [button for button in page.button if button.label == "Match these"]
    assert len(rows) == 5
    assert sum("connector reads" in caption.value and "CKA" in caption.value for caption in page.caption) == 5
    rows[0].click().run()
    ((name, recipe),) = gone
    assert name == "begin"
    assert [part.method.key for part in recipe.methods] == ["ce", "ab"]
    assert len(recipe.methods[1].pairs or ()) == 1
    assert recipe.student == RECIPES["pictures"].student


@pytest.mark.parametrize(
    ("methods", "left", "says"),
    [
        (["kd"], ["kd", "fitnet"], "with FitNets (hints) on this pair."),
        (["kd", "semckd"], ["kd", "fitnet"], "which weighs all pairs."),
        (["ce", "at", "fitnet"], ["ce", "at", "fitnet"], " and FitNets (hints) on this pair."),
    ],
)
def test_a_pairing_is_taken_by_the_methods_that_match_pairs(methods: list[str], left: list[str], says: str) -> None:
    recipe = Recipe.from_json({"methods": [{"is": method} for method in methods]})
    made, said = with_pair(recipe, catalog(), (0, 1))
    assert [part.method.key for part in made.methods] == left
    assert {part.pairs for part in made.methods if part.method.key in ("at", "fitnet")} == {((0, 1),)}
    assert said.endswith(says)


def test_points_open_on_their_plane_and_have_no_maps(written: Callable[..., Run]) -> None:
    run = written("points")
    page = open_look(run.id)
    assert "decides as the teacher" in shown(page)["film"]["frames"][0]["says"]
    assert "have no feature maps" in words(open_look(run.id, MAPS))


def test_a_run_without_attention_says_which_methods_have_it(written: Callable[..., Run]) -> None:
    page = open_look(written("points").id, LAYERS)
    assert "Semantic calibration" in words(page)
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


@pytest.mark.parametrize("view", [SIMILARITY, MAPS, LAYERS])
def test_while_a_run_trains_its_film_grows_with_each_snapshot(view: str, shelf: Shelf) -> None:
    told = list(train(RECIPES["pictures"]))
    last = max(event.phase for event in told if isinstance(event, Snapshot))
    ends = [place + 1 for place, event in enumerate(told) if isinstance(event, Snapshot) and event.phase == last]
    run, _ = shelf.create(RECIPES["pictures"])
    frames: list[list[str]] = []
    for begin, end in pairwise([0, *ends]):
        for event in told[begin:end]:
            run.append(event)
        page = open_look(run.id, view)
        while shown(page)["done"] < shown(page)["total"]:
            page.run()
            assert not page.exception, page.exception[0].value
        frames.append([frame["label"] for frame in shown(page)["film"]["frames"]])
    assert frames == [["epoch 0 of 2"], ["epoch 0 of 2", "epoch 1 of 2"], [f"epoch {one} of 2" for one in range(3)]]
    assert run.history().outcome != "finished", "it is still going"


def test_a_finished_run_is_read_once_for_all_tabs(written: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    run = written()
    read: list[int] = []
    fold = state.fold
    monkeypatch.setattr(state, "fold", lambda events, history: (read.append(len(events)), fold(events, history))[1])
    first, second = open_look(run.id), open_look(run.id)
    assert sum(count > 0 for count in read) == 1
    assert words(first) == words(second)


def test_a_film_that_takes_long_can_be_stopped_and_taken_up_again(
    written: Callable[..., Run], desk: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = written()
    count = len(run.history().phases[2].snapshots)
    assert count >= 3
    monkeypatch.setattr(scrubber, "PATIENCE", 0.0)  # one epoch a look
    page = open_look(run.id, "Similarity (CKA)")
    assert len(shown(page)["film"]["frames"]) == 1
    page.button(key="film-similarity.stop").click().run()
    assert not page.exception
    asked = len(desk.asked)
    page.run()
    assert len(desk.asked) == asked, "nothing more is asked once stopped"
    again = next(one for one in page.button if "other" in one.label)
    again.click().run()
    page.run()
    assert len(desk.asked) > asked


def test_a_film_can_be_stopped_while_its_first_answer_is_under_way(
    written: Callable[..., Run], desk: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = written()
    ask = desk.ask

    def chosen_meanwhile(*asked: object, **more: object) -> NoReturn:
        raise StopException  # as Streamlit ends a script run for what was clicked while it waits

    monkeypatch.setattr(desk, "ask", chosen_meanwhile)
    page = open_look(run.id, "Similarity (CKA)")
    monkeypatch.setattr(desk, "ask", ask)
    page.button(key="film-similarity.stop").click().run()
    assert not page.exception
    assert not [asked for asked in desk.asked if "cka" in asked]
    assert "Stopped before it was done." in words(page)
    next(one for one in page.button if "other" in one.label).click().run()
    assert [asked for asked in desk.asked if "cka" in asked]


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
