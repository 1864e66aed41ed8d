"""Noisy votes: the budget is what the closed forms say, and the student learns the votes and nothing else."""

from __future__ import annotations

import math

import pytest
import torch

from kdcore.engine import run
from kdcore.events import Failed
from kdcore.privacy import divergence, epsilon
from kdcore.recipe import Recipe
from kdcore.schemes.pate import PrivateVotes
from kdcore.stage import Losses, set_stage


def recipe(**settings: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "toy2d", "size": 200},
            "teacher": {"is": "mlp", "width": 4},
            "student": {"is": "mlp", "width": 4},
            "scheme": {"is": "pate", "teachers": 3, "questions": 20, **settings},
            "methods": [],
            "training": {"epochs": 2, "teacher_epochs": 2, "batch": 32},
        }
    )


@pytest.mark.parametrize(("sigma", "queries"), [(1.0, 200), (6.0, 40), (40.0, 1000)])
def test_the_gaussian_budget_is_the_closed_form(sigma: float, queries: int) -> None:
    spent = queries / sigma**2
    exact = spent + 2 * math.sqrt(spent * math.log(1e5))
    assert epsilon("gaussian", sigma, queries, delta=1e-5) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("scale", [0.5, 3.0, 20.0])
def test_the_laplace_divergence_tends_to_pure_privacy_and_to_the_relative_entropy(scale: float) -> None:
    assert divergence("laplace", scale, 1e5) == pytest.approx(2 / scale, rel=1e-3)
    entropy = 2 * (1 / scale + math.exp(-1 / scale) - 1)  # of Lap(0, b) and Lap(1, b), for two counts
    assert divergence("laplace", scale, 1 + 1e-5) == pytest.approx(entropy, rel=1e-3)


def test_the_laplace_divergence_is_the_integral_that_defines_it() -> None:
    order, scale = 4.0, 3.0
    at = torch.linspace(-200, 201, 2_000_001, dtype=torch.float64)
    one, other = ((at - place).abs().div(-scale).exp() / (2 * scale) for place in (0.0, 1.0))
    exact = 2 * math.log(float(torch.trapezoid(one**order * other ** (1 - order), at))) / (order - 1)
    assert divergence("laplace", scale, order) == pytest.approx(exact, rel=1e-6)


def test_a_laplace_budget_is_never_above_pure_composition() -> None:
    assert epsilon("laplace", 20.0, 1, delta=1e-5) == pytest.approx(0.1)
    assert epsilon("laplace", 20.0, 1000, delta=1e-5) < 1000 * 2 / 20.0
    assert epsilon("laplace", 20.0, 0, delta=1e-5) == 0.0


def phases(asked: Recipe):  # type: ignore[no-untyped-def]
    stage = set_stage(asked)
    assert isinstance(stage.scheme, PrivateVotes)
    between = Losses(stage)
    return stage, between, {phase.name: phase for phase in stage.scheme.phases(stage.cast, between)}


def test_no_two_teachers_see_the_same_picture_and_the_student_sees_none_of_theirs() -> None:
    _, _, found = phases(recipe())
    parts = {name: set(phase.split().index.tolist()) for name, phase in found.items()}
    names = ["teacher 1", "teacher 2", "teacher 3", "student"]
    for number, name in enumerate(names):
        assert parts[name]
        assert not any(parts[name] & parts[other] for other in names[number + 1 :])
    assert parts["student"] == parts["baseline"]


def test_the_students_labels_are_the_noisy_votes() -> None:
    stage, between, found = phases(recipe(noise=5.0))
    split = found["student"].split()
    asked = split.of(torch.arange(20))
    counts, winners = stage.scheme.votes(stage.cast, asked.images, between)
    assert torch.equal(asked.labels, winners)
    assert not torch.equal(winners, counts.argmax(dim=1))
    assert torch.equal(found["baseline"].split().labels, found["baseline"].split().truth)


def test_with_hardly_any_noise_the_majority_wins_and_one_teacher_changes_a_count_by_one() -> None:
    stage, between, _ = phases(recipe(noise=0.01))
    images = stage.data.train.images[:50]
    counts, winners = stage.scheme.votes(stage.cast, images, between)
    assert torch.equal(winners, counts.argmax(dim=1))
    assert torch.equal(counts.sum(dim=1), torch.full((50,), 3.0))
    with torch.no_grad():
        stage.cast["teacher 2"].head.weight.neg_()
    again, _ = stage.scheme.votes(stage.cast, images, between)
    assert not torch.equal(again, counts)
    assert float((again - counts).abs().max()) == 1.0


def test_more_teachers_than_private_pictures_are_refused() -> None:
    *_, last = run(recipe(teachers=50, public=0.9))
    assert isinstance(last, Failed)
    assert "fewer teachers" in last.reason
