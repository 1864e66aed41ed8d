"""Looking inside in a real browser: epochs are scrubbed, a cell leads to its maps, one choice holds everywhere."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import pytest

from kdcore.engine import run as train
from kdcore.events import Event, Snapshot
from kdcore.recipe import Recipe
from kdcore.run import Run
from kdcore.runs import Shelf

from .conftest import App, Visitor

FILM = ".kdlab-film"
READY = f"""(count) => {{ const film = document.querySelector('{FILM}');
    return film && film.dataset.frames === String(count) && Number(film.dataset.stills) >= count; }}"""
MARK = f"document.querySelector('{FILM} .chart')._mark = 'kept'"
MARKED = f"document.querySelector('{FILM} .chart')._mark"
ZOOMED = f"document.querySelector('{FILM} .chart')._fullLayout.yaxis.range"
# Milliseconds of script from each move of the slider to the end of the drawing that follows it.
DRAGGED = f"""async () => {{
    const film = document.querySelector('{FILM}'), slider = film.querySelector('.slider'), spent = [], seen = new Set();
    slider.dispatchEvent(new PointerEvent('pointerdown'));
    for (let move = 0; move < 40; move += 1) {{
        const began = performance.now();
        slider.value = String((Number(slider.value) + 1) % (Number(slider.max) + 1));
        slider.dispatchEvent(new Event('input', {{ bubbles: true }}));
        let script = performance.now() - began;
        await new Promise((drawn) => requestAnimationFrame(() => drawn()));
        spent.push(script + (window._script || 0));
        seen.add(film.dataset.frame);
        window._script = 0;
    }}
    window.dispatchEvent(new PointerEvent('pointerup'));
    return [spent, seen.size];
}}"""
CLOCK = """() => { const ask = window.requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (call) => ask((time) => {
        const began = performance.now(); call(time); window._script = (window._script || 0) + performance.now() - began;
    }); }"""


def recipe(**changes: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 300},
            "teacher": {"is": "plain", "width": 8},
            "student": {"is": "plain", "width": 4},
            "training": {"epochs": 4, "teacher_epochs": 2},
            **changes,
        }
    )


@pytest.fixture(scope="module")
def finished(app: App) -> str:
    run, _ = Shelf(app.runs).create(recipe())
    for event in train(recipe()):
        run.append(event)
    return run.id


def said(page, name: str) -> str:  # type: ignore[no-untyped-def]
    return parse_qs(urlsplit(page.url).query).get(name, [""])[0]


def at_epoch(page, epoch: int) -> None:  # type: ignore[no-untyped-def]
    """Waits until the film stands at that epoch, with the figure itself in place of a still."""
    page.wait_for_selector(f"{FILM}[data-epoch='{epoch}'][data-drawn]", timeout=60_000)
    page.wait_for_function(f"() => !document.querySelector('{FILM} .still:not([hidden])')", timeout=20_000)


def address_says(page, name: str, value: str) -> None:  # type: ignore[no-untyped-def]
    page.wait_for_function(
        "([name, value]) => (new URLSearchParams(location.search).get(name) || '') === value", arg=[name, value],
        timeout=20_000,
    )  # fmt: skip


def quiet(page) -> None:  # type: ignore[no-untyped-def]
    assert page.locator('[data-testid="stException"]').count() == 0


def test_epochs_are_scrubbed_by_keys_and_by_dragging_and_stay_chosen_everywhere(
    app: App, visit: Callable[..., Visitor], finished: str
) -> None:
    page = visit(f"{app.url}/look?run={finished}&view=Feature+maps").page
    page.wait_for_function(READY, arg=5, timeout=90_000)
    page.evaluate(MARK)
    page.locator(f"{FILM} .slider").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    at_epoch(page, 2)
    address_says(page, "epoch", "2")

    slider = page.locator(f"{FILM} .slider").bounding_box()
    assert slider is not None
    page.mouse.move(slider["x"] + slider["width"] / 2, slider["y"] + slider["height"] / 2)
    page.mouse.down()
    page.mouse.move(slider["x"] + slider["width"] / 4, slider["y"] + slider["height"] / 2)
    page.wait_for_selector(f"{FILM}[data-epoch='1']", timeout=5_000)
    assert page.locator(f"{FILM} .still:not([hidden])").count() == 1, "what is dragged shows a still"
    assert said(page, "epoch") == "2", "the server is told once the hand rests"
    page.mouse.up()
    at_epoch(page, 1)
    address_says(page, "epoch", "1")
    assert page.evaluate(MARKED) == "kept"

    page.get_by_role("link", name="The gap").click()
    page.wait_for_url("**/gap?*", timeout=20_000)
    at_epoch(page, 1)
    address_says(page, "epoch", "1")
    quiet(page)


def test_what_is_dragged_answers_within_a_frame(app: App, visit: Callable[..., Visitor], finished: str) -> None:
    page = visit(f"{app.url}/look?run={finished}&view=Feature+maps").page
    page.evaluate(CLOCK)
    page.wait_for_function(READY, arg=5, timeout=90_000)
    page.wait_for_timeout(1000)
    spent, frames = page.evaluate(DRAGGED)
    assert frames == 5
    assert statistics.median(spent) <= 16


def test_a_cell_leads_to_its_maps_and_a_reload_shows_the_same(
    app: App, visit: Callable[..., Visitor], finished: str
) -> None:
    page = visit(f"{app.url}/look?run={finished}&view=Similarity+(CKA)", height=1600).page
    page.wait_for_function(READY, arg=5, timeout=90_000)
    page.locator(f"{FILM} .slider").first.focus()
    page.keyboard.press("ArrowLeft")
    at_epoch(page, 3)
    address_says(page, "epoch", "3")
    panel = page.locator(f"{FILM} .chart .nsewdrag").first.bounding_box()
    assert panel is not None
    # Three layers of the student downwards, three of the teacher across: the field in the middle.
    page.mouse.click(panel["x"] + panel["width"] / 2, panel["y"] + panel["height"] / 2)
    address_says(page, "layers", "1-1")
    maps = page.locator(FILM).nth(1)
    maps.locator(".chart .heatmaplayer").first.wait_for(timeout=60_000)
    page.wait_for_function(f"() => document.querySelectorAll('{FILM}')[1].dataset.epoch === '3'", timeout=20_000)
    shown = "() => { const film = document.querySelectorAll('.kdlab-film')[1]; return film && film.dataset.drawn \
        && [film.dataset.epoch, film.querySelector('.says').textContent]; }"
    page.wait_for_timeout(500)
    before = page.evaluate(shown)

    page.reload()
    page.wait_for_function(shown, timeout=60_000)
    page.wait_for_function(f"(before) => String(({shown})()) === String(before)", arg=before, timeout=20_000)
    assert (said(page, "epoch"), said(page, "layers")) == ("3", "1-1")
    page.get_by_text("Feature maps", exact=True).first.click()
    address_says(page, "view", "")
    assert said(page, "layers") == "1-1", "the pair stays chosen in other sections"
    quiet(page)


def test_the_temperature_is_a_lens_at_every_epoch(app: App, visit: Callable[..., Visitor], finished: str) -> None:
    page = visit(f"{app.url}/gap?run={finished}&show=Dark+knowledge&epoch=2", scheme="dark").page
    page.wait_for_function(READY, arg=5, timeout=90_000)
    at_epoch(page, 2)
    page.evaluate(MARK)
    tallest = f"() => Math.max(...document.querySelector('{FILM} .chart').data.at(-1).y)"
    before = page.evaluate(tallest)
    page.locator(f"{FILM} .lens").fill("8")
    page.wait_for_function(f"(before) => ({tallest})() < before", arg=before, timeout=10_000)
    assert page.locator(f"{FILM} .degrees").inner_text() == "20"
    page.locator(f"{FILM} .slider").focus()
    page.keyboard.press("ArrowRight")
    at_epoch(page, 3)
    assert page.locator(f"{FILM} .degrees").inner_text() == "20", "the temperature stays over the epochs"
    assert page.evaluate(MARKED) == "kept"
    quiet(page)


def test_points_drawn_around_are_chosen_in_every_panel_and_show_their_pictures(
    app: App, visit: Callable[..., Visitor], finished: str
) -> None:
    page = visit(f"{app.url}/gap?run={finished}&show=Embeddings").page
    page.wait_for_function(READY, arg=5, timeout=90_000)
    panel = page.locator(f"{FILM} .chart .nsewdrag").first.bounding_box()
    assert panel is not None
    left, top, right, bottom = (
        panel["x"] + 0.1 * panel["width"],
        panel["y"] + 0.1 * panel["height"],
        panel["x"] + 0.9 * panel["width"],
        panel["y"] + 0.6 * panel["height"],
    )
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    page.wait_for_selector(f"{FILM}[data-brushed]", timeout=10_000)
    page.wait_for_selector(".kdlab-hardest figure", timeout=20_000)
    picked = "(number) => document.querySelector('.kdlab-film .chart').data[number].selectedpoints"
    page.wait_for_function(f"() => ({picked})(2)", timeout=10_000)
    rows = page.evaluate(picked, 0)
    assert len(rows) == int(page.locator(FILM).get_attribute("data-brushed") or 0) > 0
    assert page.evaluate(picked, 2) == rows
    page.locator(f"{FILM} .slider").focus()
    page.keyboard.press("ArrowLeft")
    at_epoch(page, 3)
    assert page.evaluate(picked, 0) == rows, "the same points stand out at another epoch"
    near = f"{FILM} .near .dot"
    assert 0.0 <= float(page.locator(f"{near}.student").get_attribute("data-near")) <= 1.0
    assert page.locator(f"{near}.teacher").get_attribute("data-near") == "1"
    one = page.get_by_role("radio").filter(has_text="#").first
    number = one.inner_text().strip().removeprefix("#")
    one.click()
    page.wait_for_url(f"**test={number}*", timeout=20_000)
    page.get_by_role("radio", name="Dark knowledge").click()
    page.wait_for_function(
        f"() => [...document.querySelectorAll('input[type=number]')].some((one) => one.value === '{number}')",
        timeout=60_000,
    )
    quiet(page)


LONELIEST = f"""() => {{
    const chart = document.querySelector('{FILM} .chart'), {{ x, y }} = chart._fullData[0], layout = chart._fullLayout;
    const at = Array.from(x, (value, row) => [layout.xaxis.l2p(value), layout.yaxis.l2p(y[row])]);
    const apart = at.map(([left, top], row) => Math.min(...at.map(([a, b], other) =>
        other === row ? Infinity : Math.hypot(a - left, b - top))));
    const row = apart.indexOf(Math.max(...apart));
    return [row, ...at[row]];
}}"""


def test_a_single_point_can_be_clicked_and_is_the_test_input_of_all_panels(
    app: App, visit: Callable[..., Visitor], finished: str
) -> None:
    page = visit(f"{app.url}/gap?run={finished}&show=Embeddings", height=1100).page
    page.wait_for_function(READY, arg=5, timeout=90_000)
    at_epoch(page, 4)
    row, left, top = page.evaluate(LONELIEST)
    panel = page.locator(f"{FILM} .chart .nsewdrag").first.bounding_box()
    assert panel is not None
    page.mouse.move(panel["x"] + left, panel["y"] + top)
    page.locator(f"{FILM} .chart .hoverlayer .hovertext").first.wait_for(timeout=30_000)
    page.mouse.click(panel["x"] + left, panel["y"] + top)
    page.wait_for_selector(f"{FILM}[data-brushed='1']", timeout=30_000)
    picked = "(number) => document.querySelector('.kdlab-film .chart').data[number].selectedpoints"
    page.wait_for_function(f"() => ({picked})(2)", timeout=30_000)
    assert page.evaluate(picked, 0) == page.evaluate(picked, 1) == page.evaluate(picked, 2) == [row]
    page.locator(".kdlab-hardest figure").first.wait_for(timeout=20_000)
    assert page.locator(".kdlab-hardest figure").count() == 1
    page.wait_for_url("**test=*", timeout=20_000)
    assert f"#{said(page, 'test')}" in page.locator(".kdlab-hardest figcaption").inner_text()
    page.get_by_role("radio", name="Dark knowledge").click()
    page.wait_for_function(
        "(number) => [...document.querySelectorAll('input[type=number]')].some((one) => one.value === number)",
        arg=said(page, "test"), timeout=60_000,
    )  # fmt: skip
    quiet(page)


def test_pictures_picked_from_the_gallery_stay_picked(app: App, visit: Callable[..., Visitor], finished: str) -> None:
    page = visit(f"{app.url}/look?run={finished}&view=Channel+partners").page
    page.wait_for_function(READY, arg=5, timeout=90_000)
    page.get_by_role("button", name="Gallery").click()
    cards = page.locator(".kdlab-gallery .cards button")
    cards.first.wait_for(timeout=60_000)
    for place in (4, 7):
        number = cards.nth(place).get_attribute("data-place")
        cards.nth(place).click()
        page.locator(f"{FILM} .says", has_text=f"validation picture {number} (").wait_for(timeout=60_000)
        page.wait_for_timeout(2500)  # what the old control says comes late, if it comes
        assert said(page, "picture") == number
        assert page.get_by_label("Picture", exact=True).input_value() == number
        page.locator(f"{FILM} .says", has_text=f"validation picture {number} (").wait_for(timeout=1000)
    page.keyboard.press("Escape")
    page.get_by_text("Activation boundaries", exact=True).click()
    page.wait_for_function(
        "(number) => document.querySelector('input[aria-label=\"Picture 1\"]')?.value === number", arg=number,
        timeout=60_000,
    )  # fmt: skip
    quiet(page)


def test_a_film_grows_while_the_run_trains_and_keeps_zoom_and_place(app: App, visit: Callable[..., Visitor]) -> None:
    told = list(train(recipe(seed=5)))
    run, _ = Shelf(app.runs).create(recipe(seed=5))
    taught = [place for place, event in enumerate(told) if isinstance(event, Snapshot)]
    last = max(event.phase for event in told if isinstance(event, Snapshot))
    parts = [place for place in taught if told[place].phase == last]
    append(run, told[: parts[1] + 1])
    page = visit(f"{app.url}/gap?run={run.id}").page
    page.wait_for_function(READY, arg=2, timeout=90_000)
    page.evaluate(MARK)
    whole = page.evaluate(ZOOMED)
    panel = page.locator(f"{FILM} .chart .nsewdrag").first.bounding_box()
    assert panel is not None
    page.mouse.move(panel["x"] + 0.3 * panel["width"], panel["y"] + 0.3 * panel["height"])
    page.mouse.down()
    page.mouse.move(panel["x"] + 0.7 * panel["width"], panel["y"] + 0.7 * panel["height"], steps=5)
    page.mouse.up()
    page.wait_for_function(f"(whole) => String({ZOOMED}) !== String(whole)", arg=whole, timeout=10_000)
    zoomed = page.evaluate(ZOOMED)
    page.evaluate(
        """() => { window._blank = 0; const look = () => { const chart = document.querySelector('.kdlab-film .chart');
        if (!chart || (!chart.querySelector('.main-svg')) ) window._blank += 1;
        requestAnimationFrame(look); }; look(); }"""
    )
    for begin, end in pairwise(parts[1:]):
        append(run, told[begin + 1 : end + 1])
        count = parts.index(end) + 1
        page.wait_for_selector(f"{FILM}[data-frames='{count}']", timeout=60_000)
        at_epoch(page, count - 1)
    assert page.evaluate(ZOOMED) == zoomed
    assert page.evaluate(MARKED) == "kept"
    assert page.evaluate("window._blank") == 0
    append(run, told[parts[-1] + 1 :])
    quiet(page)


def test_a_press_in_a_section_at_rest_draws_that_section_alone(
    app: App, visit: Callable[..., Visitor], finished: str
) -> None:
    page = visit(f"{app.url}/look?run={finished}&view=Activation+boundaries&picture=2").page
    told: list[bytes] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda one: told.append(one)))
    page.reload()
    page.wait_for_function(READY, arg=5, timeout=90_000)
    page.wait_for_timeout(1000)
    page.evaluate(MARK)
    drawn = f"{FILM}:not([data-shows='{page.locator(FILM).get_attribute('data-shows')}'])"
    told.clear()
    choose_from(page, "Colour", "Signs like the teacher's")
    page.locator(drawn).wait_for(timeout=60_000)
    page.wait_for_function(READY, arg=5, timeout=90_000)
    assert any(HEAD in one for one in told), "what takes long is left to the whole page, which a press can interrupt"
    page.wait_for_timeout(1000)
    told.clear()
    choose_from(page, "Colour", "Decisions")
    page.locator(drawn).wait_for(state="detached", timeout=60_000)
    page.wait_for_timeout(1000)
    assert any(b"Layer of the student" in one for one in told)
    assert not any(HEAD in one for one in told)
    page.get_by_role("radio", name="Along a line", exact=True).click()
    page.locator(FILM, has_text="on the way").wait_for(timeout=60_000)
    assert said(page, "drawing") == "Along a line"
    assert said(page, "picture") == "2"
    page.wait_for_timeout(1500)
    page.get_by_role("radio", name="In a plane", exact=True).click()
    page.locator(FILM, has_text="of this plane").wait_for(timeout=60_000)
    assert said(page, "drawing") == "", "the address follows, as it does when the whole page is drawn"
    page.get_by_role("radio", name="Similarity (CKA)", exact=True).click()
    page.wait_for_function(READY, arg=5, timeout=90_000)
    page.wait_for_timeout(1500)
    told.clear()
    page.get_by_role("radio", name="Activation boundaries", exact=True).click()
    page.locator(FILM, has_text="of this plane").wait_for(timeout=60_000)
    page.wait_for_timeout(1000)
    assert said(page, "view") == "Activation boundaries"
    assert any(b"Layer of the student" in one for one in told)
    assert not any(HEAD in one for one in told), "another section whose picture is there is no other page"
    quiet(page)


HEAD = b"The curves of this run."
"""Words of a control in the page's head."""


def choose_from(page, label: str, name: str) -> None:  # type: ignore[no-untyped-def]
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=name, exact=True).click()


def append(run: Run, events: list[Event]) -> None:
    for event in events:
        run.append(event)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        ("picture=99999", "picture=99999"),
        ("layers=7-1", "layers=7-1"),
        ("epoch=-3", "epoch=-3"),
        ("epoch=<b>1</b>", "the newest is shown"),
    ],
)
def test_what_a_link_asks_for_in_vain_is_said_and_left_out(
    app: App, visit: Callable[..., Visitor], finished: str, ask: str, words: str
) -> None:
    page = visit(f"{app.url}/look?run={finished}&view=Feature+maps&{ask}").page
    page.locator('[data-testid="stAlert"]', has_text=words).first.wait_for(timeout=60_000)
    page.wait_for_selector(f"{FILM}[data-epoch='4'][data-drawn]", timeout=60_000)
    address_says(page, ask.partition("=")[0], "")
    quiet(page)
