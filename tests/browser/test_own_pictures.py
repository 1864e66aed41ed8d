"""A picture of one's own in a real browser: drawn with the mouse, answered when the pen is lifted, or uploaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from kdcore.engine import run as train
from kdcore.recipe import Recipe
from kdcore.runs import Shelf

from .conftest import App, Visitor

CANVAS = ".kdlab-canvas canvas"
LIT = f"""() => {{
  const paper = document.querySelector("{CANVAS}");
  const pixels = paper ? paper.getContext("2d").getImageData(0, 0, paper.width, paper.height).data : [];
  return pixels.filter((value, place) => place % 4 === 0 && value > 200).length;
}}"""
"""Pixels of the canvas with ink on them."""
OWN = "new URL(location).searchParams.get('own')"
"""What the address names as one's own picture."""


@pytest.fixture(scope="module")
def run_id(app: App) -> str:
    recipe = Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 300},
            "teacher": {"is": "plain", "width": 8},
            "student": {"is": "plain", "width": 4},
            "training": {"epochs": 1, "teacher_epochs": 1},
        }
    )
    run, _ = Shelf(app.runs).create(recipe)
    for event in train(recipe):
        run.append(event)
    return run.id


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_drawing_is_answered_when_the_pen_is_lifted_and_wiped_off_again(
    app: App, visit: Callable[..., Visitor], run_id: str, scheme: str
) -> None:
    page = visit(f"{app.url}/pictures?run={run_id}&pictures=Draw+one", scheme=scheme).page
    page.wait_for_selector(CANVAS, timeout=60_000)
    page.wait_for_timeout(500)
    page.evaluate(f"document.querySelector('{CANVAS}')._mark = 'kept'")
    box = page.locator(CANVAS).bounding_box()
    named = ""
    for across in (0.4, 0.6):  # the address names what was drawn so far: each stroke has another name
        page.mouse.move(box["x"] + across * box["width"], box["y"] + 0.15 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + across * box["width"], box["y"] + 0.85 * box["height"], steps=5)
        page.mouse.up()
        page.wait_for_function(f"{OWN} && {OWN} !== '{named}'", timeout=90_000)
        named = page.evaluate(OWN)
    page.get_by_text("in your picture (truth unknown)").wait_for(timeout=90_000)
    assert page.evaluate(f"document.querySelector('{CANVAS}')._mark") == "kept"
    assert page.locator(".kdlab-canvas").get_attribute("data-sent") == "2"
    before = page.evaluate(LIT)
    assert before > 1000

    page.reload()  # the address keeps it, and one can go on drawing
    page.get_by_text("in your picture (truth unknown)").wait_for(timeout=90_000)
    page.wait_for_function(f"({LIT})() > {3 * before // 4}", timeout=60_000)  # both strokes, coarser than drawn

    page.locator(".kdlab-canvas .clear").click()
    page.get_by_text("what the networks make of it stands here").wait_for(timeout=60_000)
    assert page.evaluate(LIT) == 0
    assert "own=" not in page.url


def test_a_file_is_shown_and_a_broken_one_answered_beside_the_widget(
    app: App, visit: Callable[..., Visitor], run_id: str, tmp_path: Path
) -> None:
    picture = Image.new("RGB", (300, 200), (240, 235, 220))
    ImageDraw.Draw(picture).line([(120, 40), (180, 40), (140, 160)], fill=(20, 20, 60), width=14)
    picture.save(tmp_path / "seven.jpg")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    page = visit(f"{app.url}/pictures?run={run_id}&pictures=Upload+one").page
    page.wait_for_selector("input[type=file]", state="attached", timeout=60_000)
    page.set_input_files("input[type=file]", tmp_path / "broken.png")
    page.get_by_text("no PNG or JPEG picture that can be read").wait_for(timeout=30_000)
    page.set_input_files("input[type=file]", tmp_path / "seven.jpg")
    page.get_by_text("made grey, its dark and light swapped").wait_for(timeout=60_000)
    page.get_by_text("no PNG or JPEG picture that can be read").wait_for(state="detached", timeout=10_000)
