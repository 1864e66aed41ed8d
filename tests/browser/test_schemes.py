"""A stranger watches schemes of every kind to their own pictures; stops a run, has it go on, forks it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest

from kdcore.catalog import SCHEMES
from kdcore.recipe import Recipe
from kdcore.runs import Shelf

from .conftest import App, Visitor

PATIENCE = 120_000
LINE = "#kdlab-live-chart .scatterlayer path.js-line"


def settled(page) -> None:  # type: ignore[no-untyped-def]
    """Wait until the page's script has run through."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=PATIENCE)


def sound(page) -> None:  # type: ignore[no-untyped-def]
    assert page.locator('[data-testid="stException"]').count() == 0


def recipe_in(page) -> Recipe:  # type: ignore[no-untyped-def]
    """The recipe that the address of Begin carries."""
    text = page.evaluate("() => new URL(location.href).searchParams.get('recipe')")
    return Recipe.from_text(text) if text else Recipe()


def until(page, holds: Callable[[], bool], what: str) -> None:  # type: ignore[no-untyped-def]
    deadline = time.time() + PATIENCE / 1000
    while not holds():
        assert time.time() < deadline, what
        page.wait_for_timeout(250)


def start(app: App, visit: Callable[..., Visitor], recipe: Recipe):  # type: ignore[no-untyped-def]
    """Opens Begin on this recipe and starts it; the page is then Watch."""
    page = visit(f"{app.url}/?recipe={quote(recipe.to_text())}").page
    button = page.get_by_role("button", name="Start this distillation")
    button.wait_for(timeout=PATIENCE)
    page.wait_for_selector("text=/^About/", timeout=PATIENCE)
    settled(page)
    button.click(timeout=PATIENCE)
    page.wait_for_url("**/watch?run=*", timeout=PATIENCE)
    return page


WATCHED = {
    "dml": {"peers": 2},
    "mean_teacher": {},
    "ebkd": {},
    "dafl": {},
    "lwf": {"tasks": 2, "joint": False},
}
"""One scheme of each of five kinds (online, self, several teachers, data-free, incremental) -> its settings."""
TINY = {"epochs": 2, "teacher_epochs": 2}
LONG = 200_000
"""Milliseconds until a run has ended: a busy machine takes long, and a test may take 300 s."""
CURVES = """() => document.querySelector('#kdlab-live-chart').data
    .filter((trace) => trace.y.filter((value) => value !== null && isFinite(value)).length > 1)
    .map((trace) => trace.name)"""


@pytest.mark.parametrize("key", list(WATCHED))
def test_a_scheme_of_each_kind_is_started_from_a_link_and_watched_to_its_own_picture(
    app: App, visit: Callable[..., Visitor], key: str
) -> None:
    made = {**Recipe().to_json(), **SCHEMES[key].example}
    made["scheme"] = {**made["scheme"], "is": key, **WATCHED[key]}
    made["training"] = {**made["training"], **TINY}
    made["data"] = {**made["data"], "train_size": 300}
    page = start(app, visit, Recipe.from_json(made))
    page.wait_for_selector('#kdlab-live[data-state="over"]', state="attached", timeout=LONG)
    settled(page)
    run = Shelf(app.runs).run(page.url.partition("run=")[2][:16])
    assert run.state() == "finished", run.history().failure
    page.get_by_text(re.compile(r"Took .* on the")).wait_for(timeout=PATIENCE)
    page.wait_for_selector(LINE, state="attached", timeout=PATIENCE)
    history = run.history()
    drawn = {name.partition(",")[0] for name in page.evaluate(CURVES)}  # one curve a phase: "student, phase 2"
    assert "student" in drawn, "its curve has more than one point"
    titles = list(history.phases[-1].shown)
    assert titles, "the scheme has a picture of its own"
    film = page.locator(".kdlab-film").first
    page.wait_for_selector(".kdlab-film[data-drawn]", timeout=PATIENCE)
    assert page.get_by_text("What this scheme does").count() == 1
    assert page.get_by_text(titles[0], exact=True).count() >= 1
    assert int(film.get_attribute("data-frames")) > 1
    assert film.locator(".main-svg").first.bounding_box()["height"] > 100
    sound(page)


def test_a_fork_is_drawn_as_a_branch_and_a_stopped_run_goes_on(app: App, visit: Callable[..., Visitor]) -> None:
    long = Recipe.from_json({"data": {"is": "digits", "label_noise": 0.6}, "training": {"epochs": 300}, "seed": 77})
    page = start(app, visit, long)
    run = Shelf(app.runs).run(page.url.partition("run=")[2][:16])
    until(page, lambda: (run.folder / "checkpoint.safetensors").is_file(), "a checkpoint is written")
    page.get_by_role("button", name="Stop", exact=True).click(timeout=PATIENCE)
    go_on = page.get_by_role("button", name="Go on", exact=True)
    go_on.wait_for(timeout=PATIENCE)
    before = len(run.history().phases)
    settled(page)
    go_on.click(timeout=PATIENCE)
    until(page, lambda: run.state() == "running", "the run goes on")
    page.get_by_role("button", name="Stop", exact=True).wait_for(timeout=PATIENCE)
    until(page, lambda: run.state() == "finished", "the run ends")
    assert len(run.history().phases) >= before
    page.wait_for_selector("text=/than the student alone|no difference/i", timeout=PATIENCE)
    settled(page)
    page.get_by_role("button", name="Fork").click(timeout=PATIENCE)
    page.get_by_role("button", name="Open it in Begin").click(timeout=PATIENCE)
    page.wait_for_url("**/?recipe=*", timeout=PATIENCE)
    page.get_by_text("A fork.").wait_for(timeout=PATIENCE)
    fork = recipe_in(page)
    assert fork.parent is not None
    assert fork.parent.run == run.id
    child = fork.with_setting("methods.0.temperature", 9.0)
    page = start(app, visit, child)
    page.wait_for_selector("text=/than the student alone|no difference/i", timeout=PATIENCE)
    page.wait_for_selector(LINE, state="attached", timeout=PATIENCE)
    names = page.evaluate(
        "() => document.querySelector('#kdlab-live-chart').data.map((trace) => [trace.name, trace.opacity, trace.x[0]])"
    )
    drawn = {name: (opacity, first) for name, opacity, first in names}
    assert drawn["parent: student"][0] < 1.0
    assert drawn["student"][1] > drawn["parent: student"][1], "the child's curve begins where it forked"
    sound(page)
    assert json.loads((Shelf(app.runs).run(page.url.partition("run=")[2][:16]).folder / "recipe.json").read_text())
