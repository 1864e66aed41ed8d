"""A shelf in a folder of its own, with runs in every state written by hand, and with really trained ones if asked."""

from __future__ import annotations

import base64
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from kdcore.events import (
    Event,
    Failed,
    Finished,
    Hardest,
    Note,
    PhaseStarted,
    Pictures,
    Scored,
    Snapshot,
    Started,
    Step,
    Stopped,
)  # fmt: skip
from kdcore.launch import Desk
from kdcore.processes import this_process
from kdcore.recipe import Pick, Recipe
from kdcore.runs import Run, Shelf
from tests.app.asking import Answering
from tests.charts.conftest import checked as checked

CLASSES = [str(number) for number in range(10)]
ROLES = {"teacher": "teacher", "baseline": "baseline", "student": "student"}
TITLES = {
    "teacher": "The teacher learns from the labels",
    "baseline": "The student alone learns from the labels",
    "student": "The student learns from the teacher",
}
REACHED = {"teacher": 0.94, "baseline": 0.81, "student": 0.93}


def png(shade: int) -> str:
    """An 8x8 grey picture as PNG in base64, made without an image library."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    pixels = b"".join(b"\0" + bytes([(shade + 9 * place) % 256 for place in range(8)]) for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode()


def tell(recipe: Recipe, *, epochs: int = 5, steps: int = 10, hidden: int = -1) -> Iterator[Event]:
    """What a whole offline run says: three phases of `epochs` times `steps` steps, then the results."""
    now = time.time()
    role = {"network": "plain", "title": "Plain", "settings": {}, "parameters": 1234, "macs": 5678,
            "layers": [{"name": "stage0", "shape": [8, 8, 8]}]}  # fmt: skip
    data = {
        "key": "digits", "title": "Digits 8×8", "shape": [1, 8, 8], "classes": 10, "class_names": CLASSES,
        "train": 1000, "labelled": 1000, "teacher_train": 1000, "validation": 297, "test": 500,
        "hidden": hidden, "augmentation": "none",
    }  # fmt: skip
    roles = {name: {**role, "part": part} for name, part in ROLES.items()}
    yield Started(now, recipe.to_json(), roles, data, "cpu", 1, 3)
    for number, learner in enumerate(ROLES):
        terms = {"ce.ce": 1.0} if learner != "student" else {"ce.ce": 1.0, "kd.kd": 0.5}
        teacher = "teacher" if learner == "student" else None
        lesson = {"student": learner, "teacher": teacher, "kind": "alone", "parts": []}
        yield PhaseStarted(now, number, learner, TITLES[learner], epochs * steps, epochs, [learner], [lesson])
        yield Snapshot(now, number, 0, 0.0, f"{number}-0", [learner])
        for step in range(1, epochs * steps + 1):
            now += 0.01
            raw = dict.fromkeys(terms, 2.0 / (1 + 0.1 * step))
            weighted = {name: value * terms[name] for name, value in raw.items()}
            yield Step(now, number, learner, step, step / steps, sum(weighted.values()), raw, weighted, 12_000.0, 0.01)
            if step % steps == 0:
                accuracy = REACHED[learner] * step / (epochs * steps)
                extra = {"raw": 0.0, "corrected": accuracy / 2, "bias": 3.0} if hidden >= 0 else {}
                yield Scored(
                    now, number, step, step / steps, learner, "validation", accuracy, 0.5, 297, [accuracy] * 10, extra
                )
                yield Pictures(now, {str(step): png(step)})
                picture = {"index": step, "loss": 4.2, "label": 3, "truth": 8, "said": 8, "teacher": 8}
                yield Hardest(now, number, step / steps, learner, [picture])
                yield Snapshot(now, number, step, step / steps, f"{number}-{step}", [learner])
    yield Note(now, "A note that explains something.")
    results = {}
    for name, part in ROLES.items():
        found = {"raw": 0.0, "corrected": REACHED[name] / 2, "bias": 3.0} if hidden >= 0 else {}
        yield Scored(now, 2, 0, 0.0, name, "test", REACHED[name], 0.4, 500, [REACHED[name]] * 10, found)
        results[name] = {
            "part": part, "test_accuracy": REACHED[name], "test_loss": 0.4, "validation_accuracy": REACHED[name],
            "per_class": [REACHED[name]] * 10, "hidden": found, "count": 500,
        }  # fmt: skip
    results["baseline"] |= {"won": 70, "lost": 10}
    results["teacher"] |= {"won": 5, "lost": 10}
    yield Finished(now, 4.2, results)


@pytest.fixture
def story() -> Callable[..., Iterator[Event]]:
    """What a whole run says, by its recipe: see `tell`."""
    return tell


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """An empty shelf, without the recorded runs that come with the lab, which the app takes as its own.

    The processes that the app warms for it end with the test: half a gigabyte each, they would stay to the end of all.
    """
    root = tmp_path / "runs"
    monkeypatch.setattr("kdcore.runs.RECORDED", tmp_path / "no-recorded-runs")
    monkeypatch.setenv("KDLAB_RUNS", str(root))
    desks = []

    def opened(shelf: Shelf) -> Desk:
        desks.append(Desk(shelf))
        return desks[-1]

    monkeypatch.setattr("app.state.Desk", opened)
    yield Shelf(root)
    for desk in desks:
        desk.close()


@pytest.fixture
def finished(shelf: Shelf) -> Run:
    """A run that went through."""
    return _write(shelf, Recipe(seed=1), lambda event: True)


@pytest.fixture
def hidden(shelf: Shelf) -> Run:
    """A finished run in which the student never saw a three."""
    recipe = Recipe(seed=6, data=Pick("digits", {"hidden_class": 3}))
    return _write(shelf, recipe, lambda event: True, tell(recipe, hidden=3))


@pytest.fixture
def running(shelf: Shelf) -> Run:
    """A run in its third phase; its process is this one."""
    run = _write(shelf, Recipe(seed=2), lambda event: not (isinstance(event, Scored) and event.phase == 2))
    run.begin(this_process("work"))
    return run


@pytest.fixture
def waiting(shelf: Shelf) -> Run:
    """A run that has not begun; this process holds it."""
    return shelf.create(Recipe(seed=3))[0]


@pytest.fixture
def failed(shelf: Shelf) -> Run:
    """A run whose loss became no number in its second phase."""
    run = _write(shelf, Recipe(seed=4), lambda event: not (isinstance(event, PhaseStarted) and event.phase == 1))
    run.append(Failed(time.time(), "the term ce.ce of the student became nan at step 7", "Try a lower learning rate."))
    return run


@pytest.fixture
def stopped(shelf: Shelf) -> Run:
    """A run that someone stopped in its second phase."""
    run = _write(shelf, Recipe(seed=7), lambda event: not (isinstance(event, PhaseStarted) and event.phase == 1))
    run.append(Stopped(time.time()))
    return run


@pytest.fixture
def lost(shelf: Shelf) -> Run:
    """A run whose process is gone without a word."""
    run = _write(shelf, Recipe(seed=5), lambda event: not (isinstance(event, PhaseStarted) and event.phase == 1))
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    run.begin({**this_process("work"), "pid": gone.pid, "create_time": 1.0})
    return run


def _write(
    shelf: Shelf, recipe: Recipe, goes_on: Callable[[Event], bool], events: Iterable[Event] | None = None
) -> Run:
    """A new run with these events, or the story's, up to the first where it does not go on."""
    run = shelf.create(recipe)[0]
    for event in takewhile(goes_on, tell(recipe) if events is None else events):
        run.append(event)
    return run


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest) -> dict[str, list[Event]]:
    """What the runs of the module's `RECIPES` really said, by the same names."""
    from kdcore.engine import run as train

    return {name: list(train(recipe)) for name, recipe in request.module.RECIPES.items()}


@pytest.fixture
def desk(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Answering:
    """The app's desk, whose probes run in this process."""
    from app import state
    from app.views import scrubber

    found = Answering(shelf)
    monkeypatch.setattr(state, "desk", lambda: found)
    scrubber.forget()
    return found


@pytest.fixture
def written(
    request: pytest.FixtureRequest, shelf: Shelf, desk: Answering, told: dict[str, list[Event]]
) -> Callable[..., Run]:
    """Puts one of the module's runs on the shelf, the first if none is named.

    It ends before the first event where it does not go on; `said` changes an event, or leaves it out with None.
    """
    recipes = request.module.RECIPES

    def write(
        name: str = "", goes_on: Callable[[Event], bool] = lambda event: True, *,
        said: Callable[[Event], Event | None] = lambda event: event,
    ) -> Run:  # fmt: skip
        name = name or next(iter(recipes))
        kept = [event for event in map(said, told[name]) if event is not None]
        return _write(shelf, recipes[name], goes_on, kept)

    return write


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict]]:
    """Where the page sent the tab to."""
    import streamlit as st

    from app import state

    found: list[tuple[str, dict]] = []

    def go(page: str, **params: object) -> None:
        found.append((page, params))
        st.stop()

    monkeypatch.setattr(state, "go", go)
    return found
