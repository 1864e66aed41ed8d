"""The app as a stranger runs it, in a folder of its own, and a real Chromium that looks at it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(300))


@dataclass
class App:
    """A running app: where it is, and where its runs are."""

    url: str
    runs: Path
    process: subprocess.Popen
    port: int

    def workers(self) -> list[psutil.Process]:
        """Living kdcore processes on this app's shelf, whoever started them."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            words = process.info["cmdline"] or []
            if str(self.runs) in words and "kdcore" in words and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_app(runs: Path, *, script: str = "app/main.py") -> App:
    """Starts `streamlit run` with the app, or another script, on a free port and waits until it answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    log = (runs.parent / "app.log").open("wb")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            script,
            "--server.port",
            str(port),
            "--server.headless",
            "true",
        ],
        cwd=ROOT,
        env={**os.environ, "KDLAB_RUNS": str(runs)},
        stdout=log,
        stderr=log,
    )
    url = f"http://localhost:{port}"
    for _ in range(240):
        try:
            if urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).read() == b"ok":
                return App(url, runs, process, port)
        except OSError:
            time.sleep(0.25)
    process.kill()
    raise RuntimeError(f"the app does not answer: {(runs.parent / 'app.log').read_text()[-2000:]}")


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    found = start_app(tmp_path_factory.mktemp("browser") / "runs")
    yield found
    found.stop()


@dataclass
class Visitor:
    """A page in its own browser context, and what went wrong in it."""

    page: object
    faults: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    if CHROMIUM is None:
        pytest.fail("browser tests need Chromium: install the system package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visitor(chromium) -> Iterator[Visitor]:  # type: ignore[no-untyped-def]
    """One tab for all tests of a module, for those that start many runs one after the other."""
    page = chromium.new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(120_000)
    found = Visitor(page)
    page.on("pageerror", lambda error: found.faults.append(str(error)))
    yield found
    page.close()


@pytest.fixture
def visit(chromium) -> Iterator[Callable[..., Visitor]]:  # type: ignore[no-untyped-def]
    """Opens an address in a browser of its own; at the end of the test no script error may have happened in any."""
    contexts, visitors = [], []

    def open_at(address: str, *, scheme: str = "light", width: int = 1366, height: int = 768) -> Visitor:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = context.new_page()
        visitor = Visitor(page)
        page.on("pageerror", lambda error: visitor.faults.append(str(error)))
        page.goto(address)
        contexts.append(context)
        visitors.append(visitor)
        return visitor

    yield open_at
    for context in contexts:
        context.close()
    assert [fault for visitor in visitors for fault in visitor.faults] == []
