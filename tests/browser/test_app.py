"""A stranger in a real browser: from the first click to the result, in several tabs, on every page, with bad links."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from kdcore.recipe import Recipe
from kdcore.runs import Shelf

from .conftest import App, Visitor, start_app

PAGES = ["", "watch", "look", "gap", "pictures", "runs", "methods", "same"]
LINE = "#kdlab-live-chart .scatterlayer path.js-line"
MARK = """() => {
    const chart = document.querySelector('#kdlab-live-chart');
    chart._mark = 'kept';
    chart.querySelector('.main-svg')._mark = 'kept';
    window._updates = 0;
    chart.on('plotly_afterplot', () => { window._updates += 1; });
}"""
KEPT = """() => {
    const chart = document.querySelector('#kdlab-live-chart');
    return [chart._mark, chart.querySelector('.main-svg')._mark, window._updates];
}"""


def at(app: App, path: str = "", **params: str) -> str:
    query = "&".join(f"{name}={quote(value)}" for name, value in params.items())
    return f"{app.url}/{path}" + (f"?{query}" if query else "")


def recipe_of(**changes: object) -> Recipe:
    return Recipe.from_json({"data": {"is": "digits", "label_noise": 0.6}, "training": {"epochs": 30}, **changes})


def no_exception(page) -> None:  # type: ignore[no-untyped-def]
    assert page.locator('[data-testid="stException"]').count() == 0


def settled(page) -> None:  # type: ignore[no-untyped-def]
    """Wait until the page's script has run through."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=60_000)


def start(app: App, visit: Callable[..., Visitor], recipe: Recipe) -> Visitor:
    """Opens Begin on a recipe's link and starts it by a click."""
    visitor = visit(at(app, recipe=recipe.to_text()))
    page = visitor.page
    button = page.get_by_role("button", name="Start this distillation")
    button.wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    button.click()
    page.wait_for_url("**/watch?run=*", timeout=30_000)
    return visitor


def run_id(page) -> str:  # type: ignore[no-untyped-def]
    return page.url.partition("run=")[2][:16]


@pytest.fixture(scope="module")
def finished(app: App, chromium) -> str:  # type: ignore[no-untyped-def]
    """The first experiment, started by the one big button and followed to its end; every update keeps the chart."""
    page = chromium.new_page(viewport={"width": 1366, "height": 768})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(at(app))
    button = page.get_by_role("button", name="Start the first experiment")
    button.wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    button.click()
    page.wait_for_url("**/watch?run=*", timeout=30_000)
    page.wait_for_selector(LINE, timeout=60_000)
    page.evaluate(MARK)
    page.wait_for_selector("text=/points more than the student alone|no difference|Distillation/", timeout=120_000)
    chart, drawing, updates = page.evaluate(KEPT)
    assert (chart, drawing) == ("kept", "kept")
    assert updates >= 2
    no_exception(page)
    assert faults == []
    found = run_id(page)
    page.close()
    return found


def test_the_first_experiment_shows_a_clear_gain(app: App, finished: str) -> None:
    results = Shelf(app.runs).run(finished).history().results
    assert results["student"]["test_accuracy"] > results["baseline"]["test_accuracy"] + 0.05


def test_zoom_and_legend_choices_survive_updates(app: App, visit: Callable[..., Visitor]) -> None:
    page = start(app, visit, recipe_of(training={"epochs": 400, "teacher_epochs": 150}, seed=11)).page
    page.wait_for_selector(LINE, timeout=60_000)
    page.wait_for_timeout(1500)
    page.evaluate(MARK)
    page.evaluate(
        """() => { const chart = document.querySelector('#kdlab-live-chart');
        return window.Plotly.relayout(chart, {'yaxis2.range[0]': 20, 'yaxis2.range[1]': 60}); }"""
    )
    curve = page.locator("#kdlab-live-legend button").last
    curve.click()
    named = curve.get_attribute("data-name")
    before = page.evaluate("() => window._updates")
    page.wait_for_function(f"() => window._updates > {before + 3}", timeout=60_000)
    found = page.evaluate(
        """() => { const chart = document.querySelector('#kdlab-live-chart');
        return [chart._fullLayout.yaxis2.range, chart._mark, chart.querySelector('.main-svg')._mark]; }"""
    )
    assert found == [[20, 60], "kept", "kept"]
    assert page.locator(f"#kdlab-live-legend button[data-name='{named}']").get_attribute("aria-pressed") == "false"
    page.get_by_role("button", name="Stop").click()
    stopped = Shelf(app.runs).run(run_id(page))
    deadline = time.time() + 30
    while stopped.state() != "stopped" and time.time() < deadline:
        page.wait_for_timeout(200)
    assert stopped.state() == "stopped"
    assert stopped.history().phases


def test_another_browser_and_a_reload_see_the_same_run(app: App, visit: Callable[..., Visitor], finished: str) -> None:
    for _ in range(2):
        page = visit(at(app, "watch", run=finished)).page
        page.wait_for_selector(LINE, timeout=60_000)
        page.reload()
        page.wait_for_selector(LINE, timeout=60_000)
        assert page.locator("text=/than the student alone/").count() > 0
        no_exception(page)


def test_back_from_a_reloaded_run_brings_its_recipe_and_forward_the_run(
    app: App, visit: Callable[..., Visitor]
) -> None:
    recipe = recipe_of(seed=41, training={"epochs": 2, "teacher_epochs": 2})
    page = start(app, visit, recipe).page
    watched = page.url
    page.reload()
    page.wait_for_selector(LINE, state="attached", timeout=60_000)
    page.go_back()
    page.get_by_text("What will happen").wait_for(timeout=60_000)
    settled(page)
    page.get_by_role("tab", name="5 · Budget").click()
    assert page.locator("[class*=st-key-seed] input").first.input_value() == "41"
    page.go_forward()
    page.wait_for_url(watched, timeout=60_000)
    page.wait_for_selector(LINE, state="attached", timeout=60_000)
    no_exception(page)


def test_two_tabs_starting_the_same_recipe_get_the_same_run(app: App, visit: Callable[..., Visitor]) -> None:
    recipe = recipe_of(seed=21)
    first, second = (start(app, visit, recipe).page for _ in range(2))
    assert run_id(first) == run_id(second)
    assert [run.id for run in Shelf(app.runs).runs()].count(run_id(first)) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_without_an_error(
    app: App, visit: Callable[..., Visitor], finished: str, path: str, scheme: str
) -> None:
    params = {"run": finished} if path in ("watch", "look", "gap", "pictures", "same") else {}
    page = visit(at(app, path, **params), scheme=scheme).page
    page.wait_for_selector('[data-testid="stMainBlockContainer"]', timeout=60_000)
    settled(page)
    page.wait_for_timeout(1500)
    settled(page)
    no_exception(page)
    assert len(page.locator('[data-testid="stMainBlockContainer"]').inner_text()) > 100
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0


@pytest.mark.parametrize("path", ["look", *[path for path in PAGES if path != "look"]])  # a deep link comes first
def test_an_empty_shelf_says_what_will_stand_there(empty: App, visit: Callable[..., Visitor], path: str) -> None:
    page = visit(at(empty, path), width=390, height=844).page
    page.wait_for_selector('[data-testid="stMainBlockContainer"]', timeout=60_000)
    settled(page)
    no_exception(page)
    assert len(page.locator('[data-testid="stMainBlockContainer"]').inner_text()) > 40
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    found = start_app(tmp_path_factory.mktemp("empty") / "runs")
    yield found
    found.stop()


@pytest.mark.parametrize(
    ("path", "params", "words"),
    [
        ("", {"recipe": "{"}, "not JSON"),
        ("", {"recipe": json.dumps({"version": 99})}, "newer KD Lab"),
        ("", {"recipe": json.dumps({"student": {"is": "<script>alert(1)</script>"}})}, "is no network"),
        ("", {"recipe": json.dumps({"data": {"is": "folder", "name": "../../etc"}})}, "name"),
        ("watch", {"run": "../../../etc/passwd"}, "run"),
        ("look", {"run": "0123456789abcdef"}, "run"),
    ],
)
def test_a_bad_link_is_answered_with_a_sentence(
    app: App, visit: Callable[..., Visitor], path: str, params: dict[str, str], words: str
) -> None:
    runs = {run.id for run in Shelf(app.runs).runs()}
    page = visit(at(app, path, **params)).page
    page.wait_for_selector('[data-testid="stAlert"]:visible', timeout=60_000)
    settled(page)
    assert any(words in text for text in page.locator('[data-testid="stAlert"]:visible').all_inner_texts())
    no_exception(page)
    assert {run.id for run in Shelf(app.runs).runs()} == runs


def test_a_run_on_fashion_mnist_started_in_the_browser_shows_its_difference(
    app: App, visit: Callable[..., Visitor]
) -> None:
    if not (Path(os.environ.get("KDLAB_DATA", "")) / "FashionMNIST" / "raw").is_dir():
        pytest.skip("needs Fashion-MNIST: set KDLAB_DATA to a folder that holds FashionMNIST/raw")
    recipe = recipe_of(
        data={"is": "fashion_mnist", "train_size": 2000, "labelled": 0.03},
        teacher={"is": "plain", "width": 8},
        student={"is": "plain", "width": 4},
        training={"epochs": 6, "teacher_epochs": 4, "batch": 64},
    )
    page = start(app, visit, recipe).page
    page.wait_for_selector(LINE, timeout=90_000)
    page.wait_for_selector("text=/than the student alone|no difference/i", timeout=180_000)
    results = Shelf(app.runs).run(run_id(page)).history().results
    assert results["student"]["count"] == 10_000
    no_exception(page)


def test_when_the_app_ends_its_idle_workers_end(tmp_path: Path, visit: Callable[..., Visitor]) -> None:
    own = start_app(tmp_path / "runs")
    try:
        page = visit(at(own)).page
        page.get_by_role("button", name="Start the first experiment").wait_for(timeout=60_000)
        deadline = time.time() + 60
        while not own.workers() and time.time() < deadline:
            page.wait_for_timeout(200)
        assert own.workers()
    finally:
        own.stop()
    deadline = time.time() + 30
    while own.workers() and time.time() < deadline:
        time.sleep(0.2)
    assert own.workers() == []
