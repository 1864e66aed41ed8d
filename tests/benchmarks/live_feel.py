"""How the app feels while a run trains, in a real browser: `python tests/benchmarks/live_feel.py`.

Prints how often a new point comes to the screen of Watch, how long the other pages take from a click to what was
clicked for, and how much slower a run trains while ten tabs watch it, once all are open. The machine should be idle.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import Browser, Page, sync_playwright

from kdcore.events import Step
from kdcore.recipe import Recipe
from kdcore.run import Run
from kdcore.runs import Shelf
from tests.browser.conftest import CHROMIUM, FLAGS, App, start_app

TABS = 10
SETTLES, WINDOW = 3.0, 15.0
"""Seconds from the last tab's chart until a pace is taken, and over which it is."""
POINTS = """() => [...document.querySelectorAll('#kdlab-live-chart .js-plotly-plot, #kdlab-live-chart.js-plotly-plot')]
    .flatMap((plot) => plot.data).reduce((sum, line) => sum + (line.x ? line.x.length : 0), 0)"""
CLOCK = """(heading) => {
  const seen = window._visit = { began: 0, painted: 0 };
  const look = () => {
    const heads = [...document.querySelectorAll('h1, h2, h3')].filter((one) => one.getClientRects().length);
    if (!seen.began || !heads.some((one) => one.textContent.trim().startsWith(heading))) return;
    watching.disconnect();
    requestAnimationFrame(() => setTimeout(() => { seen.painted = performance.now(); }));
  };
  const watching = new MutationObserver(look);
  window.addEventListener('pointerdown', (event) => { seen.began = event.timeStamp; }, { capture: true, once: true });
  watching.observe(document.body, { subtree: true, childList: true, characterData: true });
}"""
PLACES = {  # title in the navigation -> what is there once the page has answered
    "Runs": "Runs", "Same name": "Same name, different loss",
    "Tournament": "Every method on one pair", "What if": "What if?",
}  # fmt: skip


def recipe(*, seed: int, epochs: int) -> Recipe:
    """The default digits run with a larger student that takes longer."""
    found = Recipe(seed=seed).with_setting("student", {"is": "plain", "width": 16})
    return found.with_setting("training.epochs", epochs)


def start(page: Page, app: App, chosen: Recipe) -> Run:
    page.goto(f"{app.url}/?recipe={chosen.to_text()}")
    button = page.get_by_role("button", name="Start this distillation")
    button.wait_for(timeout=90_000)
    page.wait_for_timeout(3000)
    button.click()
    page.wait_for_url("**/watch?*run=*", timeout=90_000)
    return Shelf(app.runs).run(parse_qs(urlsplit(page.url).query)["run"][0])


def until_learning(run: Run, *who: str) -> None:
    """Waits until one of these has taken a step."""
    while not any(isinstance(event, Step) and event.learner in who for event in run.events()[0]):
        time.sleep(0.05)


def pace(run: Run) -> float:
    """Steps a second within the next seconds, of student or student alone: the same network in the same batches."""
    time.sleep(SETTLES)
    since = time.time()
    time.sleep(WINDOW)
    events = run.events()[0]
    steps = [event for event in events if isinstance(event, Step) and event.time > since]
    assert {event.learner for event in steps} in ({"baseline"}, {"student"}), "a phase ended meanwhile"
    return (steps[-1].step - steps[0].step) / (steps[-1].time - steps[0].time)


def gaps(page: Page, run: Run) -> list[float]:
    """Seconds between the moments at which new points were drawn, as the page itself sees them."""
    until_learning(run, "student")
    found, last, moment = [], page.evaluate(POINTS), time.perf_counter()
    while run.said_end() is None:
        now = page.evaluate(POINTS)
        if now != last:
            found.append(time.perf_counter() - moment)
            last, moment = now, time.perf_counter()
        time.sleep(0.01)
    return found[1:]


def visits(page: Page, run: Run) -> list[float]:
    """Seconds from the press in the navigation until the page's heading is painted, while the run trains.

    By the page's own clock: who drives the browser needs a tenth of a second to click and asks only now and then.
    """
    found: list[float] = []
    names = list(PLACES)
    while run.said_end() is None and len(found) < 44:
        name = names[len(found) % len(names)]
        page.evaluate(CLOCK, PLACES[name])
        page.get_by_role("link", name=name).first.click()
        page.wait_for_function("window._visit.painted > 0", timeout=30_000)
        seen = page.evaluate("window._visit")
        found.append((seen["painted"] - seen["began"]) / 1000)
        page.wait_for_timeout(500)
    return found[len(names) :]


def finished(run: Run) -> Run:
    while run.said_end() is None:
        time.sleep(0.1)
    assert run.said_end() == "finished", run.said_end()
    return run


def watched_by(browser: Browser, app: App, chosen: Recipe, tabs: int) -> float:
    """Steps a second of a run that so many tabs watch, once they do."""
    context = browser.new_context()
    page = context.new_page()
    run = start(page, app, chosen)
    others = []
    if not tabs:
        page.goto("about:blank")
    for _ in range(tabs - 1):
        other = context.new_page()
        other.goto(f"{app.url}/watch?run={run.id}", wait_until="commit")
        others.append(other)
    for other in others:
        other.wait_for_selector("#kdlab-live", timeout=90_000)
    until_learning(run, "baseline", "student")
    found = pace(run)
    run.request_stop()
    context.close()
    return found


def spread(name: str, values: list[float]) -> None:
    ordered = sorted(values)
    print(
        f"{name}: median {statistics.median(ordered):.2f} s, 95th percentile "
        f"{ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]:.2f} s, longest {ordered[-1]:.2f} s "
        f"({len(ordered)})"
    )


def main() -> None:
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        app = start_app(Path(folder) / "runs")
        try:
            print(f"load before: {os.getloadavg()[0]:.1f}")
            page = browser.new_page()
            finished(start(page, app, recipe(seed=1, epochs=5)))  # everything has been opened once
            run = start(page, app, recipe(seed=1, epochs=500))
            spread("a new point on Watch every", gaps(page, run))
            run = start(page, app, recipe(seed=1, epochs=1000))
            until_learning(run, "student")
            spread("from a click to another page's heading", visits(page, run))
            run.request_stop()
            page.close()
            ratios = []
            for number in range(3):
                alone = watched_by(browser, app, recipe(seed=1, epochs=991 + 2 * number), 0)
                many = watched_by(browser, app, recipe(seed=1, epochs=992 + 2 * number), TABS)
                ratios.append(many / alone)
                print(f"steps a second: {alone:.0f} unwatched, {many:.0f} with {TABS} tabs", flush=True)
            print(f"with {TABS} tabs a run keeps {100 * statistics.median(ratios):.0f} % of its pace")
        finally:
            app.stop()
            browser.close()


if __name__ == "__main__":
    main()
