"""The ready-made experiments: they can start, and what they promise can be seen."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.draft import tidy
from kdcore.catalog import catalog
from kdcore.check import faults
from kdcore.engine import run
from kdcore.events import Finished
from kdcore.experiments import DEFAULT, EXPERIMENTS, Experiment
from kdcore.recipe import Recipe


def results(recipe: Recipe) -> dict[str, dict]:
    *_, last = run(recipe)
    assert isinstance(last, Finished), last
    return last.results


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.key)
def test_nothing_is_wrong_with_it_and_nothing_needless_in_it(experiment: Experiment) -> None:
    assert faults(experiment.recipe, catalog()) == []
    assert tidy(experiment.recipe, catalog()) == experiment.recipe
    assert Recipe.from_text(experiment.recipe.to_text()) == experiment.recipe


def test_they_have_names_and_recipes_of_their_own() -> None:
    assert len({experiment.key for experiment in EXPERIMENTS}) == len(EXPERIMENTS) == 5
    assert len({experiment.recipe.id for experiment in EXPERIMENTS}) == 5
    assert all(experiment.watch.count(". ") == 0 and experiment.watch.endswith(".") for experiment in EXPERIMENTS)


def test_the_first_experiment_shows_a_clear_gain() -> None:
    found = results(DEFAULT.recipe)
    assert found["student"]["test_accuracy"] - found["baseline"]["test_accuracy"] > 0.04


def test_the_boundaries_experiment_shows_a_clear_gain() -> None:
    found = results(EXPERIMENTS[-1].recipe)
    assert found["student"]["test_accuracy"] - found["baseline"]["test_accuracy"] > 0.1


def test_features_first_beats_the_student_alone_and_not_the_mix_as_its_text_says() -> None:
    found = results(next(one for one in EXPERIMENTS if one.key == "features-first").recipe)
    accuracy = {role: result["test_accuracy"] for role, result in found.items()}
    assert accuracy["student"] - accuracy["baseline"] > 0.03
    assert accuracy["mix"] > accuracy["student"]


def test_reading_them_needs_no_torch() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys, kdcore.experiments; print('torch' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "False"
