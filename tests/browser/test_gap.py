"""The gap in a real browser: a class clicked on one panel is the choice of all, every picture can be taken along."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kdcore.engine import run as train
from kdcore.recipe import Recipe
from kdcore.runs import Shelf

from .conftest import App, Visitor

FILM = ".kdlab-film"
DRAWN = f"() => {{ const film = document.querySelector('{FILM}'); return film && film.dataset.drawn; }}"
FRAMED = f"""(row) => (document.querySelector('{FILM} .chart').layout.shapes || [])
    .some((shape) => shape.y0 === row - 0.5 && shape.y1 === row + 0.5)"""


@pytest.fixture(scope="module")
def finished(app: App) -> str:
    recipe = Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 300},
            "teacher": {"is": "plain", "width": 8},
            "student": {"is": "plain", "width": 4},
            "methods": [{"is": "ce"}, {"is": "kd"}],
            "training": {"epochs": 2, "teacher_epochs": 2},
        }
    )
    run, _ = Shelf(app.runs).create(recipe)
    for event in train(recipe):
        run.append(event)
    return run.id


def test_a_class_that_is_clicked_is_chosen_in_every_section(
    app: App, visit: Callable[..., Visitor], finished: str
) -> None:
    page = visit(f"{app.url}/gap?run={finished}&show=Classes").page
    page.wait_for_function(DRAWN, timeout=90_000)
    panel = page.locator(f"{FILM} .chart .nsewdrag").nth(1).bounding_box()
    assert panel is not None
    # Ten classes downwards: the middle of the fourth row, the third column.
    page.mouse.click(panel["x"] + 0.25 * panel["width"], panel["y"] + 0.35 * panel["height"])
    page.wait_for_url("**class=3*", timeout=20_000)
    page.wait_for_function(FRAMED, arg=3, timeout=20_000)
    page.get_by_role("radio", name="Dark knowledge").click()
    page.wait_for_function(
        f"() => document.querySelector('{FILM} .lens-bar:not([hidden])') && ({FRAMED})(3)", timeout=90_000
    )
    page.get_by_role("radio", name="Embeddings").click()
    page.wait_for_function(
        f"() => {{ const chart = document.querySelector('{FILM} .chart'); return chart && chart.data && "
        "(chart.data[0].selectedpoints || []).length > 0 && "
        "chart.data[0].selectedpoints.every((row) => chart.data[0].text[row].includes(': a 3,')); }",
        timeout=90_000,
    )
    assert "class=3" in page.url
    assert page.locator('[data-testid="stException"]').count() == 0


def test_a_film_stays_while_its_page_is_drawn_again(app: App, visit: Callable[..., Visitor], finished: str) -> None:
    page = visit(f"{app.url}/gap?run={finished}&show=Classes").page
    page.wait_for_function(DRAWN, timeout=90_000)
    page.wait_for_function(f"() => document.querySelector('{FILM}').dataset.frames === '3'", timeout=90_000)
    page.evaluate(
        f"""() => {{ window.taken = 0;
        new MutationObserver(() => {{ if (!document.querySelector('{FILM} .chart')) window.taken += 1; }})
            .observe(document.body, {{ childList: true, subtree: true }}); }}"""
    )
    for _ in range(20):
        page.keyboard.press("r")  # Streamlit's key for "draw this page again"
        page.wait_for_timeout(200)
    assert page.evaluate("() => window.taken") == 0


def test_the_strip_follows_the_temperature_without_a_word_to_the_server(
    app: App, visit: Callable[..., Visitor], finished: str
) -> None:
    page = visit(f"{app.url}/gap?run={finished}&show=Dark+knowledge").page
    page.wait_for_function(DRAWN, timeout=90_000)
    of = page.locator(f"{FILM} .near .of")
    assert "at T = 4" in of.inner_text()
    page.context.set_offline(True)
    page.locator(f"{FILM} .lens").fill("8")
    page.wait_for_function(
        f"() => document.querySelector('{FILM} .near .of').textContent.endsWith('at T = 20')", timeout=20_000
    )
    told = page.locator(f"{FILM} .near").get_attribute("aria-label") or ""
    assert "at T = 20" in told
    assert "Student alone" in told
    page.context.set_offline(False)


def test_measured_gradients_can_be_taken_as_png_and_svg(app: App, visit: Callable[..., Visitor], finished: str) -> None:
    page = visit(f"{app.url}/gap?run={finished}&show=Gradients").page
    page.wait_for_function(DRAWN, timeout=90_000)
    assert page.locator(FILM).count() == 2, "the lengths, and the cosine of labels and teacher"
    for kind in ("png", "svg"):
        with page.expect_download(timeout=30_000) as kept:
            page.locator(f"{FILM} .{kind}").first.click()
        assert kept.value.suggested_filename.endswith(f".{kind}")


def test_the_pictures_page_says_who_is_nearer_in_the_same_colours(
    app: App, visit: Callable[..., Visitor], finished: str
) -> None:
    page = visit(f"{app.url}/pictures?run={finished}", height=1000).page
    page.wait_for_selector(".kdlab-near .dot.student", timeout=90_000)
    places = {
        part: page.locator(f".kdlab-near .dot.{part}").first.bounding_box()
        for part in ("teacher", "student", "baseline")
    }
    track = page.locator(".kdlab-near .track").first.bounding_box()
    assert track is not None
    for part, box in places.items():
        assert box is not None
        share = float(page.locator(f".kdlab-near .dot.{part}").first.get_attribute("data-near") or "nan")
        assert box["x"] + box["width"] / 2 == pytest.approx(track["x"] + share * track["width"], abs=2)
    assert page.locator('[data-testid="stException"]').count() == 0
