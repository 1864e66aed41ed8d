"""A recipe goes through JSON unchanged, and anything else is refused with its place and what would be right."""

from __future__ import annotations

import json
import re

import pytest

from kdcore.catalog import catalog
from kdcore.check import faults
from kdcore.recipe import Part, Pick, Recipe, RecipeError

FULL = Recipe(
    data=Pick("toy2d", {"noise": 0.1}),
    teacher=Pick("mlp", {"width": 32}),
    student=Pick("mlp", {"width": 4}),
    scheme=Pick("takd", {"assistants": 2}),
    methods=(Part(Pick("ce"), 0.5), Part(Pick("fitnet"), None, ((0, 0),))),
    training={"epochs": 3, "rate": 0.1},
    seed=7,
)


def test_a_recipe_goes_through_json_unchanged() -> None:
    assert Recipe.from_text(FULL.to_text()) == FULL
    assert Recipe.from_text(FULL.to_text()).id == FULL.id


def test_the_id_follows_from_the_content() -> None:
    assert FULL.id != FULL.replace(seed=8).id
    assert len(FULL.id) == 16


def test_what_is_left_out_keeps_its_default() -> None:
    assert Recipe.from_json({}) == Recipe()


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("[]", "", "a recipe is a JSON object, not list"),
        ("{", "", "this is not JSON"),
        ('{"version": 2}', "version", "newer KD Lab"),
        ('{"version": "1"}', "version", "whole number"),
        ('{"lr": 1}', "lr", "no such part"),
        ('{"seed": 1.5}', "seed", "whole number"),
        ('{"seed": -1}', "seed", "whole number"),
        ('{"training": {"epochs": 0}}', "training.epochs", r"epochs=0 lies outside \[1, 1000\]"),
        ('{"training": {"speed": 1}}', "training.speed", "no knob 'speed'"),
        ('{"training": []}', "training", "object of knobs"),
        ('{"methods": {"is": "kd"}}', "methods", "list"),
        ('{"methods": [{"is": "kd", "weight": -1}]}', "methods.0.weight", "not a number from 0"),
        ('{"methods": [{"is": "kd", "weight": NaN}]}', "methods.0.weight", "not a finite number"),
        ('{"methods": [{"is": "at", "pairs": [[0]]}]}', "methods.0.pairs", "list of"),
        ('{"methods": [{"is": "at", "pairs": [[0, -1]]}]}', "methods.0.pairs", "list of"),
        ('{"student": "mlp"}', "student", "is an object like"),
        ('{"student": {"is": 3}}', "student", "is an object like"),
        ('{"student": {"is": "mlp", "width": [1]}}', "student.width", "a number, a text, true or false"),
        ('{"student": {"is": "mlp", "width": Infinity}}', "student.width", "not a finite number"),
        ("[" * 100_000, "", "at most"),
        ("[" * 15_000, "", "this is not JSON"),
    ],
)
def test_a_hostile_recipe_is_refused_with_its_place(text: str, where: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        Recipe.from_text(text)
    assert caught.value.where == where


def test_one_setting_is_changed_by_its_path() -> None:
    assert FULL.with_setting("student.width", 8).student.settings["width"] == 8
    assert FULL.with_setting("training.epochs", 9).training["epochs"] == 9
    assert FULL.with_setting("methods.1.weight", 2.0).methods[1].weight == 2.0
    assert FULL.with_setting("student", "plain").student == Pick("plain", {})
    for path in ("nothing.here", "methods.9.weight", "methods.x"):
        with pytest.raises(RecipeError):
            FULL.with_setting(path, 1)


@pytest.mark.parametrize(
    ("changes", "where", "words"),
    [
        ({"data": {"is": "blobz"}}, "data", "'blobz' is no data set; there are"),
        ({"student": {"is": "mlp", "width": 10**9}}, "student.width", "lies outside"),
        ({"student": {"is": "mlp", "colour": 1}}, "student.colour", "no knob 'colour'"),
        ({"methods": []}, "methods", "no method"),
        ({"methods": [{"is": "ce"}]}, "methods", "nothing is distilled"),
        ({"methods": [{"is": "kd", "weight": 0}]}, "methods", "nothing is distilled"),
        ({"methods": [{"is": "kd", "temperature": 40}]}, "methods.0.temperature", r"temperature=40.0 lies outside"),
        ({"methods": [{"is": "kd", "pairs": [[0, 0]]}]}, "methods.0.pairs", "compares outputs"),
        ({"data": {"is": "toy2d"}, "student": {"is": "plain"}, "teacher": {"is": "mlp"}}, "student", "mlp would fit"),
        ({"scheme": {"is": "byot"}, "methods": [{"is": "semckd"}]}, "methods.0", "an exit has one layer"),
        ({"data": {"is": "digits", "labelled": 0}, "scheme": {"is": "dml"}}, "data.labelled", "no teacher with labels"),
    ],
)
def test_faults_stand_at_the_setting_that_is_wrong(changes: dict, where: str, words: str) -> None:
    found = faults(Recipe.from_json(changes), catalog())
    assert any(fault.where == where and re.search(words, fault.text) for fault in found), found


def test_the_default_recipe_has_no_faults() -> None:
    assert faults(Recipe(), catalog()) == []


def test_a_catalog_goes_through_json_unchanged() -> None:
    from kdcore.cards import Catalog

    found = catalog()
    assert Catalog.from_json(json.loads(json.dumps(found.to_json()))) == found
