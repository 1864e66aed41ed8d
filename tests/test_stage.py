"""A recipe brought to life: what is looked at, and what is not."""

from __future__ import annotations

import pytest

from kdcore import stage
from kdcore.recipe import Recipe
from kdcore.stage import set_stage


@pytest.mark.parametrize(
    ("scheme", "looks"), [("offline", []), ("from_teacher", []), ("byot", ["student"]), ("ucir", ["student", "before"])]
)
def test_only_networks_of_which_a_scheme_wants_to_know_are_looked_at(
    scheme: str, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    real = stage.glimpse
    monkeypatch.setattr(stage, "glimpse", lambda *given: (looked.append(given[1]), real(*given))[1])
    given = {"data": {"is": "digits", "train_size": 100}, "student": {"is": "plain"}, "scheme": {"is": scheme}}
    recipe = Recipe.from_json(given)
    staged = set_stage(recipe)
    assert sorted(looked) == sorted(looks)
    assert looks or not any(network.training for network in staged.cast.values())
