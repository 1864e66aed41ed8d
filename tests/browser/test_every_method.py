"""Every method, opened in Begin by a link, started by a click and followed to its end, on digits and on shapes.

A plain run of the suite takes every fifth of these, since tests/methods trains every method without a browser; with
KDLAB_EVERY=1 it takes all of them.
"""

from __future__ import annotations

import math
import os
from urllib.parse import quote

import pytest

from app.live.series import term_name
from kdcore.catalog import METHODS
from kdcore.events import Event, Finished, Gradients, PhaseStarted, Step
from kdcore.runs import Shelf
from tests.methods.test_every_method_trains import DATA, tiny

from .conftest import App, Visitor

BOTH = [(key, data) for key in sorted(METHODS) for data in DATA]
TAKEN = BOTH if os.environ.get("KDLAB_EVERY") else BOTH[::5]
ERRORS = '[data-testid="stException"], [data-testid="stAlertContentError"]'
LEGEND = "#kdlab-live-legend button"


def of_method(key: str, values: dict[str, float | None]) -> dict[str, float | None]:
    """Those terms that are the method's own: "fitnet.fitnet", not "ce.ce"."""
    return {name: value for name, value in values.items() if name.startswith(f"{key}.")}


def still(key: str, events: list[Event]) -> list[str]:
    """What of the method does not move, in sentences: terms that keep one value, gradients that are nothing."""
    phases = {event.phase for event in events if isinstance(event, PhaseStarted) and "student" in event.learners}
    own = {f"{key}.{term}" for term in METHODS[key].own_terms}  # by these only the method's own parts learn
    values: dict[str, set[float | None]] = {}
    lengths: dict[str, list[float]] = {}
    for event in events:
        if isinstance(event, Step) and event.phase in phases:
            for name, value in of_method(key, event.terms).items():
                values.setdefault(name, set()).add(value)
        if isinstance(event, Gradients) and event.phase in phases:
            for name, value in of_method(key, event.lengths).items():
                lengths.setdefault(name, []).append(value or 0.0)
    if not values:
        return [f"{key} has no term in any phase of the student"]
    return [
        *(f"{name} is {found} throughout" for name, found in values.items() if len(found) == 1),
        *(f"{name} is once no number" for name, found in values.items() if not all(map(is_number, found))),
        *(f"{name} has no gradient" for name, found in lengths.items() if not any(found) and name not in own),
    ]


def is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


@pytest.mark.parametrize(("key", "data"), TAKEN, ids=[f"{key}-{data}" for key, data in TAKEN])
def test_it_trains_from_the_browser_without_an_error_and_with_every_term_moving(
    app: App, visitor: Visitor, key: str, data: str
) -> None:
    page = visitor.page
    visitor.faults.clear()
    recipe = tiny(key, data).with_setting("scheme.baseline", True)
    page.goto(f"{app.url}/?recipe={quote(recipe.to_text())}")
    page.get_by_role("button", name="Start it", exact=True).click()
    page.wait_for_url("**/watch?run=*")
    page.locator(".stMarkdownBadge", has_text="finished").or_(page.locator(ERRORS)).first.wait_for()
    assert page.locator(ERRORS).all_inner_texts() == []

    run = Shelf(app.runs).run(page.url.partition("run=")[2][:16])
    events = run.events()[0]
    assert isinstance(events[-1], Finished)
    assert still(key, events) == []
    last = [term_name(name) for name in of_method(key, run.history().phases[-1].terms["student"])]
    page.locator(LEGEND).first.wait_for()
    drawn = page.locator(LEGEND).evaluate_all("chips => chips.map((chip) => chip.dataset.name)")
    assert [name for name in last if f"loss {name}" not in drawn] == [], "a curve is not offered"
    assert page.locator(ERRORS).all_inner_texts() == [], "nor below the curves"
    assert visitor.faults == []
