"""From each control of Look inside and The gap to the new picture: `python tests/benchmarks/interactions.py`.

Every control of every section is operated once, with a pause of two seconds before each, as someone who looks does, on
three runs that are made first: digits, spirals, and Fashion-MNIST (with KDLAB_DATA). Prints per section the median and
the longest time from the last press of a key or button to the new picture, or to the sentence in its place, by the
page's own clock; and of each that took longer than 300 ms what was spent on it: processor time of the worker, of the
server and of the browser, and how much of the time passed before the page had been told. With names (`… Fidelity
Calibration`) only those sections. `--on digits` takes one run. The machine should be idle.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psutil
from playwright.sync_api import Error, Locator, Page, sync_playwright

from kdcore.recipe import Recipe
from tests.browser.conftest import CHROMIUM, FLAGS, ROOT, App, start_app

PAUSE = 2.0
"""Seconds for which whoever looks leaves a finished picture alone."""
LONG = 300.0
"""Milliseconds that an interaction may take."""
PATIENCE = 30_000
NO_PICTURE = ("", "Run", "Phase", "Match them with")
"""Labels of what changes no picture of a section, or all of them."""
FASHION = {
    "data": {"is": "fashion_mnist", "train_size": 6000},
    "methods": [{"is": "ce"}, {"is": "kd"}, {"is": "fitnet"}],
    "student": {"is": "plain", "width": 8},
    "training": {"epochs": 6, "teacher_epochs": 2},
}
RUNS: dict[str, Path | dict[str, Any]] = {
    "digits": ROOT / "assets" / "recipes" / "look-inside.json",
    "toy2d": ROOT / "assets" / "recipes" / "spirals.json",
    "fashion": FASHION,
}
PAGES = {"Look inside": "look", "The gap": "gap"}
FILM = ".kdlab-film"
MATRIX = ".chart .heatmaplayer image"
SETTLED = f"""() => {{
    if (document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState === 'running') return false;
    const films = [...document.querySelectorAll('{FILM}')];
    if (!films.length) return document.querySelector('[data-testid="stAlert"]') !== null;
    return films.every((film) => film.dataset.drawn && film.querySelector('.coming').style.visibility !== 'visible');
}}"""
DRAWN = f"Promise.race([window._drawn, new Promise((done) => setTimeout(() => done(false), {PATIENCE}))])"
WATCH = f"""
(() => {{
  const seen = (window._seen = {{ began: 0, drawn: 0, heard: [], known: new Set() }});
  for (const name of ["pointerdown", "keydown"]) {{
    window.addEventListener(name, () => {{ if (!seen.drawn) seen.began = performance.now(); }}, true);
  }}
  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {{
    constructor(...told) {{
      super(...told);
      this.addEventListener("message", () => {{ if (!seen.drawn) seen.heard.push(performance.now()); }});
    }}
  }};
  const films = () => [...document.querySelectorAll("{FILM}[data-drawn]")];
  const shown = () => [
    ...films().map((film) => `${{film.dataset.shows}} ${{film.dataset.epoch}}`),
    ...[...document.querySelectorAll('[data-testid="stAlert"]')].map((alert) => alert.textContent),
  ];
  window._arm = () => {{
    Object.assign(seen, {{ began: 0, drawn: 0, heard: [], known: new Set(shown()) }});
    window._drawn = new Promise((resolve) => {{ seen.resolve = resolve; }});
  }};
  const look = () => {{
    if (!seen.began || seen.drawn || !shown().some((one) => !seen.known.has(one))) return;
    seen.drawn = performance.now();
    seen.resolve(true);
  }};
  new MutationObserver(look).observe(document, {{
    subtree: true, childList: true, attributes: true, attributeFilter: ["data-drawn"],
  }});
}})();
"""


@dataclass
class Done:
    """One interaction."""

    section: str
    what: str
    took: float
    """Milliseconds from the press to the picture."""
    told: float
    """Of these, until the page heard the last word before the picture; 0 if it heard none."""
    spent: dict[str, float]
    """Milliseconds of processor time meanwhile: worker, server, browser."""


@dataclass
class Bench:
    """A page in a browser, and whose processor time counts."""

    page: Page
    app: App
    browser: int
    """The browser's process."""
    done: list[Done] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def measure(self, section: str, what: str, ready: Callable[[], Callable[[], None]]) -> None:
        """Makes ready, does what that gives back, and waits for the picture. What draws nothing new is no interaction.

        The processor time is that from the press on; nothing asks the page meanwhile, which would cost some too.
        """
        self.settle()
        try:
            act = ready()
            self.page.evaluate("window._arm()")
            before = self.spent()
            act()
            if not self.page.evaluate(DRAWN):
                raise Error("nothing new was drawn")
        except Error:
            self.missed.append(f"{section}: {what}")
            self.page.keyboard.press("Escape")
            return
        spent = {name: 1000 * (after - before.get(name, 0.0)) for name, after in self.spent().items()}
        seen = self.page.evaluate("({ began: _seen.began, drawn: _seen.drawn, heard: _seen.heard })")
        heard = [at for at in seen["heard"] if seen["began"] < at <= seen["drawn"]]
        told = heard[-1] - seen["began"] if heard else 0.0
        self.done.append(Done(section, what, seen["drawn"] - seen["began"], told, spent))

    def settle(self) -> None:
        """Waits until the picture is there with all its epochs, and a little longer."""
        with contextlib.suppress(Error):
            self.page.wait_for_function(SETTLED, timeout=PATIENCE)
        self.page.wait_for_timeout(1000 * PAUSE)

    def spent(self) -> dict[str, float]:
        """Seconds of processor time so far."""
        chromium = psutil.Process(self.browser)
        return {
            "worker": sum(_seconds(one) for one in self.app.workers()),
            "server": _seconds(psutil.Process(self.app.process.pid)),
            "browser": sum(_seconds(one) for one in (chromium, *chromium.children(recursive=True))),
        }


def _seconds(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.Error:
        return 0.0
    return used.user + used.system


def pressed(place: Locator, **where: Any) -> Callable[[], None]:
    """Moves the pointer there; a press and a release are left to do."""
    place.hover(**where)

    def press() -> None:
        place.page.mouse.down()
        place.page.mouse.up()

    return press


def field(page: Page) -> Callable[[], None]:
    """Moves the pointer to a field in the upper right of the first heat map, none of its diagonal."""
    place = page.locator(f"{FILM}.cells {MATRIX}").first
    box = place.bounding_box()
    assert box is not None
    # The layer that takes the pointer lies above the heat map.
    press = pressed(place, position={"x": 0.75 * box["width"], "y": 0.25 * box["height"]}, force=True)
    page.wait_for_timeout(200)  # what lies under the pointer is looked up now and then only
    return press


def keyed(place: Locator, key: str) -> Callable[[], None]:
    """Puts the focus there; the key is left to press."""
    place.focus()
    return lambda: place.page.keyboard.press(key)


def body(page: Page) -> Locator:
    return page.locator('[data-testid="stMain"]')


def groups(page: Page) -> list[list[str]]:
    """The words of each row of buttons of which one is chosen: first that of the sections."""
    found = []
    for group in body(page).get_by_role("radiogroup").all():
        found.append([one.inner_text().strip() for one in group.get_by_role("radio").all()])
    return found


def controls(page: Page) -> Iterator[tuple[str, str]]:
    """(kind, label) of every other control of the section as it stands."""
    for kind in ("stSelectbox", "stNumberInput", "stSlider"):
        for label in body(page).locator(f'[data-testid="{kind}"] label').all_inner_texts():
            if label.strip() not in NO_PICTURE:
                yield kind, label.strip()


def operate(bench: Bench, section: str, kind: str, label: str) -> None:
    """Moves a control on by one."""
    page = bench.page
    there = body(page).locator(f'[data-testid="{kind}"]', has=page.get_by_text(label, exact=True)).first
    if there.count() == 0:
        return
    if kind == "stNumberInput":
        up = there.get_by_test_id("stNumberInputStepUp")
        if up.is_enabled():
            bench.measure(section, label, partial(pressed, up))
            bench.measure(section, f"{label}, once more", partial(pressed, up))
    elif kind == "stSlider":
        bench.measure(section, label, lambda: keyed(there.get_by_role("slider"), "ArrowLeft"))
    else:
        now = there.locator("input").get_attribute("value") or there.inner_text()

        def choose() -> Callable[[], None]:
            there.locator("input").click()
            options = page.locator('[data-testid="stSelectboxVirtualDropdown"] [role="option"]')
            options.first.wait_for(timeout=5000)
            names = options.all_inner_texts()
            place = next((number for number, name in enumerate(names) if name not in now and number), 0)
            return pressed(options.nth(place))

        bench.measure(section, label, choose)


def walk(bench: Bench, page_name: str, wanted: list[str]) -> None:
    """Every section of a page, each with all its controls."""
    page = bench.page
    for name in groups(page)[0]:
        section = f"{page_name}, {name}"
        if wanted and name not in wanted:
            continue
        radio = body(page).get_by_role("radio", name=name, exact=True)
        if radio.get_attribute("aria-checked") != "true":
            bench.measure(section, "opened", partial(pressed, radio))
        within(bench, section)
        for row in groups(page)[1:]:
            for other in row[1:]:
                one = body(page).get_by_role("radio", name=other, exact=True)
                if one.count():
                    bench.measure(section, other, partial(pressed, one))
                    within(bench, section)
        told_of(section, bench.done)


def within(bench: Bench, section: str) -> None:
    """The controls, the epoch of the film, and a field of its heat map, as the section stands."""
    page = bench.page
    bench.settle()
    for kind, label in list(controls(page)):
        operate(bench, section, kind, label)
    slider = page.locator(f"{FILM} .slider:not([hidden]):not([disabled])")
    if slider.count():
        bench.measure(section, "epoch", lambda: keyed(slider.first, "ArrowLeft"))
    if page.locator(f"{FILM}.cells {MATRIX}").count():
        bench.measure(section, "a field of the matrix", lambda: field(page))


def made(app: App, chosen: str) -> str:
    """Trains the run, and gives its id."""
    wanted = RUNS[chosen]
    recipe = Recipe.from_json(wanted) if isinstance(wanted, dict) else Recipe.from_text(wanted.read_text("utf-8"))
    path = app.runs.parent / f"{chosen}.json"
    path.write_text(recipe.to_text(), encoding="utf-8")
    command = [sys.executable, "-m", "kdcore", "run", str(path), "--root", str(app.runs)]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return recipe.id


def told_of(section: str, done: list[Done]) -> None:
    """Prints one section."""
    took = [one.took for one in done if one.section == section]
    if took:
        said = f"median {statistics.median(took):.0f} ms, longest {max(took):.0f} ms ({len(took)})"
        print(f"  {section}: {said}, load {os.getloadavg()[0]:.1f}", flush=True)


def told(done: list[Done]) -> None:
    """Prints what took long, and all together."""
    for one in sorted((one for one in done if one.took > LONG), key=lambda one: -one.took):
        spent = ", ".join(f"{name} {used:.0f}" for name, used in one.spent.items())
        print(f"    {one.took:.0f} ms: {one.section}: {one.what} (told after {one.told:.0f} ms; spent {spent})")
    took = sorted(one.took for one in done)
    if took:
        late = took[min(len(took) - 1, round(0.95 * len(took)))]
        over = sum(one > LONG for one in took)
        print(
            f"  all: median {statistics.median(took):.0f} ms, 95th percentile {late:.0f} ms, {over} of {len(took)} over"
        )
        for name in took and done[0].spent:
            used = statistics.median(one.spent[name] for one in done)
            print(f"  median processor time of the {name}: {used:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description="From each control to the new picture.")
    parser.add_argument("sections", nargs="*", help="titles of sections; all without any")
    parser.add_argument("--on", action="append", choices=list(RUNS), help="which runs; all without any")
    parser.add_argument("--runs", type=Path, help="a folder of runs to copy from, in place of training them")
    chosen = parser.parse_args()
    everything: list[Done] = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        before = {one.pid for one in psutil.Process().children(recursive=True)}
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        started = [one for one in psutil.Process().children(recursive=True) if one.pid not in before]
        if chosen.runs:
            shutil.copytree(chosen.runs, Path(folder) / "runs", ignore=shutil.ignore_patterns("answers", "logs"))
        app = start_app(Path(folder) / "runs")
        try:
            for name in chosen.on or RUNS:
                run = made(app, name)
                bench_all: list[Done] = []
                print(f"{name} (load {os.getloadavg()[0]:.1f})", flush=True)
                for title, path in PAGES.items():
                    page = browser.new_page(viewport={"width": 1366, "height": 1400})
                    page.add_init_script(WATCH)
                    page.goto(f"{app.url}/{path}?run={run}")
                    bench = Bench(page, app, started[0].pid)
                    bench.settle()
                    walk(bench, title, chosen.sections)
                    bench_all += bench.done
                    for missed in bench.missed:
                        print(f"  nothing new was drawn: {missed}")
                    page.close()
                told(bench_all)
                everything += bench_all
            if len(chosen.on or RUNS) > 1:
                print("all runs")
                told(everything)
            print(f"load after: {os.getloadavg()[0]:.1f}")
        finally:
            app.stop()
            browser.close()


if __name__ == "__main__":
    main()
