"""Begin: every choice writes the recipe, every fault stands beside its control, a link never starts anything."""

from __future__ import annotations

import json
import time
from functools import cache
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.draft import differences, sentence, tidy
from app.starting import finished_run
from app.theme import seconds
from kdcore.cards import Catalog
from kdcore.catalog import catalog as read_catalog
from kdcore.experiments import DEFAULT, EXPERIMENTS
from kdcore.launch import LaunchError
from kdcore.preview import Preview
from kdcore.recipe import Part, Pick, Recipe
from kdcore.rehearsal import rehearse
from kdcore.run import Run
from kdcore.runs import Shelf


@cache
def cards() -> Catalog:
    return read_catalog()


def control(controls: Any, path: str) -> Any:
    """The control of this path, whatever number its key has by now."""
    found = [one for one in controls if (one.key or "").split("~")[0] == path]
    assert len(found) == 1, (path, [one.key for one in controls])
    return found[0]


@cache
def planned(text: str) -> Preview:
    return rehearse(Recipe.from_text(text))


class Desk:
    """A desk whose answers come from this process, and which only notes what it was to start."""

    def __init__(self) -> None:
        self.launched: list[Recipe] = []
        self.refusal = ""

    def catalog(self) -> Catalog:
        return cards()

    def preview(self, recipe: Recipe) -> Preview:
        return planned(recipe.to_text())

    def launch(self, recipe: Recipe) -> str:
        if self.refusal:
            raise LaunchError(self.refusal)
        self.launched.append(recipe)
        return recipe.id


@pytest.fixture
def desk(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Desk:
    found = Desk()
    monkeypatch.setattr(state, "desk", lambda: found)
    monkeypatch.setattr(state, "catalog", cards)
    monkeypatch.setattr(state, "address", lambda page, **params: f"http://here/{page}?{params}")
    return found


def page() -> None:
    from app.screens import begin

    begin.show()


def opened(recipe: str | None = None) -> AppTest:
    test = AppTest.from_function(page, default_timeout=60)
    if recipe is not None:
        test.query_params["recipe"] = recipe
    test.run()
    assert not test.exception
    return test


def with_plan(test: AppTest) -> AppTest:
    """The page once the plan is there."""
    for _ in range(100):
        if any("**About" in text.value for text in test.markdown):
            return test
        time.sleep(0.1)
        test.run()
    raise AssertionError("the plan never came")


def draft(test: AppTest) -> Recipe:
    state_of = test.session_state
    return state_of["kept.draft"] if "kept.draft" in state_of else DEFAULT.recipe  # noqa: SIM401 it has no get


def linked(test: AppTest) -> Recipe:
    """The recipe that the address carries."""
    found = test.query_params["recipe"]
    return Recipe.from_text(found if isinstance(found, str) else found[0])


def errors(test: AppTest) -> str:
    return "\n".join(error.value.replace("\\", "") for error in test.error)


def test_one_press_starts_the_default_and_opens_watch(desk: Desk, gone: list) -> None:
    test = opened()
    test.button(key="start").click().run()
    assert desk.launched == [DEFAULT.recipe]
    assert gone == [("watch", {"run": DEFAULT.recipe.id})]


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.key)
def test_each_card_starts_its_own_experiment(desk: Desk, gone: list, experiment) -> None:
    test = opened()
    assert any(experiment.watch in caption.value for caption in test.caption)
    test.button(key=f"start.{experiment.key}").click().run()
    assert desk.launched == [experiment.recipe]


def test_the_settings_of_a_card_fill_the_form_and_start_nothing(desk: Desk) -> None:
    test = opened()
    test.button(key="settings.spirals").click().run()
    assert control(test.selectbox, "data").value == "toy2d"
    assert control(test.slider, "student.depth").value == 2
    assert draft(test) == EXPERIMENTS[-1].recipe
    assert desk.launched == []


def test_the_plan_says_time_sizes_and_phases_of_the_default(desk: Desk) -> None:
    test = with_plan(opened())
    frames = [frame.value for frame in test.dataframe]
    networks = next(frame for frame in frames if "parameters" in frame)
    assert list(networks[""]) == ["teacher", "student", "student alone"]
    phases = next(frame for frame in frames if "phase" in frame)
    assert len(phases) == 3
    assert not test.button(key="own.start").disabled


def test_the_plan_counts_no_phase_that_another_run_has_trained(desk: Desk, shelf: Shelf, finished: Run) -> None:
    phases = planned(DEFAULT.recipe.to_text()).phases
    assert [bool(phase["shared"]) for phase in phases] == [True, True, False]
    for number, learner in enumerate(("teacher", "baseline")):
        shelf.lay(phases[number]["shared"], finished.id, number, learner)
    test = with_plan(opened())
    table = next(frame.value for frame in test.dataframe if "phase" in frame.value)
    assert list(table["time"]) == ["at hand", "at hand", seconds(phases[2]["seconds"])]
    said = next(text.value for text in test.markdown if "phase" in text.value and "About" in text.value)
    assert f"About {seconds(phases[2]['seconds'])}" in said
    assert "1 phase, 30 epochs" in said


def test_a_moved_knob_stands_in_recipe_and_address_alone(desk: Desk) -> None:
    test = opened()
    control(test.select_slider, "student.width").set_value(16).run()
    control(test.slider, "methods.0.temperature").set_value(4.0).run()  # its default: leaves the recipe
    assert draft(test).student == Pick("mlp", {"width": 16})
    assert draft(test).methods == (Part(Pick("kd")),)
    assert linked(test) == draft(test)
    assert desk.launched == []


def test_another_network_brings_its_own_knobs_at_their_defaults(desk: Desk) -> None:
    test = opened()
    control(test.select_slider, "student.width").set_value(16).run()
    control(test.selectbox, "student").set_value("plain").run()
    assert draft(test).student == Pick("plain")
    assert (
        control(test.select_slider, "student.width").value == cards().card("networks", "plain").knobs["width"].default
    )


@pytest.mark.parametrize("folder", ["methods", "networks", "datasets", "schemes"])
def test_every_entry_of_every_folder_can_be_chosen(desk: Desk, folder: str) -> None:
    test = opened()
    for key, card in cards().folders[folder].items():
        if folder == "methods":
            test.session_state["kept.draft"] = Recipe(methods=(Part(Pick("kd")), Part(Pick(key))))
            where = "methods.1"
        elif folder == "schemes":
            where = "scheme"
            control(test.button_group, "scheme.kind").set_value(card.facts["kind"]).run()
            control(test.selectbox, "scheme").set_value(key)
        else:
            where = {"networks": "student", "datasets": "data"}[folder]
            test.selectbox(key=where).set_value(key)
        test.run()
        assert not test.exception, key
        kinds = ("slider", "select_slider", "number_input", "selectbox", "toggle", "text_input", "button_group")
        drawn = {(widget.key or "").split("~")[0] for kind in kinds for widget in test.get(kind)}
        assert {f"{where}.{name}" for name in card.knobs} <= drawn, key


def test_a_method_is_added_weighted_and_taken_out(desk: Desk) -> None:
    test = opened()
    test.button_group(key="add.family").set_value("relation").run()
    test.selectbox(key="add.method").set_value("rkd").run()
    test.button(key="add").click().run()
    assert [part.method.key for part in draft(test).methods] == ["kd", "rkd"]
    control(test.number_input, "methods.1.weight").set_value(0.5).run()
    assert draft(test).methods[1].weight == 0.5
    control(test.button, "methods.0.remove").click().run()
    assert [part.method.key for part in draft(test).methods] == ["rkd"]
    assert control(test.number_input, "methods.0.weight").value == 0.5
    control(test.button, "methods.0.remove").click().run()
    assert "no method" in errors(test)
    assert test.button(key="own.start").disabled


def test_layers_are_chosen_by_hand_out_of_the_plan(desk: Desk) -> None:
    recipe = Recipe(student=Pick("plain", {"width": 4}), methods=(Part(Pick("fitnet")),))
    test = with_plan(opened(recipe.to_text()))
    control(test.toggle, "methods.0.pairs.own").set_value(True).run()
    pairs = control(test.selectbox, "methods.0.pairs.chosen")
    assert len(pairs.options) == 3 * 2
    pairs.set_value(pairs.options[0]).run()
    assert draft(test).methods[0].pairs == ((0, 0),)
    control(test.toggle, "methods.0.pairs.own").set_value(False).run()
    assert draft(test).methods[0].pairs is None


def test_a_link_fills_the_form_and_starts_nothing(desk: Desk, gone: list) -> None:
    recipe = Recipe(seed=7, student=Pick("mlp", {"width": 24}))
    test = opened(recipe.to_text())
    assert control(test.select_slider, "student.width").value == 24
    assert control(test.number_input, "seed").value == 7
    assert desk.launched == []
    assert "Nothing has started" in " ".join(caption.value for caption in test.caption)
    test.button(key="linked.start").click().run()
    assert desk.launched == [recipe]


def test_a_changed_link_is_the_tabs_own_recipe(desk: Desk) -> None:
    test = opened(Recipe(seed=7).to_text())
    assert [button for button in test.button if button.key == "linked.start"]
    control(test.number_input, "seed").set_value(8).run()
    assert not [button for button in test.button if button.key == "linked.start"]


def test_an_older_address_does_not_undo_a_newer_knob(desk: Desk) -> None:
    test = opened(Recipe(seed=7).to_text())
    control(test.number_input, "seed").set_value(8).run()
    test.query_params["recipe"] = Recipe(seed=7).to_text()  # a click may still carry the address from before
    control(test.select_slider, "student.width").set_value(16).run()
    assert draft(test) == Recipe(seed=8, student=Pick("mlp", {"width": 16}))


def test_the_address_of_a_run_brings_its_recipe_to_a_tab_without_one(desk: Desk, finished: Run) -> None:
    test = AppTest.from_function(page, default_timeout=60)
    test.query_params["run"] = finished.id  # what the browser's Back brings after a start and a reload
    test.run()
    assert draft(test) == finished.recipe
    assert test.query_params["run"] in (finished.id, [finished.id]), "another address would take the way forward"
    assert "recipe" not in test.query_params
    control(test.select_slider, "student.width").set_value(16).run()
    assert linked(test).student == Pick("mlp", {"width": 16})
    assert "run" not in test.query_params


@pytest.mark.parametrize("run", ["nonsense", "0123456789abcdef"])
def test_the_address_of_no_run_leaves_the_default(desk: Desk, run: str) -> None:
    test = AppTest.from_function(page, default_timeout=60)
    test.query_params["run"] = run
    test.run()
    assert not test.exception
    assert draft(test) == DEFAULT.recipe


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("no json at all", "this is not JSON"),
        ("[" * 15_000, "this is not JSON"),
        ("x" * 30_000, "at most 20,000 characters"),
        ('{"version": 99}', "newer KD Lab"),
        ('{"seed": -1}', "whole number"),
        ('{"student": {"is": "mlp", "width": [1]}}', "width is a number"),
        ('{"training": {"epochs": 100000}}', "lies outside"),
        ('{"<script>alert(1)</script>": 1}', "no such part"),
    ],
)
def test_a_broken_link_is_said_and_leaves_the_default(desk: Desk, link: str, said: str) -> None:
    test = opened(link)
    assert said in errors(test)
    assert draft(test) == DEFAULT.recipe
    assert desk.launched == []
    control(test.select_slider, "student.width").set_value(16).run()
    assert linked(test).student == Pick("mlp", {"width": 16})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"student": {"is": "blobz"}}, "'blobz' is no network"),
        ({"student": {"is": "mlp", "width": 0}}, "width=0 lies outside"),
        ({"student": {"is": "mlp", "hights": 3}}, "no knob 'hights'"),
        ({"data": {"is": "digits", "label_noise": 7}}, "label_noise=7"),
        ({"data": {"is": "toy2d"}}, "toy2d gives points"),
        ({"methods": [{"is": "kd", "temperature": "hot"}]}, "is not a number"),
        ({"methods": [{"is": "nothing_such"}]}, "is no method"),
        ({"methods": [{"is": "ce"}]}, "nothing is distilled"),
        ({"methods": [{"is": "kd", "pairs": [[0, 0]]}]}, "takes no pairs"),
    ],
)
def test_faults_of_a_link_stand_on_the_page_and_nothing_can_start(desk: Desk, found: dict, said: str) -> None:
    test = opened(json.dumps(found))
    assert said in errors(test)
    assert test.button(key="own.start").disabled
    assert test.button(key="linked.start").disabled


def test_moving_the_control_of_a_fault_mends_it(desk: Desk) -> None:
    test = opened('{"student": {"is": "mlp", "width": 0}}')
    control(test.select_slider, "student.width").set_value(32).run()
    assert draft(test).student == Pick("mlp", {"width": 32})
    assert not test.error
    assert not test.button(key="own.start").disabled


def test_the_value_shown_in_place_of_a_wrong_one_can_be_taken(desk: Desk) -> None:
    test = opened('{"student": {"is": "mlp", "width": 0}}')
    assert "4 · Networks: width=0" in errors(test)
    test.button(key="take.student.width").click().run()
    assert draft(test).student == Pick("mlp")
    assert not test.error


def test_an_unknown_setting_can_be_left_out(desk: Desk) -> None:
    test = opened('{"student": {"is": "mlp", "hights": 3}}')
    test.button(key="drop.student.hights").click().run()
    assert draft(test).student == Pick("mlp")
    assert not test.error


def test_faults_that_only_the_plan_finds_stop_the_start(desk: Desk) -> None:
    recipe = Recipe(student=Pick("plain"), methods=(Part(Pick("fitnet"), pairs=((9, 0),)),))
    test = opened(recipe.to_text())
    for _ in range(100):
        if test.button(key="own.start").disabled:
            break
        time.sleep(0.1)
        test.run()
    assert "student layer 9" in errors(test)


def test_a_pasted_recipe_is_taken_and_a_broken_one_said(desk: Desk) -> None:
    test = opened()
    test.text_area(key="recipe.text").set_value("{broken")
    bring = next(button for button in test.button if button.label == "Use this recipe")
    bring.click().run()
    assert "this is not JSON" in errors(test)
    test.text_area(key="recipe.text").set_value(Recipe(seed=11).to_text())
    next(button for button in test.button if button.label == "Use this recipe").click().run()
    assert draft(test).seed == 11
    assert control(test.number_input, "seed").value == 11
    assert not test.error


def test_a_finished_run_of_the_same_recipe_is_opened_and_not_repeated(desk: Desk, gone: list, finished: Run) -> None:
    test = opened(finished.recipe.to_text())
    assert finished_run(finished.recipe) is not None
    test.button(key="own.open").click().run()
    assert gone == [("watch", {"run": finished.id})]
    assert desk.launched == []


def test_again_takes_the_next_seed_that_has_not_run(desk: Desk, gone: list, finished: Run) -> None:
    test = opened(finished.recipe.to_text())
    test.button(key="own.again").click().run()
    assert [recipe.seed for recipe in desk.launched] == [finished.recipe.seed + 1]


def test_a_refused_start_is_said_on_the_page(desk: Desk) -> None:
    desk.refusal = "The disk is full: free some space."
    test = opened()
    test.button(key="start").click().run()
    assert "The disk is full" in errors(test)


def test_tidy_leaves_out_what_would_be_so_anyway_and_nothing_else() -> None:
    recipe = Recipe(
        student=Pick("mlp", {"width": 64, "depth": 2}),
        methods=(Part(Pick("kd", {"temperature": 4.0}), weight=cards().card("methods", "kd").facts["weight"]),),
        training={"epochs": 30, "rate": 0.5},
    )
    short = tidy(recipe, cards())
    assert short.student == Pick("mlp", {"depth": 2})
    assert short.methods == (Part(Pick("kd")),)
    assert short.training == {"rate": 0.5}


def test_differences_show_only_what_differs() -> None:
    rows = differences({"a": Recipe(), "b": Recipe(seed=3, training={"epochs": 5})}, cards())
    assert rows == [
        {"setting": "training.epochs", "a": "30", "b": "5"},
        {"setting": "seed", "a": "0", "b": "3"},
    ]


def test_a_sentence_names_what_is_not_there_by_its_key() -> None:
    assert "blobz" in sentence(Recipe(student=Pick("blobz")), cards())
