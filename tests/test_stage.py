"""A recipe brought to life: what is looked at, and what is not."""

from __future__ import annotations

import pytest

from kdcore import stage
from kdcore.recipe import Recipe
from kdcore.stage import set_stage


@pytest.mark.parametrize(("scheme", "looks"), [("offline", False), ("byot", True)])
def test_only_a_scheme_that_dresses_networks_has_them_looked_at(
    scheme: str, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    real = stage.glimpse
    monkeypatch.setattr(stage, "glimpse", lambda *given: (looked.append(given[1]), real(*given))[1])
    given = {"data": {"is": "digits", "train_size": 100}, "student": {"is": "plain"}, "scheme": {"is": scheme}}
    recipe = Recipe.from_json(given)
    staged = set_stage(recipe)
    assert bool(looked) == looks
    assert looks or not any(network.training for network in staged.cast.values())
