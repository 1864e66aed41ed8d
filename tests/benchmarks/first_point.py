"""From the click to the first point and to the result, in a real browser: `python tests/benchmarks/first_point.py`.

Prints seconds; the machine should be idle. "warm" clicks on a page whose worker waits with torch imported, "cold" as
soon as the button of a fresh server's first page is there.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import Page, sync_playwright

from kdcore.events import Started, Step
from kdcore.recipe import Recipe
from kdcore.runs import Shelf
from tests.browser.conftest import CHROMIUM, FLAGS, App, start_app

CLOCK = """(line) => {
  const seen = window._first = { began: 0, watch: 0, chart: 0, point: 0 };
  const mark = (name) => { if (seen.began && !seen[name]) seen[name] = performance.now(); };
  window.addEventListener('pointerdown', (event) => { seen.began ||= event.timeStamp; }, true);
  new MutationObserver(() => {
    if (location.pathname.endsWith('/watch')) mark('watch');
    if (document.querySelector('#kdlab-live')) mark('chart');
    if (document.querySelector(line)) mark('point');
  }).observe(document.body, { subtree: true, childList: true, attributes: true });
}"""
LINE = "#kdlab-live-chart .scatterlayer path.js-line, #kdlab-live-chart .scatterlayer path.point"


def timed(page: Page, app: App, *, seed: int, wait: float) -> str:
    """What came when after the click on the start of the default recipe with this seed, by the page's own clock."""
    page.goto(f"{app.url}/?recipe={Recipe(seed=seed).to_text()}")
    button = page.get_by_role("button", name="Start this distillation")
    button.wait_for(timeout=90_000)
    page.wait_for_timeout(1000 * wait)
    page.evaluate(CLOCK, LINE)
    began = time.perf_counter()
    button.click()
    page.wait_for_selector("text=/than the student alone|no difference/i", timeout=90_000)
    result = time.perf_counter() - began
    seen = page.evaluate("window._first")
    run = Shelf(app.runs).run(parse_qs(urlsplit(page.url).query)["run"][0])
    events = run.events()[0]
    step = next(event.time for event in events if isinstance(event, Step)) - next(
        event.time for event in events if isinstance(event, Started)
    )
    came = ", ".join(f"{name} {(seen[name] - seen['began']) / 1000:.2f} s" for name in ("watch", "chart", "point"))
    return f"{came}, result {result:.1f} s after the click; first step {step:.2f} s after the run began"


def main() -> None:
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        app = start_app(Path(folder) / "runs")
        try:
            page = browser.new_page()
            print(f"load before: {os.getloadavg()[0]:.1f}")
            print(f"cold: {timed(page, app, seed=100, wait=0)}")
            for seed in range(101, 106):
                print(f"warm: {timed(page, app, seed=seed, wait=8)}")
        finally:
            app.stop()
            browser.close()


if __name__ == "__main__":
    main()
