"""Every scheme: chosen in Begin by a link, filled in with its own example by a click, started, and watched to its end.

A plain run of the suite takes a few of these, since tests/schemes trains every scheme without a browser and
test_schemes.py watches one of each kind; with KDLAB_EVERY=1 it takes all of them. With `-s` it says how long each
took from the click on its start to the last picture.
"""

from __future__ import annotations

import json
import os
import time
from urllib.parse import quote

import pytest

from app.draft import tidy
from app.live.series import role_name
from app.views.shown import films_of
from kdcore.catalog import SCHEMES, catalog
from kdcore.events import Finished, Step
from kdcore.recipe import Recipe
from kdcore.runs import Shelf
from kdcore.scheme_table import example

from .conftest import App, Visitor

FEW = ("offline", "rocket", "cs_kd")
"""One that has no picture of its own, one on points, and one of those that no other test watches."""
PLAIN = ("offline",)
"""Schemes that show nothing but what every page shows: the curves, and what the networks say of pictures."""
TAKEN = sorted(SCHEMES) if os.environ.get("KDLAB_EVERY") else FEW
MINUTES = 5
"""Within a few minutes on two cores."""
PATIENCE = MINUTES * 60_000
ERRORS = '[data-testid="stException"], [data-testid="stAlertContentError"]'
FILM = ".kdlab-film[data-drawn]"
TELLS = "() => new URL(location.href).searchParams.get('recipe') || ''"
DRAWN = """(names) => {
    const drawn = document.querySelector('#kdlab-live-chart').data
        .filter((trace) => trace.y.filter((value) => value !== null && isFinite(value)).length > 1)
        .map((trace) => trace.name.split(',')[0]);
    return names.every((name) => drawn.includes(name));
}"""
"""Whether every network that learned has a curve."""


def settled(page) -> None:  # type: ignore[no-untyped-def]
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


@pytest.mark.timeout(MINUTES * 60 + 120)
@pytest.mark.parametrize("key", TAKEN)
def test_its_example_runs_from_the_browser_to_its_own_picture(app: App, visitor: Visitor, key: str) -> None:
    page = visitor.page
    visitor.faults.clear()
    bare = json.dumps({"scheme": {"is": key}})
    page.goto(f"{app.url}/?recipe={quote(bare)}")
    page.get_by_role("tab", name="Scheme").click()
    settled(page)
    if SCHEMES[key].example:
        page.get_by_role("button", name="Example of this scheme").click()
    wanted = tidy(example(key), catalog())
    deadline = time.monotonic() + 60
    while (told := page.evaluate(TELLS)) == "" or Recipe.from_text(told).id != wanted.id:
        assert time.monotonic() < deadline, f"Begin holds {told}, not {wanted.to_text()}"
        page.wait_for_timeout(200)
    settled(page)
    begun = time.monotonic()
    start = page.get_by_role("button", name="Start this distillation")
    start.or_(page.get_by_role("button", name="Open the finished run")).first.click()  # another test may have run it
    page.wait_for_url("**/watch?run=*")
    page.locator(".stMarkdownBadge", has_text="finished").or_(page.locator(ERRORS)).first.wait_for(timeout=PATIENCE)
    assert page.locator(ERRORS).all_inner_texts() == []

    run = Shelf(app.runs).run(page.url.partition("run=")[2][:16])
    events, _ = run.events()
    assert isinstance(events[-1], Finished)
    history = run.history()
    assert history.started is not None
    learners = {event.learner for event in events if isinstance(event, Step)} & set(history.started.roles)
    page.wait_for_function(DRAWN, arg=sorted(role_name(role, history) for role in learners))

    titles = list(films_of(history))
    assert bool(titles) == (key not in PLAIN)
    for title in titles:
        if len(titles) > 1:
            page.get_by_role("radio", name=title, exact=True).click()
        page.locator("strong", has_text=title).first.wait_for()
        settled(page)
        film = page.locator(FILM).first
        film.wait_for()
        assert int(film.get_attribute("data-frames")) >= 1
        assert film.locator(".main-svg").first.bounding_box()["height"] > 100
    taken = time.monotonic() - begun
    print(f"\n{key}: {taken:.0f} s from the click to the last of {len(titles)} pictures")
    assert page.locator(ERRORS).all_inner_texts() == [], "nor below the curves"
    assert visitor.faults == []
    assert taken < MINUTES * 60
