"""Layer assignment on really trained runs: its film, and the pairing that is pinned, run and set beside it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.draft import tidy
from app.views.pinned import Match, pinned
from kdcore.answers.layer_attention import LayerAttention
from kdcore.catalog import catalog
from kdcore.check import faults
from kdcore.engine import run as train
from kdcore.events import Finished, PhaseStarted
from kdcore.probes.layer_assignment import LayerAssignment
from kdcore.recipe import Recipe
from kdcore.revive import revive
from kdcore.run import Run
from kdcore.runs import Shelf
from tests.app.asking import on_pictures, words

RECIPES = {
    name: on_pictures(methods=[{"is": method} for method in methods])
    for name, methods in {
        "semckd": ("ce", "semckd"), "afd_attn": ("ce", "afd_attn", "kd"), "both": ("semckd", "afd_attn"), "kd": ("kd",),
    }.items()
}  # fmt: skip


@pytest.fixture(autouse=True)
def every_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "catalog", catalog)


def look() -> None:
    from app.screens.look import show

    show()


def open_section(run: Run, **named: str) -> AppTest:
    page = AppTest.from_function(look, default_timeout=60)
    for name, value in {"run": run.id, "view": "Layer assignment", **named}.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def shown(page: AppTest) -> dict:
    return json.loads(page.get("bidi_component")[0].proto.json)


def asked_of(run: Run, **settings: int) -> LayerAttention:
    return LayerAssignment(**settings).ask(revive(run, run.history().snapshots[-1].name))


@pytest.mark.parametrize("name", ["semckd", "afd_attn"])
def test_matrices_flows_and_similarity_are_one_film(written: Callable[[str], Run], name: str) -> None:
    run = written(name)
    page = open_section(run, picture="4")
    film = shown(page)["film"]
    kinds = [trace["type"] for trace in film["traces"]]
    assert kinds.count("heatmap") >= 3
    assert sum("→" in str(trace.get("name")) for trace in film["traces"]) >= 12, "two flows of six bands"
    texts = " ".join(text["text"] for text in film["frames"][-1]["texts"])
    assert f"picture 4 ({asked_of(run, picture=4).picture_says})" in texts
    assert "correlation of" in film["frames"][-1]["says"]
    while shown(page)["done"] < shown(page)["total"]:
        page.run()
    assert [frame["label"] for frame in shown(page)["film"]["frames"]] == ["epoch 0 of 1", "epoch 1 of 1"]


def test_the_pairing_can_be_pinned_at_the_chosen_epoch(
    written: Callable[[str], Run], gone: list[tuple[str, dict]]
) -> None:
    run = written("semckd")
    first = run.history().phases[2].snapshots[0]
    page = open_section(run, epoch="0")
    assert "Strongest pairs at epoch 0" in words(page)
    page.button(key="look.pin").click().run()
    ((screen, params),) = gone
    assert screen == "begin"
    found = LayerAssignment().ask(revive(run, first.name))
    parts = params["recipe"].methods
    assert [part.method.key for part in parts] == ["ce", "fitnet", "fitnet"]
    assert [part.pairs for part in parts[1:]] == [(pair,) for pair in found.pairs]


@pytest.mark.parametrize(("name", "by"), [("semckd", "fitnet"), ("semckd", "at"), ("afd_attn", "at"), ("both", "at")])
def test_the_pinned_recipe_is_right_and_runs_with_those_pairs(
    written: Callable[[str], Run], name: str, by: str
) -> None:
    found = asked_of(written(name))
    recipe = pinned(RECIPES[name], catalog(), found, by)
    assert faults(recipe, catalog()) == []
    assert recipe == Recipe.from_text(recipe.to_text())
    assert recipe.replace(methods=()) == RECIPES[name].replace(methods=()), "nothing else changes"
    assert found.method not in [part.method.key for part in recipe.methods]
    events = list(train(recipe))
    assert isinstance(events[-1], Finished)
    lesson = [event for event in events if isinstance(event, PhaseStarted)][-1].lessons[-1]
    matched = [tuple(pair) for part in lesson["parts"] if part["name"].startswith(by) for pair in part["pairs"]]
    assert sorted(matched) == sorted(found.pairs)


def test_a_method_for_one_pair_stands_there_once_for_each_with_its_weight_shared_out(
    written: Callable[[str], Run],
) -> None:
    found = asked_of(written("semckd"))
    parts = [part for part in pinned(RECIPES["semckd"], catalog(), found, "fitnet").methods if part.weight is not None]
    whole = catalog().card("methods", "fitnet").facts["weight"]
    assert sum(part.weight for part in parts) == pytest.approx(whole)


def test_the_run_of_the_pinned_recipe_stands_beside_this_one(written: Callable[[str], Run], shelf: Shelf) -> None:
    run = written("semckd")
    assert "with the pinned pairing" not in words(open_section(run))
    recipe = pinned(RECIPES["semckd"], catalog(), asked_of(run), "fitnet")
    rival, _ = shelf.create(tidy(recipe, catalog()))
    events = list(train(recipe))
    for event in events[:3]:
        rival.append(event)
    page = open_section(run)
    assert "The run with this pairing pinned is" in words(page)
    for event in events[3:]:
        rival.append(event)
    page = open_section(run)
    said = words(page)
    accuracy = rival.history().results["student"]["test_accuracy"]
    assert f"**{100 * accuracy:.1f} %** with the pinned pairing" in said
    assert "95 % interval" in said


def test_the_sentence_says_who_is_ahead_only_where_the_interval_does() -> None:
    assert "no clear difference" in Match(0.90, 0.89, 500).sentence
    assert "pinned is ahead" in Match(0.95, 0.80, 500).sentence
    assert "attention is ahead (−15.0 points" in Match(0.80, 0.95, 500).sentence


def test_of_several_methods_with_attention_one_is_chosen(written: Callable[[str], Run]) -> None:
    page = open_section(written("both"))
    assert "Semantic calibration" in words(page)
    next(box for box in page.selectbox if box.label == "Whose attention").select_index(1).run()
    assert not page.exception
    assert "Attention-based matching" in words(page)


def test_without_attention_one_sentence_says_which_methods_have_it(written: Callable[[str], Run]) -> None:
    page = open_section(written("kd"))
    (said,) = (element.value for element in page.info)
    assert "chooses layers by itself" in said
    assert "Semantic calibration" in said
    assert "Attention-based matching" in said
    assert not page.get("bidi_component")


def test_without_attention_the_recipe_is_offered_with_it(written: Callable[[str], Run], gone: list) -> None:
    run = written("kd")
    page = open_section(run)
    page.button(key="look.assignment.with").click().run()
    (where, named) = gone[-1]
    assert where == "begin"
    assert [part.method.key for part in named["recipe"].methods] == ["kd", "semckd"]
    assert named["recipe"].student == run.recipe.student


def test_a_picture_that_is_not_there_is_named(written: Callable[[str], Run]) -> None:
    assert "picture=9999" in words(open_section(written("semckd"), picture="9999"))
