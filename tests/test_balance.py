"""Equal gradients: the weights that come back really make the gradients equal, measured by another way."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from kdcore.balance import STEPS, balance, measure, pictures_measured
from kdcore.recipe import Recipe, RecipeError
from kdcore.stage import Losses, set_stage
from kdcore.training import PhaseRun
from kdcore.worker import Answers

SMALL = {
    "data": {"is": "digits", "train_size": 200},
    "teacher": {"is": "plain", "width": 6},
    "student": {"is": "plain", "width": 4, "stage_count": 2},
    "methods": [{"is": "ce"}, {"is": "kd"}, {"is": "fitnet"}, {"is": "ft"}],
    "training": {"epochs": 1, "teacher_epochs": 4, "batch": 64},
}


def recipe(**changes: object) -> Recipe:
    return Recipe.from_json({**SMALL, **changes})


def with_weights(asked: Recipe, weights: dict[int, float]) -> Recipe:
    return asked.replace(
        methods=tuple(replace(part, weight=weights.get(n, part.weight)) for n, part in enumerate(asked.methods))
    )


def test_after_it_each_methods_gradient_is_that_share_of_cross_entropys() -> None:
    asked = recipe()
    for share in (0.5, 2.0):
        weights = balance(asked, share)
        assert weights.keys() == {1, 2, 3}
        again = measure(with_weights(asked, weights))
        for number, length in again.methods.items():
            assert weights[number] * length / again.cross_entropy == pytest.approx(share, rel=0.01)


def test_the_lengths_are_those_of_the_training_steps_own_gradient() -> None:
    """The weighted losses of PhaseRun, backward and all, on the same pictures: another way to the same number."""
    asked = recipe(methods=[{"is": "ce"}, {"is": "kd", "weight": 1e-12}])
    assert measure(asked).cross_entropy == pytest.approx(_by_training(asked), rel=1e-4)
    for key in ("kd", "fitnet"):
        asked = recipe(methods=[{"is": key, "weight": 3.0}])
        assert 3.0 * measure(asked).methods[0] == pytest.approx(_by_training(asked), rel=1e-4)


def _by_training(asked: Recipe) -> float:
    """Length of the gradient that the first training step leaves on the student, on the measurement's pictures."""
    stage = set_stage(asked)
    torch.manual_seed(asked.seed)
    for phase in stage.scheme.phases(stage.cast, Losses(stage)):
        running = PhaseRun(stage, phase)
        if phase.name == "teacher":
            for _ in range(min(STEPS, running.steps)):
                running.step()
        if phase.name == "student":
            rows = pictures_measured(stage, stage.data.train)
            running.orders = {only: iter([(0, rows)]) for only in running.orders}
            running.step()
            grads = [one.grad for one in stage.cast["student"].parameters() if one.grad is not None]
            return math.sqrt(sum(float(grad.double().square().sum()) for grad in grads))
    raise AssertionError("there is no phase of the student")


def test_the_recipes_own_weights_play_no_part() -> None:
    assert balance(recipe(), 0.5) == balance(with_weights(recipe(), {1: 90.0, 2: 0.003, 3: 7.0}), 0.5)


def test_the_share_is_of_the_weighted_cross_entropy_and_of_plain_one_where_the_recipe_has_none() -> None:
    plain = balance(recipe(methods=[{"is": "kd"}]), 0.5)[0]
    half = balance(recipe(methods=[{"is": "ce", "weight": 0.5}, {"is": "kd"}]), 0.5)[1]
    assert plain == pytest.approx(2 * half, rel=0.01)


def test_what_is_only_watched_stays_unweighted() -> None:
    assert balance(recipe(methods=[{"is": "ce"}, {"is": "kd", "weight": 0}, {"is": "sp"}]), 0.5).keys() == {2}


def test_the_same_method_twice_is_weighed_twice() -> None:
    twice = recipe(methods=[{"is": "ce"}, {"is": "kd", "temperature": 1.0}, {"is": "kd", "temperature": 8.0}])
    weights = balance(twice, 1.0)
    assert weights.keys() == {1, 2}
    assert weights[1] != weights[2]


@pytest.mark.parametrize("scheme", ["dml", "byot", "takd", "ban"])
def test_every_scheme_can_be_weighed(scheme: str) -> None:
    weights = balance(recipe(scheme={"is": scheme}, methods=[{"is": "ce"}, {"is": "kd"}]), 0.5)
    assert weights.keys() == {1}
    assert 0 < weights[1] < 1e4


def test_few_labels_still_give_a_cross_entropy() -> None:
    few = recipe(data={"is": "digits", "train_size": 200, "labelled": 0.05}, methods=[{"is": "ce"}, {"is": "kd"}])
    assert balance(few, 0.5)[1] > 0


@pytest.mark.parametrize(
    ("changes", "share", "words"),
    [
        ({}, 0.0, "share=0.0"),
        ({}, float("nan"), "share=nan"),
        ({"methods": [{"is": "kd", "temperature": 99.0}]}, 0.5, "temperature"),
        ({"data": {"is": "digits", "labelled": 0.0}, "methods": [{"is": "kd"}]}, 0.5, "label"),
        ({"student": {"is": "mlp"}, "methods": [{"is": "ce"}, {"is": "at"}]}, 0.5, "at gives the student no gradient"),
    ],
)
def test_what_cannot_be_balanced_is_refused_in_a_sentence(changes: dict, share: float, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        balance(recipe(**changes), share)


def test_the_worker_answers_with_plain_json(tmp_path) -> None:
    from kdcore.runs import Shelf

    asked = recipe(methods=[{"is": "ce"}, {"is": "kd"}])
    found = Answers(Shelf(tmp_path)).answer({"do": "balance", "recipe": asked.to_json(), "share": 0.5})
    assert found == {"1": balance(asked, 0.5)[1]}


def test_the_desk_asks_a_worker_and_passes_on_its_refusal(tmp_path) -> None:
    from kdcore.launch import AskError, Desk
    from kdcore.runs import Shelf

    desk = Desk(Shelf(tmp_path), slots=1)
    try:
        asked = recipe(methods=[{"is": "ce"}, {"is": "kd"}])
        assert desk.balance(asked, 0.5).keys() == {1}
        with pytest.raises(AskError, match="share=-1"):
            desk.balance(asked, -1.0)
    finally:
        desk.close()
