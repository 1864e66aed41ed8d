"""From the address to the first picture in a fresh browser: `python tests/benchmarks/first_picture.py`.

Prints seconds since the navigation, medians over fresh browser contexts: when Streamlit's own shell had opened its
connection, when the page had been told the picture, when the drawing library had run, and when the picture stood there.
The lower bound is the same for a Streamlit page of one sentence. Last the same from a click in the app. The machine
should be idle. With an address (`… http://localhost:8501`) that app is measured on the runs that it has, else one of
its own with a run of digits.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS, ROOT, start_app

TIMES = 7
PAGES = {"Look inside": "look", "The gap": "gap"}
SENTENCE = "nothing but this sentence"
FILM, WORDS = ".kdlab-film[data-drawn]", "[data-testid=stMarkdown] p"
"""What stands there once a page is drawn."""
WATCH = """
(() => {
  const seen = (window._seen = {});
  const note = (name) => { if (!(name in seen)) seen[name] = performance.now(); };
  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...told) {
      super(...told);
      this.addEventListener("open", () => note("opened"));
    }
  };
  setInterval(() => { if (window.Plotly) note("library"); }, 5);
  new MutationObserver(() => {
    if (document.querySelector(".kdlab-film")) note("told");
    if (document.querySelector("DRAWN")) note("drawn");
  }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-drawn"] });
})();
"""
STEPS = {"opened": "shell", "told": "picture told", "library": "drawing library", "drawn": "drawn"}


def moments(browser: Browser, address: str, drawn: str) -> dict[str, float]:
    """Step -> seconds after the navigation, in a context of its own."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    try:
        page = context.new_page()
        page.add_init_script(WATCH.replace("DRAWN", drawn))
        page.goto(address, wait_until="commit")
        page.wait_for_function("window._seen && window._seen.drawn", timeout=90_000)
        return {step: at / 1000 for step, at in page.evaluate("window._seen").items()}
    finally:
        context.close()


def told(name: str, measured: list[dict[str, float]]) -> None:
    """Prints one line: the medians of the steps, and the range of the last."""
    steps = {
        said: statistics.median(one[step] for one in measured)
        for step, said in STEPS.items()
        if all(step in one for one in measured)
    }
    drawn = [one["drawn"] for one in measured]
    said = ", ".join(f"{said} {at:.2f}" for said, at in steps.items())
    print(f"{name}: {said} ({min(drawn):.2f} to {max(drawn):.2f})")


def measure(browser: Browser, name: str, address: str, *, drawn: str = FILM) -> None:
    """The first visit, which fills what the server keeps, on a line of its own."""
    told(f"{name}, first visit", [moments(browser, address, drawn)])
    told(name, [moments(browser, address, drawn) for _ in range(TIMES)])


def clicked(browser: Browser, address: str) -> None:
    """From the click on another page's name to its picture, as who watched a run goes on to look inside it."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    page.goto(f"{address}/watch")
    page.locator("[data-testid=stAppViewContainer] button").first.wait_for(timeout=90_000)
    found: dict[str, list[float]] = {name: [] for name in PAGES}
    for _ in range(TIMES):
        for name in PAGES:
            page.get_by_role("link", name="Runs").first.click()
            page.get_by_role("heading", name="Runs", exact=True).wait_for(timeout=60_000)
            page.wait_for_timeout(1500)
            began = time.perf_counter()
            page.get_by_role("link", name=name).first.click()
            page.locator(FILM).first.wait_for(timeout=60_000)
            found[name].append(time.perf_counter() - began)
    context.close()
    for name, taken in found.items():
        print(f"{name}, clicked on in the app: {statistics.median(taken):.2f} ({min(taken):.2f} to {max(taken):.2f})")


def main() -> None:
    print(f"load before: {os.getloadavg()[0]:.1f}")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        bare = Path(folder) / "bare.py"
        bare.write_text(f"import streamlit as st\n\nst.write('{SENTENCE}')\n", encoding="utf-8")
        empty = start_app(Path(folder) / "none", script=str(bare))
        app = None if sys.argv[1:] else start_app(Path(folder) / "runs")
        address = sys.argv[1] if app is None else app.url
        try:
            measure(browser, "empty page", empty.url, drawn=WORDS)
            if app is not None:
                recipe = ROOT / "assets" / "recipes" / "look-inside.json"
                command = [sys.executable, "-m", "kdcore", "run", str(recipe), "--root", str(app.runs)]
                subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
            for name, path in PAGES.items():
                measure(browser, name, f"{address}/{path}")
            clicked(browser, address)
        finally:
            empty.stop()
            if app is not None:
                app.stop()
            browser.close()


if __name__ == "__main__":
    main()
