"""What can be wrong with a run is a sentence on every page that looks into it, and never a traceback."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.section import sections
from kdcore.events import Event, Finished, PhaseStarted, Snapshot, Started
from kdcore.own_pictures import drawn, keep
from kdcore.processes import this_process
from kdcore.run import Run
from tests.app.asking import on_pictures, on_points, words

RECIPES = {
    "kd": on_pictures(methods=[{"is": "ce"}, {"is": "kd"}]),
    "attention": on_pictures(methods=[{"is": "ce"}, {"is": "semckd"}]),
    "unlike": on_pictures(teacher={"is": "vit", "depth": 2}),
    "points": on_points(),
}
PLACES = [
    *(("look", section.title) for section in sections("look")),
    *(("gap", section.title) for section in sections("gap")),
    *(("pictures", way) for way in ("Picture by picture", "Draw one", "Over many pictures")),
]
WHERE = {"look": "view", "gap": "show", "pictures": "pictures"}
ONE_EACH = pytest.mark.parametrize(
    ("page", "section"), [("look", "Feature maps"), ("gap", "Fidelity"), ("pictures", "Picture by picture")]
)
EVERYWHERE = pytest.mark.parametrize(("page", "section"), PLACES, ids=[f"{page}: {title}" for page, title in PLACES])


def show_page(name: str) -> None:
    import importlib

    importlib.import_module(f"app.screens.{name}").show()


def opened(page: str, section: str, run: Run, **params: str) -> AppTest:
    """The page on that section; what it raises fails the test."""
    found = AppTest.from_function(show_page, args=(page,), default_timeout=120)
    asked = {"run": run.id, WHERE[page]: section, **params}
    if section == "Draw one":
        asked["own"] = keep(run, drawn(16, bytes(120) + bytes([255] * 16) + bytes(120)))
    for name, value in asked.items():
        found.query_params[name] = value
    found.run()
    assert not found.exception, found.exception[0].stack_trace
    return found


def told_in_a_sentence(page: AppTest) -> str:
    """What stands in the page's boxes; there is one, and none looks like Python."""
    boxes = [box.value for box in (*page.info, *page.warning, *page.error)]
    assert boxes, "nothing is said"
    for box in boxes:
        assert box[0].isupper() or box[:1].isalpha()
        assert not [word for word in ("Traceback", "Error:", "Error(", "tensor(", "<class", "/tmp/") if word in box], (
            box
        )
        assert len(box) < 400
    return "\n".join(boxes)


def snapshots(run: Run) -> list[Path]:
    return [run.folder / "snapshots" / f"{one.name}.safetensors" for one in run.history().snapshots]


@ONE_EACH
def test_a_run_without_snapshots(written: Callable[..., Run], page: str, section: str) -> None:
    run = written(said=lambda event: None if isinstance(event, Snapshot) else event)
    assert "ended without a snapshot" in told_in_a_sentence(opened(page, section, run))


@EVERYWHERE
def test_a_damaged_snapshot(written: Callable[..., Run], page: str, section: str) -> None:
    run = written("attention" if section == "Layer assignment" else "kd")
    for path in snapshots(run):
        path.write_bytes(b"\xff" * 4000)
    found = opened(page, section, run)
    if section == "Visual concepts":
        assert "data set shapes" in told_in_a_sentence(found), "of other data no snapshot is asked"
    elif section != "Gradients":  # they were recorded in training and ask no snapshot
        assert "damaged" in told_in_a_sentence(found)


@ONE_EACH
@pytest.mark.parametrize("damage", ["cut short", "empty", "a header that lies", "another run's"])
def test_a_snapshot_damaged_otherwise(written: Callable[..., Run], page: str, section: str, damage: str) -> None:
    run = written()
    other = snapshots(written("unlike"))[-1].read_bytes()
    for path in snapshots(run):
        whole = path.read_bytes()
        path.write_bytes(
            {
                "cut short": whole[: len(whole) // 2],
                "empty": b"",
                "a header that lies": (2**60).to_bytes(8, "little") + whole[8:],
                "another run's": other,
            }[damage]
        )
    found = told_in_a_sentence(opened(page, section, run))
    assert "damaged" in found or "does not fit its recipe" in found


@ONE_EACH
def test_a_teacher_whose_snapshot_is_lost(written: Callable[..., Run], page: str, section: str) -> None:
    run = written()
    last = [one for one in run.history().snapshots if "teacher" in one.roles][-1]
    (run.folder / "snapshots" / f"{last.name}.safetensors").unlink()
    assert f"has no snapshot {last.name}" in told_in_a_sentence(opened(page, section, run))


@EVERYWHERE
def test_a_role_that_the_log_lost(written: Callable[..., Run], page: str, section: str) -> None:
    def without(event: Event) -> Event:
        if not isinstance(event, Started):
            return event
        return dataclasses.replace(event, roles={name: one for name, one in event.roles.items() if name != "teacher"})

    opened(page, section, written(said=without))


@EVERYWHERE
def test_a_log_without_its_beginning(written: Callable[..., Run], page: str, section: str) -> None:
    opened(page, section, written(said=lambda event: None if isinstance(event, Started) else event))


@ONE_EACH
def test_a_snapshot_that_is_being_written_just_now(written: Callable[..., Run], page: str, section: str) -> None:
    """Its file lies beside under another name, and its line has no newline yet: it is not there for anyone."""
    run = written(said=lambda event: None if isinstance(event, Finished) else event)
    newest = snapshots(run)[-1]
    log = run.folder / "events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    place = max(number for number, line in enumerate(lines) if b'"Snapshot"' in line)
    log.write_bytes(b"".join(lines[:place]) + lines[place][:40])
    newest.rename(newest.with_name(f".{newest.name}.1234.part"))
    run.begin(this_process("work"))
    page_now = opened(page, section, run)
    assert newest.stem not in str(page_now.query_params)
    assert "damaged" not in words(page_now)


@EVERYWHERE
def test_layers_and_pictures_that_are_not_there(written: Callable[..., Run], page: str, section: str) -> None:
    for params in (
        {"layers": "0-99", "picture": "99999", "class": "77", "epoch": "1e9"},
        {"layers": "x", "picture": "-3", "class": "<b>", "epoch": "nan", "phase": "9", "own": "../../etc/passwd"},
    ):
        opened(page, section, written(), **params)


@EVERYWHERE
def test_layers_of_unlike_shapes(written: Callable[..., Run], page: str, section: str) -> None:
    """A transformer teaches a convolutional network: other planes, other channels, no Grad-CAM."""
    opened(page, section, written("unlike"), layers="0-1")


@EVERYWHERE
def test_points_where_pictures_are_asked_for(written: Callable[..., Run], page: str, section: str) -> None:
    opened(page, section, written("points"))


def test_a_method_without_the_asked_view(written: Callable[..., Run]) -> None:
    assert "Semantic calibration" in told_in_a_sentence(opened("look", "Layer assignment", written()))


def test_a_phase_that_names_nobody_who_is_there(written: Callable[..., Run]) -> None:
    def elsewhere(event: Event) -> Event:
        if not isinstance(event, PhaseStarted):
            return event
        return dataclasses.replace(event, lessons=[{**one, "teacher": "nobody"} for one in event.lessons])

    for page, section in (("look", "Feature maps"), ("gap", "Fidelity"), ("pictures", "Picture by picture")):
        opened(page, section, written(said=elsewhere))
