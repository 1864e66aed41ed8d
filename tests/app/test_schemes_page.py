"""Schemes in the app: the picker and the cast on Begin, their own pictures, gradients, forks and going on on Watch."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy
import pytest
import torch
from streamlit.testing.v1 import AppTest

from app import state
from app.charts import cast, gradients, picture_grid
from app.draft import example_of, sentence, tidy
from app.live.series import live_data
from app.words import GROUPS, KINDS
from kdcore.answers.bars import Bars
from kdcore.answers.picture_grid import PictureGrid
from kdcore.catalog import catalog
from kdcore.events import Checkpoint, Event, Gradients, PhaseStarted, Scored, Shown, Started, Step
from kdcore.history import PhaseTrace, Series, fold
from kdcore.launch import LaunchError
from kdcore.preview import Preview
from kdcore.recipe import Parent, Pick, Recipe
from kdcore.run import Run
from kdcore.runs import Shelf
from tests.app.asking import stills, words
from tests.app.test_begin import Desk, cards, control, desk, draft, errors, opened, planned  # noqa: F401
from tests.app.test_watch import drawn, open_watch

Story = Callable[..., Iterator[Event]]


def components(page: AppTest, *, having: str) -> list[dict]:
    """What the page's components were given, those with this key."""
    return [data for one in page.get("bidi_component") if having in (data := json.loads(one.proto.json))]


def test_every_kind_of_scheme_and_every_named_method_is_known() -> None:
    assert {card.facts["kind"] for card in cards().folders["schemes"].values()} <= KINDS.keys()
    for _, _, keys in GROUPS.values():
        assert set(keys) <= cards().folders["methods"].keys()


def test_a_kind_shows_its_schemes_and_changes_nothing_until_one_is_chosen(desk: Desk) -> None:  # noqa: F811
    test = opened()
    before = draft(test)
    control(test.button_group, "scheme.kind").set_value("self").run()
    assert draft(test) == before
    kinds = {key: card.facts["kind"] for key, card in cards().folders["schemes"].items()}
    titles = {cards().card("schemes", key).title for key, kind in kinds.items() if kind == "self"}
    assert set(control(test.selectbox, "scheme").options) == titles
    control(test.selectbox, "scheme").set_value("byot").run()
    assert draft(test).scheme == Pick("byot")
    assert not test.exception


def test_the_example_of_a_scheme_fills_the_form_and_starts_nothing(desk: Desk) -> None:  # noqa: F811
    test = opened(Recipe(scheme=Pick("dml")).to_text())
    test.button(key="scheme.example").click().run()
    wanted = example_of(cards().card("schemes", "dml"))
    assert wanted is not None
    assert draft(test) == tidy(wanted, cards())
    assert desk.launched == []


def test_every_example_is_a_recipe_of_its_scheme_without_a_fault() -> None:
    from kdcore.check import faults

    for key, card in cards().folders["schemes"].items():
        example = example_of(card)
        if example is not None:
            assert example.scheme.key == key
            assert faults(example, cards()) == [], key


def test_a_scheme_with_losses_of_its_own_says_so_beside_the_methods(desk: Desk) -> None:  # noqa: F811
    own = next(key for key, card in cards().folders["schemes"].items() if not card.facts["uses_methods"])
    recipe = Recipe(scheme=Pick(own))
    test = opened(recipe.to_text())
    assert any("brings its own losses" in one.value for one in test.info)
    assert "losses of its own" in sentence(recipe, cards())
    assert not any("brings its own losses" in one.value for one in opened().info)


def test_methods_are_offered_by_what_surveys_call_attention_or_graph_based(desk: Desk) -> None:  # noqa: F811
    test = opened()
    for group, (_, _, keys) in GROUPS.items():
        test.button_group(key="add.family").set_value(group).run()
        offered = {cards().card("methods", key).title for key in keys}
        assert set(test.selectbox(key="add.method").options) == offered


def test_the_cast_says_who_is_frozen_and_who_teaches_whom() -> None:
    offline = planned(Recipe().to_text())
    steps = cast.steps_of(offline.phases)
    assert [step.frozen() for step in steps] == [[], [], ["teacher"]]
    assert list(steps[2].teaches) == [("teacher", "student")]
    assert "teacher is frozen in phase 3" in cast.said(steps)
    mutual = planned(Recipe(scheme=Pick("dml")).to_text())
    assert set(cast.steps_of(mutual.phases)[-1].teaches) == {("student", "peer 2"), ("peer 2", "student")}
    assert cast.steps_of(mutual.phases)[-1].frozen() == []


@pytest.mark.parametrize("dark", [False, True])
def test_the_cast_is_drawn_with_an_arrow_for_each_lesson(dark: bool) -> None:
    found: Preview = planned(Recipe(scheme=Pick("dml")).to_text())
    figure = cast.draw(found.roles, found.phases, dark=dark)
    arrows = {trace.hovertext.split(":")[0] for trace in figure.data if "→" in str(trace.hovertext)}
    assert arrows == {"student → peer 2", "peer 2 → student"}
    assert any("starts as student" in text.text for text in figure.layout.annotations)


def test_a_very_long_scheme_says_how_many_phases_follow() -> None:
    found = planned(Recipe().to_text())
    figure = cast.draw(found.roles, found.phases * 5, dark=False)
    assert any("and 3 more phases" in text.text for text in figure.layout.annotations)


def test_a_long_chain_has_room_for_every_network_and_phase() -> None:
    wide = {"is": "plain", "width": 32, "stage_count": 2}
    chain = {
        "data": {"is": "digits", "train_size": 100},
        "teacher": wide,
        "student": {**wide, "width": 4},
        "scheme": {"is": "dgkd", "assistants": 4},
        "methods": [{"is": "kd"}],
        "training": {"epochs": 1, "teacher_epochs": 1},
    }
    found = planned(Recipe.from_json(chain).to_text())
    assert not found.faults
    assert "no gradient" not in " ".join(found.warnings)  # who is silent in this very step is not called useless
    figure = cast.draw(found.roles, found.phases, dark=False)
    texts = [text.text for text in figure.layout.annotations]
    heads = [text for text in texts if "color:" in text]
    assert len(heads) == len(found.roles) == 8
    assert max(len(re.sub("<(?!br).*?>", "", line)) for head in heads for line in head.split("<br>")) <= len(
        "assistant"
    )
    assert not any("more phase" in text for text in texts)
    assert texts.count("Soft targets (KD)") == len(found.phases) - 2  # once for each phase in which it is taught
    assert "teacher is frozen in phases 3 to 8" in cast.said(cast.steps_of(found.phases))


def bars(value: float) -> Bars:
    return Bars(
        "What each is worth", f"It is {value:.1f} now.", {"student": numpy.array([value], dtype=numpy.float32)}, ["a"],
        "thing", "share", 0.0, 1.0, {"student": "student"}, None, "",
    )  # fmt: skip


def show(run: Run, *, step: int, answer: Bars) -> None:
    name = f"2-{step}-0"
    run.append(Shown(time.time(), 2, step, step / 10, name, "Bars", answer.title, answer.to_bytes()))


def test_the_pictures_of_a_scheme_are_a_film_that_grows(running: Run) -> None:
    page = open_watch(running.id)
    assert not components(page, having="film")
    show(running, step=0, answer=bars(0.1))
    show(running, step=10, answer=bars(0.4))
    page.run()
    (film,) = components(page, having="film")
    assert [frame["label"] for frame in film["film"]["frames"]] == ["epoch 0", "epoch 1"]
    assert film["film"]["frames"][1]["says"] == "It is 0.4 now."
    show(running, step=20, answer=bars(0.9))
    page.run()
    (longer,) = components(page, having="film")
    assert longer["film"]["frames"][:2] == film["film"]["frames"]
    assert len(longer["film"]["frames"]) == 3


def test_a_damaged_picture_is_named_and_the_others_stay(finished: Run) -> None:
    show(finished, step=10, answer=bars(0.4))
    show(finished, step=20, answer=bars(0.5))
    (finished.folder / "shown" / "2-10-0.safetensors").write_bytes(b"nothing")
    page = open_watch(finished.id)
    assert "A picture cannot be read" in words(page)
    (film,) = components(page, having="film")
    assert [frame["label"] for frame in film["film"]["frames"]] == ["epoch 2"]


def test_made_pictures_are_drawn_with_their_names() -> None:
    answer = PictureGrid(
        "Made", "Two.", numpy.full((2, 8, 8, 1), 200, dtype=numpy.uint8), ["3", "8"],
        numpy.array([0.5, 0.25], dtype=numpy.float32), "the teacher's answer", "how sure it is",
    )  # fmt: skip
    figure = picture_grid.draw(answer, dark=True)
    assert {"3 · 50 %", "8 · 25 %"} <= {text.text for text in figure.layout.annotations}
    assert len(list(picture_grid.rows(answer))) == 3


def apart(run: Run, step: int, kd: float, cosine: float | None) -> None:
    lengths = {"ce.ce": 1.0, "kd.kd": kd}
    run.append(Gradients(time.time(), 2, "student", step, step / 10, lengths, cosine))


def test_gradients_are_drawn_and_said(finished: Run) -> None:
    for step in (1, 10, 20):
        apart(finished, step, 0.25, -0.5)
    page = open_watch(finished.id)
    assert "ce pulls 4 times as hard at the student as kd" in words(page)
    assert "against each other (cosine −0.50)" in words(page).replace("\\", "")
    figures = [json.loads(data["figure"]) for data in components(page, having="figure")]
    titles = [figure["layout"]["title"]["text"] for figure in figures]
    assert titles == ["How hard each term pulls", "Do labels and teacher pull together?"]
    assert figures[0]["layout"]["yaxis"]["type"] == "log"
    assert not page.error


def test_a_curve_s_handle_is_a_css_class_and_tells_terms_apart() -> None:
    terms = ["from assistant 1: kd.kd", "from assistant 2: kd.kd", "loss stage 1", "loss-stage 1", "größe", "ce"]
    handles = [gradients.handle(term) for term in terms]
    assert len(set(handles)) == len(terms)
    assert all(one.replace("-", "").isalnum() and one.isascii() and one[0].isalpha() for one in handles)


def test_a_term_without_gradient_is_called_broken(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "catalog", catalog)
    apart(finished, 1, 0.0, None)
    page = open_watch(finished.id)
    assert "kd is broken here" in errors(page)


def test_a_term_that_is_silent_at_first_is_not_called_broken_before_its_phase_is_over() -> None:
    phase = PhaseTrace(0, "student", "Learns", steps=100, epochs=10, learners=["student"], lessons=[], started=0.0)
    quiet = {"student": {name: Series([1, 2, 3], [0.1, 0.2, 0.3], [0.0] * 3) for name in ("copies", "kd.kd")}}
    phase.gradients, phase.step = quiet, 30
    assert gradients.broken(phase, "student") == []
    for series in quiet["student"].values():
        series.add(4, 0.4, 0.0)
        series.add(5, 0.5, 0.0)
    assert gradients.broken(phase, "student") == ["kd.kd"], "a method's term has had its time"
    phase.step = 100
    assert gradients.broken(phase, "student") == ["copies", "kd.kd"]


def test_a_term_that_trains_a_method_s_own_parts_is_not(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "catalog", catalog)
    lengths = {"ce.ce": 1.0, "crd.student": 0.5, "crd.teacher": 0.0, "from teacher 2: unikd.anchor": 0.0}
    finished.append(Gradients(time.time(), 2, "student", 1, 0.1, lengths, 0.5))
    page = open_watch(finished.id)
    assert "What each part of the loss does" in words(page)
    assert errors(page) == ""


def test_without_measured_gradients_nothing_is_claimed(finished: Run) -> None:
    page = open_watch(finished.id)
    assert not components(page, having="figure")
    assert "What each part of the loss does" not in words(page)


def test_an_interrupted_run_with_a_checkpoint_goes_on(stopped: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Going:
        def catalog_at_hand(self) -> None:
            """None is."""

        def go_on(self, run: str) -> None:
            asked.append(run)
            if len(asked) == 1:
                raise LaunchError("Run x was made by another version of the code; begin it anew.")

    monkeypatch.setattr(state, "desk", Going)
    page = open_watch(stopped.id)
    assert not [one for one in page.button if one.key == "watch.go_on"], "there is nothing to go on from yet"
    kept = stopped.folder / "checkpoint.safetensors"
    kept.write_bytes(b"x")
    page = open_watch(stopped.id)
    assert not [one for one in page.button if one.key == "watch.go_on"], "nor is there from what is no checkpoint"
    stopped.append(Checkpoint(time.time(), 0, 1, {"role/student/weight": torch.zeros(3)}))
    page = open_watch(stopped.id)
    assert page.button(key="watch.again")
    page.button(key="watch.go_on").click().run()
    assert "another version of the code" in errors(page)
    page.button(key="watch.go_on").click().run()
    assert asked == [stopped.id, stopped.id]
    assert not page.error


def test_a_fork_opens_begin_with_the_recipe_and_the_moment(finished: Run, gone: list) -> None:
    page = open_watch(finished.id)
    page.select_slider(key=f"watch.fork.epoch.{finished.id}.2").set_value(2.0).run()
    page.button(key="watch.fork.go").click().run()
    (where,) = gone
    assert where == ("begin", {"recipe": replace(finished.recipe, parent=Parent(finished.id, "2-20"))})


def test_begin_says_from_where_a_fork_goes_on_and_keeps_it_while_all_else_changes(
    desk: Desk,  # noqa: F811
    finished: Run,
) -> None:
    fork = replace(finished.recipe, parent=Parent(finished.id, "2-20"))
    test = opened(fork.to_text())
    assert any("at epoch 2 of 5 of its phase 3" in one.value.replace("\\", "") for one in test.markdown)
    control(test.slider, "methods.0.temperature").set_value(9.0).run()
    assert draft(test).parent == fork.parent
    assert draft(test).methods[0].method.settings == {"temperature": 9.0}
    test.button(key="parent.drop").click().run()
    assert draft(test).parent is None
    assert draft(test).methods[0].method.settings == {"temperature": 9.0}


@pytest.mark.parametrize(
    ("run", "snapshot", "said"), [("f" * 16, "2-20", "not on this shelf"), ("", "2-999", "no moment")]
)
def test_a_fork_of_what_is_not_there_cannot_start(
    desk: Desk,  # noqa: F811
    finished: Run,
    run: str,
    snapshot: str,
    said: str,
) -> None:
    test = opened(replace(Recipe(seed=1), parent=Parent(run or finished.id, snapshot)).to_text())
    assert said in errors(test)
    assert test.button(key="own.start").disabled


def forked(shelf: Shelf, parent: Run) -> Run:
    """A fork of the parent at epoch 2 of its third phase, as the engine says one."""
    recipe = replace(parent.recipe, parent=Parent(parent.id, "2-20"))
    run = shelf.create(recipe)[0]
    for event in parent.events()[0]:
        if isinstance(event, Started):
            run.append(replace(event, recipe=recipe.to_json()))
        elif isinstance(event, PhaseStarted):
            run.append(event if event.phase == 2 else replace(event, steps=0, epochs=0))
        elif isinstance(event, Scored) and event.phase < 2 and event.step == 50:
            run.append(replace(event, step=0, epoch=0.0))
        elif isinstance(event, (Step, Scored)) and event.phase == 2 and event.step > 20:
            run.append(event)
    return run


def test_parent_and_fork_are_one_branching_curve(shelf: Shelf, finished: Run) -> None:
    run = forked(shelf, finished)
    page = open_watch(run.id)
    assert "epoch 2 of 5 of its phase 3" in words(page)
    scores = {(trace["name"], trace["phase"]): trace for trace in drawn(page)["scores"]}
    assert scores["student alone", 1]["x"] == [1.0, 2.0, 3.0, 4.0, 5.0], "the phase it skipped is its parent's"
    assert scores["parent: student", 2]["faint"]
    assert scores["parent: student", 2]["x"] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert scores["student", 2]["x"] == [3.0, 4.0, 5.0]
    assert [phase["epochs"] for phase in drawn(page)["phases"]] == [5, 5, 5]
    page.button(key="watch.parent").click().run()
    assert page.query_params["run"] == finished.id


def test_a_run_without_parent_has_no_faint_curve(story: Story) -> None:
    data = live_data(fold(story(Recipe())), run="x", running=False)
    assert not [trace for trace in data["scores"] + data["losses"] if trace.get("faint")]


def test_the_same_network_in_two_phases_has_two_names_in_the_legend(story: Story) -> None:
    events = list(story(Recipe()))
    later = [
        replace(event, phase=1, role="student") for event in events if isinstance(event, Scored) and event.phase == 1
    ]
    at = next(number for number, event in enumerate(events) if isinstance(event, PhaseStarted) and event.phase == 2)
    data = live_data(fold([*events[:at], *later, *events[at:]]), run="x", running=False)
    names = [trace["name"] for trace in data["scores"]]
    assert len(set(names)) == len(names)
    assert {"student, phase 2", "student, phase 3"} <= set(names)


def gap() -> None:
    from app.screens.gap import show as draw

    draw()


def open_gradients(run: Run) -> AppTest:
    page = AppTest.from_function(gap, default_timeout=30)
    page.query_params["run"] = run.id
    page.query_params["show"] = "Gradients"
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def test_the_gap_has_the_gradients_of_the_chosen_phase(
    shelf: Shelf, finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "address", lambda page, **params: f"http://here/{page}?{params}")
    run = shelf.create(Recipe(seed=9))[0]
    for event in finished.events()[0]:
        if isinstance(event, PhaseStarted):
            event = replace(event, lessons=[{**lesson, "kind": "knowledge"} for lesson in event.lessons])
        run.append(event)
    assert "No gradient was measured" in words(open_gradients(run))
    apart(run, 1, 0.25, 0.5)
    page = open_gradients(run)
    assert "together (cosine 0.50)" in words(page).replace("\\", "")
    assert len(stills(page)) == 2
    assert page.get("download_button")


def test_labels_that_a_scheme_s_own_loss_hears_are_drawn_as_those_of_a_lesson() -> None:
    taught = {"student": "student", "teacher": "teacher", "kind": "knowledge", "share": 1.0, "parts": []}
    phase = {"title": "The student learns", "learners": ["student"], "lessons": [taught]}
    assert cast.steps_of([phase])[0].learns == {"student": []}
    assert cast.steps_of([{**phase, "terms": {"student": ["kd", "distance"]}}])[0].learns == {"student": []}
    heard = {**phase, "terms": {"student": ["labels", "old answers"]}}
    assert cast.steps_of([heard])[0].learns == {"student": ["labels"]}
    network = {"title": "Plain", "parameters": 10, "twin_of": ""}
    roles = {part: {**network, "part": part} for part in ("teacher", "student")}
    words = [word for trace in cast.draw(roles, [heard], dark=False).data for word in trace.text or ()]
    assert words == ["frozen", "learns + labels"]
