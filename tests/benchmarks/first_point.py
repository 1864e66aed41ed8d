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

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import Page, sync_playwright

from kdcore.recipe import Recipe
from tests.browser.conftest import CHROMIUM, FLAGS, App, start_app

LINE = "#kdlab-live-chart .scatterlayer path.js-line, #kdlab-live-chart .scatterlayer path.point"


def timed(page: Page, app: App, *, seed: int, wait: float) -> tuple[float, float]:
    """(first point, result) in seconds after the click on the start of the default recipe with this seed."""
    page.goto(f"{app.url}/?recipe={Recipe(seed=seed).to_text()}")
    button = page.get_by_role("button", name="Start this distillation")
    button.wait_for(timeout=90_000)
    page.wait_for_timeout(1000 * wait)
    began = time.perf_counter()
    button.click()
    page.wait_for_selector(LINE, state="attached", timeout=90_000)
    first = time.perf_counter() - began
    page.wait_for_selector("text=/than the student alone|no difference/i", timeout=90_000)
    return first, time.perf_counter() - began


def main() -> None:
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        app = start_app(Path(folder) / "runs")
        try:
            page = browser.new_page()
            print(f"load before: {os.getloadavg()[0]:.1f}")
            first, result = timed(page, app, seed=100, wait=0)
            print(f"cold: first point {first:.2f} s, result {result:.1f} s after the click")
            for seed in range(101, 106):
                first, result = timed(page, app, seed=seed, wait=8)
                print(f"warm: first point {first:.2f} s, result {result:.1f} s after the click")
        finally:
            app.stop()
            browser.close()


if __name__ == "__main__":
    main()
