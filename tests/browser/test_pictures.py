"""The page Pictures in a real browser: choosing answers at once, reasons follow, the temperature stays in the page."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kdcore.engine import run as train
from kdcore.recipe import Recipe
from kdcore.runs import Shelf

from .conftest import App, Visitor

GALLERY = ".kdlab-gallery"
TALLEST = f"() => Math.max(...document.querySelector('{GALLERY} .chart').data[0].y)"


@pytest.fixture(scope="module")
def run_id(app: App) -> str:
    recipe = Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 300},
            "teacher": {"is": "plain", "width": 8},
            "student": {"is": "plain", "width": 4},
            "training": {"epochs": 2, "teacher_epochs": 2},
        }
    )
    run, _ = Shelf(app.runs).create(recipe)
    for event in train(recipe):
        run.append(event)
    return run.id


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chosen_picture_brings_its_reasons_and_the_temperature_its_bars(
    app: App, visit: Callable[..., Visitor], run_id: str, scheme: str
) -> None:
    page = visit(f"{app.url}/pictures?run={run_id}&which=All+pictures", scheme=scheme).page
    page.wait_for_selector(".js-plotly-plot .heatmaplayer", timeout=90_000)
    page.wait_for_selector(f"{GALLERY} .chart .barlayer .point", timeout=60_000)
    page.evaluate(f"document.querySelector('{GALLERY} .chart')._mark = 'kept'")

    card = page.locator(f"{GALLERY} .cards button").nth(3)
    place = card.get_attribute("data-place")
    card.click()
    page.wait_for_selector(f"{GALLERY}[data-chosen='{place}']", timeout=5_000)
    page.get_by_text(f"in validation picture {place} (").wait_for(timeout=60_000)
    page.wait_for_url(f"**picture={place}*", timeout=10_000)
    assert card.get_attribute("aria-pressed") == "true"

    before = page.evaluate(TALLEST)
    page.locator(f"{GALLERY} .heat").fill("1")
    page.wait_for_function(f"({TALLEST})() < {before}", timeout=10_000)
    assert page.locator(f"{GALLERY} .degrees").inner_text() == "T = 20"
    assert page.evaluate(f"document.querySelector('{GALLERY} .chart')._mark") == "kept"

    page.reload()
    page.wait_for_selector(f"{GALLERY}[data-chosen='{place}']", timeout=60_000)
    assert page.locator('[data-testid="stException"]').count() == 0
