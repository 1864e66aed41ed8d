"""What cannot be is said before anything is trained: in the plan that Begin shows, beside the setting that is wrong."""

from __future__ import annotations

import pytest
import torch

from kdcore.catalog import SCHEMES
from kdcore.engine import run
from kdcore.events import Failed
from kdcore.recipe import Recipe, RecipeError
from kdcore.rehearsal import rehearse
from kdcore.schemes.offline import Offline
from kdcore.stage import Losses, set_stage
from tests.schemes.test_who_moves import of_scheme

SMALL = {"is": "plain", "width": 4, "stage_count": 2}


def recipe(scheme: dict[str, object], **changes: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 160},
            "teacher": {"is": "plain", "width": 8, "stage_count": 2},
            "student": SMALL,
            "methods": [{"is": "ce"}, {"is": "kd"}],
            "training": {"epochs": 1, "teacher_epochs": 1},
            "scheme": scheme,
            **changes,
        }
    )


POINTS = {"data": {"is": "toy2d"}, "teacher": {"is": "mlp"}, "student": {"is": "mlp"}}


@pytest.mark.parametrize(
    ("asked", "where", "words"),
    [
        (recipe({"is": "byot"}, methods=[{"is": "semckd"}]), "methods.0", "does not go with byot"),
        (recipe({"is": "feature_only"}), "methods", "no method here compares features"),
        (recipe({"is": "offline"}, methods=[{"is": "ce"}]), "methods", "nothing is distilled"),
        (recipe({"is": "takd"}, teacher={**SMALL, "width": 2}), "teacher", "larger than the teacher"),
        (recipe({"is": "dgkd"}, teacher={**SMALL, "width": 2}), "teacher", "larger than the teacher"),
        (recipe({"is": "lwf", "tasks": 11}), "scheme.tasks", "lies outside [2, 10]"),
        (
            recipe({"is": "icarl", "tasks": 10}, data={"is": "digits", "train_size": 160, "hidden_class": 3}),
            "scheme.tasks", "has no training picture",
        ),
        (
            recipe({"is": "lwf", "tasks": 5}, **{**POINTS, "data": {"is": "toy2d", "figure": "spirals", "classes": 3}}),
            "scheme.tasks", "leaves tasks without a class",
        ),
        (recipe({"is": "apprentice", "bits": 1, "quantiser": "uniform"}), "scheme.bits", "binary quantiser is right"),
        (recipe({"is": "qkd", "bits": 1}), "scheme.bits", "lies outside [2, 8]"),
        (recipe({"is": "pate", "teachers": 50, "public": 0.9}), "scheme.teachers", "fewer teachers"),
        (recipe({"is": "dafl"}, **POINTS), "data", "points in a plane"),
        (recipe({"is": "cmi"}, teacher={"is": "mlp"}), "teacher", "batch norms"),
        (recipe({"is": "byot"}, student={"is": "mlp"}), "student", "2 or more stages"),
        (recipe({"is": "takd"}, teacher={"is": "nobody"}), "teacher", "'nobody' is no network"),
    ],
    ids=lambda one: one.scheme.key if isinstance(one, Recipe) else None,
)  # fmt: skip
def test_the_plan_says_what_is_wrong_and_where(asked: Recipe, where: str, words: str) -> None:
    found = rehearse(asked).faults
    assert [fault["where"] for fault in found] == [where], found
    assert words in found[0]["text"]
    first, *rest = run(asked)
    assert isinstance(first, Failed), "nothing is begun"
    assert words in first.reason
    assert not rest


@pytest.mark.parametrize("teacher", [None, {}, [], "plain"])
def test_a_recipe_without_one_of_its_networks_is_refused(teacher: object) -> None:
    with pytest.raises(RecipeError, match="teacher is an object"):
        recipe({"is": "offline"}, teacher=teacher)


def test_a_scheme_that_has_not_cast_who_is_to_teach_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Offline.cast

    def lacking(self: Offline, **picks):  # type: ignore[no-untyped-def]
        return {role: one for role, one in whole(self, **picks).items() if role != "teacher"}

    monkeypatch.setattr(Offline, "cast", lacking)
    assert rehearse(recipe({"is": "offline"})).faults
    *_, last = run(recipe({"is": "offline"}))
    assert isinstance(last, Failed)
    assert "the cast has no teacher: student, baseline is all there is" in last.reason


@pytest.mark.parametrize("key", sorted(SCHEMES))
def test_whoever_teaches_one_another_starts_differently(key: str) -> None:
    """With equal seeds two peers would say the same for ever; no setting of any scheme gives them equal ones."""
    stage = set_stage(of_scheme(key))
    for phase in stage.scheme.phases(stage.cast, Losses(stage)):
        learners = {turn.learner for turn in phase.turns} & set(stage.cast)
        for turn in phase.turns:
            tellers = {lesson.teacher.partition(":")[0] for lesson in turn.lessons if lesson.teacher} | set(
                turn.told_by
            )
            for teller in tellers & learners - {turn.learner}:
                ours, theirs = (stage.cast[role].state_dict() for role in (turn.learner, teller))
                if ours.keys() == theirs.keys():
                    weights = [name for name, one in ours.items() if one.ndim > 1]
                    assert not all(torch.equal(ours[name], theirs[name]) for name in weights), (phase.name, teller)
