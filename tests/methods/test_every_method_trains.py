"""Every method trains on digits and on shapes from its own card's settings, and the form on Begin can choose it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.draft import with_method
from kdcore.cards import Catalog
from kdcore.catalog import catalog as read_catalog
from kdcore.check import faults
from kdcore.engine import run
from kdcore.events import Finished, PhaseStarted, Step
from kdcore.experiments import DEFAULT
from kdcore.preview import Preview
from kdcore.recipe import Recipe
from kdcore.rehearsal import rehearse
from kdcore.runs import Shelf

from .fixture import METHODS

EVERY = pytest.mark.parametrize("key", METHODS)
DATA = {
    "digits": {"is": "digits", "train_size": 160},
    "shapes": {"is": "shapes", "size": 100},
}
SAME_SIZE = ("weight_distance",)
"""Methods that need student and teacher to be of one kind and size."""


def tiny(key: str, data: str) -> Recipe:
    """Cross-entropy, soft targets where the method needs no teacher, and the method, on a very small pair."""
    network = {"is": "plain", "stage_count": 2}
    companions = [one for one in ("ce", "kd") if one != key and (one == "ce" or not METHODS[key].needs_teacher)]
    return Recipe.from_json(
        {
            "data": DATA[data],
            "teacher": {**network, "width": 4},
            "student": {**network, "width": 4 if key in SAME_SIZE else 3},
            "methods": [*({"is": one} for one in companions), {"is": key}],
            "scheme": {"is": "offline", "baseline": False},
            "training": {"epochs": 2, "teacher_epochs": 1, "batch": 32, "snapshot_every": 2},
        }
    )


@EVERY
@pytest.mark.parametrize("data", DATA)
def test_it_trains_to_the_end_with_every_term_moving(key: str, data: str) -> None:
    events = list(run(tiny(key, data)))
    assert isinstance(events[-1], Finished), events[-1]
    phases = {event.phase for event in events if isinstance(event, PhaseStarted) and event.name.startswith("student")}
    steps = [
        event for event in events
        if isinstance(event, Step) and event.phase in phases and any(name.startswith(f"{key}.") for name in event.terms)
    ]  # fmt: skip
    terms = {name for step in steps for name in step.terms if name.startswith(f"{key}.")}
    assert terms, "it has no term in any phase of the student"
    for name in terms:
        values = [step.terms[name] for step in steps if name in step.terms]
        assert len(set(values)) > 1, f"{name} never moves: {values[0]}"
        assert any(abs(value or 0.0) > 1e-12 for value in values), f"{name} is zero throughout"


@EVERY
@pytest.mark.parametrize("data", DATA)
def test_the_rehearsal_finds_no_fault_and_no_silent_term(key: str, data: str) -> None:
    planned = rehearse(tiny(key, data))
    assert not planned.faults
    assert not [warning for warning in planned.warnings if warning.startswith(f"{key}.")]


@cache
def cards() -> Catalog:
    return read_catalog()


@EVERY
def test_the_default_recipe_with_it_has_no_fault(key: str) -> None:
    assert faults(with_method(DEFAULT.recipe, key), cards()) == []


class Desk:
    """A desk that plans nothing: only the form is looked at here."""

    def catalog(self) -> Catalog:
        return cards()

    def preview(self, recipe: Recipe) -> Preview:
        return Preview()


def page() -> None:
    from app.screens import begin

    begin.show()


def test_the_form_offers_every_method_and_each_makes_a_recipe_without_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    monkeypatch.setattr(state, "shelf", lambda: Shelf(tmp_path))
    monkeypatch.setattr(state, "desk", lambda: desk)
    monkeypatch.setattr(state, "catalog", cards)
    monkeypatch.setattr(state, "address", lambda page, **params: f"http://here/{page}")
    test = AppTest.from_function(page, default_timeout=60).run()
    titles = {cards().card("methods", key).title: key for key in METHODS}
    offered: set[str] = set()
    for family in dict.fromkeys(method.family for method in METHODS.values()):
        test.button_group(key="add.family").set_value(family).run()
        assert not test.exception
        offered |= {titles[title] for title in test.selectbox(key="add.method").options}
        for key in [key for key, method in METHODS.items() if method.family == family][-1:]:
            test.selectbox(key="add.method").set_value(key).run()
            test.button(key="add").click().run()
            assert not test.exception
            recipe = test.session_state["kept.draft"]
            assert recipe.methods[-1].method.key == key
            assert faults(recipe, cards()) == []
    assert offered == set(METHODS)
