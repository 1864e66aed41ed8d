"""What-if grids: which recipes they are made of, what is refused, and what seeds say."""

from __future__ import annotations

import math

import pytest

from kdcore.catalog import catalog
from kdcore.check import faults
from kdcore.grid import MOST, Axis, GridError, cells, parsed, settings_of, usual, value_of, verdict
from kdcore.recipe import Recipe

CATALOG = catalog()
RECIPE = Recipe()


def test_every_setting_of_a_recipe_can_be_varied_around_what_it_is() -> None:
    known = settings_of(RECIPE, CATALOG)
    assert {"seed", "methods.0.temperature", "methods.0.weight", "student.width", "training.rate"} <= set(known)
    for path, knob in known.items():
        if knob.kind == "str" and not knob.choices:
            continue
        for value in usual(knob, value_of(RECIPE, path, knob)):
            assert knob.check(value) == value, path
    assert value_of(RECIPE, "methods.0.temperature", known["methods.0.temperature"]) == 2.0
    assert usual(known["seed"], 0) == (0, 1, 2)
    assert usual(known["methods.0.temperature"], 2.0) == (1.0, 2.0, 4.0, 8.0)


def test_a_grid_is_the_recipe_with_two_settings_changed() -> None:
    rows = cells(RECIPE, Axis("methods.0.temperature", (1.0, 4.0)), Axis("seed", (0, 1, 2)), CATALOG)
    assert [len(row) for row in rows] == [3, 3]
    assert rows[1][2] == RECIPE.with_setting("methods.0.temperature", 4.0).with_setting("seed", 2)
    assert len({one.id for row in rows for one in row}) == 6
    assert not [fault for row in rows for one in row for fault in faults(one, CATALOG)]
    assert len(cells(RECIPE, Axis("seed", (0, 1)), None, CATALOG)[0]) == 1


@pytest.mark.parametrize(
    ("down", "across", "words"),
    [
        (Axis("seed", tuple(range(9))), Axis("training.epochs", tuple(range(1, 9))), f"{MOST} at most"),
        (Axis("seed", (0,)), Axis("seed", (1,)), "the same setting"),
        (Axis("methods.7.weight", (1.0,)), None, "no setting of this recipe"),
        (Axis("../../x", (1.0,)), None, "no setting of this recipe"),
    ],
)
def test_what_is_no_grid_is_refused(down: Axis, across: Axis | None, words: str) -> None:
    with pytest.raises(GridError, match=words):
        cells(RECIPE, down, across, CATALOG)


def test_values_are_read_and_checked() -> None:
    known = settings_of(RECIPE, CATALOG)
    assert parsed("1, 2,4, 4", known["methods.0.temperature"]) == (1.0, 2.0, 4.0)
    assert parsed("true", known["scheme.baseline"]) == (True,)
    for text, words in (
        ("", "no value"),
        ("x", "'x' is not"),
        ("0.2", "lies outside"),
        ("nan", "no.* finite|not a finite"),
    ):
        with pytest.raises(GridError, match=words):
            parsed(text, known["methods.0.temperature"])


def test_the_verdict_is_that_of_a_paired_t_test() -> None:
    from scipy.stats import ttest_1samp

    for differences in ([0.02, 0.03, 0.025], [0.02, -0.01, 0.03], [-0.05, -0.04, -0.06]):
        found = verdict(differences)
        interval = ttest_1samp(differences, 0.0).confidence_interval(0.95)
        assert found.mean - found.half == pytest.approx(interval.low)
        assert found.mean + found.half == pytest.approx(interval.high)
        assert (found.word == "inconclusive") == (interval.low <= 0 <= interval.high)
    assert verdict([-0.05, -0.04, -0.06]).word == "loses to"
    assert verdict([0.01]).half == math.inf
    unsure = verdict([0.02, -0.01, 0.03])
    assert unsure.more is not None
    assert unsure.more > 0
    assert verdict([0.01, -0.01]).more is None, "no number of seeds makes nothing into something"
