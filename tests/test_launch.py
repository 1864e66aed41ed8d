"""The desk: runs reach a warm scribe, survive the app, and leave no process behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from kdcore.answer import answer_from_bytes
from kdcore.events import Checkpoint, Failed, Finished, Note, Started, Step, Stopped
from kdcore.launch import AskError, Desk, LaunchError
from kdcore.recipe import Parent, Part, Pick, Recipe
from kdcore.runs import Run, Shelf
from tests import story

STORY = [sys.executable, "-P", str(Path(story.__file__))]
PACKAGE = str(Path(__file__).parent.parent)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path / "runs", tmp_path / "recorded")
    yield shelf
    with contextlib.suppress(AssertionError):
        _until(lambda: not _workers(shelf), seconds=15)  # they step back where cores are few
    left = _workers(shelf)
    for process in left:
        process.kill()
    assert left == [], "processes outlived the test"


@pytest.fixture
def desk(shelf: Shelf) -> Iterator[Desk]:
    desk = Desk(shelf, command=STORY, slots=2, patience=1.0)
    yield desk
    for run in shelf.runs():
        run.request_stop()
    desk.close()


def test_a_launched_run_is_written_by_another_process(shelf: Shelf, desk: Desk) -> None:
    id = desk.launch(story.recipe())
    run = shelf.run(id)
    _until(lambda: run.state() == "finished")
    events, _ = run.events()
    assert [type(event).__name__ for event in events] == ["Started", "PhaseStarted", *["Step"] * 3, "Finished"]
    assert run.holder() != os.getpid()
    assert desk.launch(story.recipe()) == id  # two tabs, one run


def test_threads_launching_the_same_recipe_start_one_run(shelf: Shelf, desk: Desk) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: desk.launch(story.recipe()), range(8)))
    assert len(ids) == 1
    _until(lambda: shelf.runs()[0].state() == "finished")
    assert len(shelf.runs()) == 1


def test_scribes_are_capped_and_runs_beyond_wait_and_are_all_written(shelf: Shelf, desk: Desk) -> None:
    ids = [desk.launch(story.recipe(story.SLOW + number)) for number in range(6)]
    _until(lambda: sum(shelf.run(id).state() == "running" for id in ids) == 2)
    for _ in range(20):
        assert len(_workers(shelf, "scribe")) <= 4
        assert sum(shelf.run(id).state() == "running" for id in ids) <= 2
        time.sleep(0.01)
    assert sum(shelf.run(id).state() == "waiting" for id in ids) == 4
    last = shelf.run(ids[-1])
    last.request_stop()
    assert last.state() == "stopped"  # still in line: no process has to say it
    for id in ids:
        shelf.run(id).request_stop()
    _until(lambda: all(isinstance((shelf.run(id).events()[0] or [None])[-1], Stopped) for id in ids))


def test_runs_in_line_are_written_by_processes_that_are_warm_already(shelf: Shelf, desk: Desk) -> None:
    ids = [desk.launch(story.recipe(number)) for number in range(8)]
    _until(lambda: all(shelf.run(id).state() == "finished" for id in ids))
    assert len({shelf.run(id)._held()["pid"] for id in ids}) <= 3  # a slot each, and the idle one


def test_a_process_whose_run_was_interrupted_is_not_used_again(shelf: Shelf, desk: Desk) -> None:
    run = shelf.run(desk.launch(story.recipe(story.SLOW)))
    _until(lambda: run.state() == "running")
    first = run.holder()
    assert first is not None
    os.kill(first, signal.SIGTERM)
    _until(lambda: run.state() == "stopped")
    later = shelf.run(desk.launch(story.recipe(1)))
    _until(lambda: later.state() == "finished")
    assert later._held()["pid"] != first


def test_there_is_always_one_idle_scribe_and_it_ends_with_the_desk(shelf: Shelf, desk: Desk) -> None:
    first = desk.launch(story.recipe(1))
    _until(lambda: shelf.run(first).state() == "finished")
    _until(lambda: len(_workers(shelf, "scribe")) == 1)
    began = time.monotonic()
    desk.close()
    assert time.monotonic() - began < 3
    _until(lambda: not _workers(shelf), seconds=2)


def test_a_busy_scribe_finishes_its_run_after_the_app_was_killed_and_the_idle_ones_end(shelf: Shelf) -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[2]); import story; from kdcore.launch import Desk\n"
        "from kdcore.runs import Shelf\n"
        "desk = Desk(Shelf(sys.argv[1]), command=[sys.executable, '-P', story.__file__], slots=2)\n"
        "print(desk.launch(story.recipe(story.SLOW)), flush=True); time.sleep(60)"
    )
    app = subprocess.Popen(
        [sys.executable, "-c", code, str(shelf.root), str(Path(__file__).parent)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": PACKAGE},
    )  # fmt: skip
    try:
        assert app.stdout is not None
        run = shelf.run(app.stdout.readline().strip())
        _until(lambda: run.state() == "running" and len(_workers(shelf)) == 3)
    finally:
        app.kill()
        app.communicate()
    _until(lambda: len(_workers(shelf)) == 1, seconds=15)
    seen = len(run.events()[0])
    _until(lambda: len(run.events()[0]) > seen + 5)  # it goes on
    found = Desk(shelf, command=STORY, slots=2)  # the next app finds it, and can stop it
    try:
        assert found.launch(story.recipe(story.SLOW)) == run.id
        assert run.state() == "running"
        run.request_stop()
        _until(lambda: run.state() == "stopped")
    finally:
        found.close()


def test_a_killed_scribe_leaves_a_lost_run_and_the_next_launch_makes_a_new_attempt(shelf: Shelf, desk: Desk) -> None:
    id = desk.launch(story.recipe(story.SLOW))
    run = shelf.run(id)
    _until(lambda: len(run.events()[0]) > 5)
    holder = run.holder()
    assert holder is not None
    os.kill(holder, signal.SIGKILL)
    _until(lambda: run.state() == "lost")
    assert not any(isinstance(event, Note) for event in run.events()[0])
    again = desk.launch(story.recipe(story.SLOW))
    assert again == id + "-2"
    _until(lambda: shelf.run(again).state() == "running")


def test_runs_in_line_are_stopped_when_the_desk_closes(shelf: Shelf) -> None:
    desk = Desk(shelf, command=STORY, slots=1)
    ids = [desk.launch(story.recipe(story.SLOW + number)) for number in range(5)]
    try:
        _until(lambda: any(shelf.run(id).state() == "running" for id in ids))
        desk.close()
        states = [shelf.run(id).state() for id in ids]
        assert states == ["running", *["stopped"] * 4]
    finally:
        for id in ids:
            shelf.run(id).request_stop()


def test_a_scribe_that_dies_before_it_begins_is_tried_twice_and_then_said(shelf: Shelf, desk: Desk) -> None:
    run = shelf.run(desk.launch(story.recipe(story.DIE_EARLY)))
    _until(lambda: run.state() == "failed")
    end = run.events()[0][-1]
    assert isinstance(end, Failed)
    assert "the dog ate the interpreter" in end.reason
    fine = desk.launch(story.recipe(2))  # others are not held up
    _until(lambda: shelf.run(fine).state() == "finished")


def test_a_scribe_that_cannot_come_up_fails_the_run_with_its_last_words(shelf: Shelf) -> None:
    broken = [sys.executable, "-c", "raise SystemExit('torch is not installed')"]
    desk = Desk(shelf, command=broken, slots=1, patience=1.0)
    try:
        run = shelf.run(desk.launch(story.recipe()))
        _until(lambda: run.state() == "failed")
        end = run.events()[0][-1]
        assert isinstance(end, Failed)
        assert "torch is not installed" in end.reason
        with pytest.raises(AskError, match="torch is not installed"):
            desk.catalog()
        assert "torch is not installed" in desk.preview(story.recipe()).warnings[0]
    finally:
        desk.close()


def test_a_place_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    shelf = Shelf(tmp_path / "runs", tmp_path / "none")
    desk = Desk(shelf, command=STORY, slots=1)
    try:
        shelf.root = tmp_path / "file" / "runs"
        (tmp_path / "file").write_text("")
        with pytest.raises(LaunchError, match="cannot be started"):
            desk.launch(story.recipe())
    finally:
        desk.close()


def test_a_preview_is_asked_once_and_remembered(desk: Desk) -> None:
    first = desk.preview(story.recipe(1))
    assert first.seconds > 0
    assert desk.preview(story.recipe(1)) is first


def test_a_stuck_preview_is_given_up_and_the_next_question_is_answered(shelf: Shelf, desk: Desk) -> None:
    fine = desk.preview(story.recipe(1))
    began = time.monotonic()
    answers: list[object] = []
    other = threading.Timer(0.3, lambda: answers.append(desk.preview(story.recipe(3))))
    other.start()
    stuck = desk.preview(story.recipe(story.HANG))
    assert time.monotonic() - began < 5
    assert "too long" in stuck.warnings[0]
    other.join(10)
    assert answers[0].seconds not in (0.0, fine.seconds)  # type: ignore[attr-defined] # another process answered
    assert len(_workers(shelf, "worker")) == 1


def test_a_worker_that_breaks_is_started_once_more_and_then_it_is_said(shelf: Shelf, desk: Desk) -> None:
    fine = desk.preview(story.recipe(1))
    os.kill(int(fine.seconds), signal.SIGKILL)
    assert desk.preview(story.recipe(2)).seconds > 0  # between two questions: nobody notices
    assert "broke" in desk.preview(story.recipe(story.DIE_EARLY)).warnings[0]
    assert desk.preview(story.recipe(3)).seconds > 0


def test_unanswerable_questions_get_a_sentence(desk: Desk) -> None:
    with pytest.raises(AskError, match="There is no run"):
        desk.ask("../..", "agreement", {}, "0-0")
    with pytest.raises(AskError, match="too wide"):
        desk.catalog()


def test_the_real_workers_write_a_run_and_answer_about_it(shelf: Shelf) -> None:
    desk = Desk(shelf, patience=60.0)
    try:
        small = Recipe(
            student=Pick("mlp", {"width": 8}),
            methods=(Part(Pick("kd")),),
            training={"epochs": 2, "teacher_epochs": 1},
        )
        run = shelf.run(desk.launch(small))
        catalog = desk.catalog()
        assert "kd" in catalog.folders["methods"]
        assert shelf.kept_catalog(catalog.version) is not None
        preview = desk.preview(small)
        assert preview.faults == []
        assert preview.roles["student"]["parameters"] > 0
        wrong = desk.preview(small.with_setting("student.width", -1))
        assert wrong.faults[0]["where"] == "student.width"
        _until(lambda: run.state() not in ("waiting", "running"), seconds=60)
        events, _ = run.events()
        assert isinstance(events[-1], Finished), events[-1]
        assert not any(isinstance(event, Note) and "damaged" in event.text for event in events)
        from kdcore.engine import run as source

        here = [event.loss for event in source(small) if isinstance(event, Step)]
        assert [event.loss for event in events if isinstance(event, Step)] == here  # warming up changed nothing
        files = desk.save_student(run.id)
        assert set(files) == {"student.safetensors", "student.json"}
        last = run.history().snapshots[-1].name
        with pytest.raises(AskError, match="no probe"):
            desk.ask(run.id, "nonsense", {}, last)
        for key in catalog.folders["probes"]:
            with contextlib.suppress(AskError):  # some need points, or attention
                answer = desk.ask(run.id, key, {}, last)
                kept = list((run.folder / "answers").glob(f"{key}-*"))
                assert len(kept) == 1
                assert type(answer_from_bytes(kept[0].read_bytes())) is type(answer)
                break
    finally:
        desk.close()


def test_a_killed_run_goes_on_under_its_own_id_and_ends_as_if_it_had_not_been(shelf: Shelf) -> None:
    long = Recipe(student=Pick("mlp", {"width": 8}), training={"epochs": 700, "teacher_epochs": 1, "snapshot_every": 0})
    desk = Desk(shelf, patience=60.0)
    try:
        run = shelf.run(desk.launch(long))
        _until(lambda: (run.folder / "checkpoint.safetensors").exists(), seconds=120)
        kill(run.holder())
        _until(lambda: run.state() == "lost")
        kept = run.checkpoint()
        assert kept is not None
        said = run.events()[0]
        desk.go_on(run.id)
        with pytest.raises(LaunchError, match="only one that was interrupted"):
            desk.go_on(run.id)
        _until(lambda: run.state() not in ("waiting", "running"), seconds=240)
        events, _ = run.events()
        assert isinstance(events[-1], Finished), events[-1]
        _until(lambda: run.checkpoint() is None)  # it goes once the last line is on the disk
        assert sum(isinstance(event, Started) for event in events) == 1
        steps = [(event.phase, event.step) for event in events if isinstance(event, Step)]
        assert len(steps) == len(set(steps)), "what was said after the checkpoint was taken back"
        assert events[:50] == said[:50]
        with pytest.raises(LaunchError, match="is finished"):
            desk.go_on(run.id)
        fork = replace(long, parent=Parent(run.id, "2-0"), training={"epochs": 1, "teacher_epochs": 1})
        other = shelf.run(desk.launch(fork))
        _until(lambda: other.state() not in ("waiting", "running"), seconds=60)
        assert other.state() == "finished", other.events()[0][-1]
        assert torch.equal(other.tensors("0-0")["role/teacher/head.weight"], _last(run, "role/teacher/head.weight"))
        orphan = shelf.run(desk.launch(replace(fork, parent=Parent("0" * 16, "2-0"))))
        _until(lambda: orphan.state() not in ("waiting", "running"), seconds=60)
        assert "There is no run 0000000000000000 here" in orphan.history().failure
    finally:
        desk.close()


def test_what_is_stopped_in_line_and_goes_on_is_written_once(shelf: Shelf, desk: Desk) -> None:
    ahead = [shelf.run(desk.launch(story.recipe(story.SLOW + number))) for number in range(2)]
    _until(lambda: all(run.state() == "running" for run in ahead))
    run = shelf.run(desk.launch(story.recipe()))
    for _ in range(2):
        run.request_stop()
        assert run.state() == "stopped"
        desk.go_on(run.id)
        assert run.state() == "waiting"
    for other in ahead:
        other.request_stop()
    _until(lambda: run.state() == "finished")
    last = shelf.run(desk.launch(story.recipe(1)))  # whoever stood in line behind it has had a turn
    _until(lambda: last.state() == "finished")
    assert sum(isinstance(event, Started) for event in run.events()[0]) == 1


def test_of_two_tabs_one_has_a_run_go_on(shelf: Shelf, desk: Desk) -> None:
    run, _ = shelf.create(story.recipe())
    run.append(Checkpoint(time.time(), 0, 0, {}))
    run.append(Stopped(time.time()))

    def press(_: int) -> str:
        try:
            desk.go_on(run.id)
        except LaunchError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(press, range(8)))
    assert sorted(map(bool, said)) == [False] + [True] * 7
    _until(lambda: run.state() == "finished")
    assert sum(isinstance(event, Started) for event in run.events()[0]) == 1


def kill(pid: int | None) -> None:
    assert pid is not None
    psutil.Process(pid).kill()


def _last(run: Run, name: str) -> torch.Tensor:
    return next(found[name] for one in reversed(run.history().snapshots) if name in (found := run.tensors(one.name)))


def _workers(shelf: Shelf, kind: str = "") -> list[psutil.Process]:
    """Processes that serve this shelf, by its folder in their command line."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if "--root" in words and str(shelf.root) in words and (not kind or kind in words):
                found.append(process)
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


def _until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)
