"""The shelf: whatever happens to a run's files or its process, what was recorded stays readable."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import torch

from kdcore import files
from kdcore import run as run_module
from kdcore.events import Checkpoint, Failed, Finished, Note, Snapshot, Step, Stopped
from kdcore.processes import alive, this_process
from kdcore.recipe import Recipe, RecipeError
from kdcore.registry import UnknownKey
from kdcore.run import Run, RunError, UnknownRun
from kdcore.runs import Shelf
from kdcore.scribe import write
from kdcore.slots import Slots
from tests import story


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "runs", tmp_path / "recorded")


@pytest.fixture
def slots(shelf: Shelf) -> Slots:
    return Slots(shelf.root / "slots", "cpu", 2)


def log(run: Run) -> Path:
    return run.folder / "events.jsonl"


def test_what_was_appended_is_read_back_and_offsets_continue(shelf: Shelf) -> None:
    run, new = shelf.create(story.recipe())
    told = list(story.source(run.recipe))
    run.append(told[0])
    first, offset = run.events()
    for event in told[1:]:
        run.append(event)
    rest, end = run.events(since=offset)
    assert new
    assert first + rest == told
    assert run.events(since=end) == ([], end)
    assert run.state() == "finished"
    assert run.history().results["student"]["test_accuracy"] == 0.9


def test_a_finished_run_is_on_the_disk_with_the_last_snapshot_of_each_phase(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = shelf.create(story.recipe())
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    for phase, step in ((0, 0), (0, 8), (0, 16), (1, 9), (1, 10)):
        run.append(Snapshot(1.0, phase, step, 1.0, f"{phase}-{step}", ["teacher"], {"teacher/a": torch.ones(2)}))
    assert synced == []
    run.append(Finished(2.0, 1.0, {}))
    last = {(run.folder / "snapshots" / f"{name}.safetensors").stat().st_ino for name in ("0-16", "1-10")}
    assert set(synced[:-1]) == last
    assert synced[-1] == log(run).stat().st_ino, "what it speaks of is there before the word"


def test_numbers_that_are_none_are_read_back_as_none(shelf: Shelf) -> None:
    run, _ = shelf.create(story.recipe())
    run.append(story.step(1, loss=float("nan"), terms={"kd": float("inf")}))
    (read,), _ = run.events()
    assert isinstance(read, Step)
    assert (read.loss, read.terms) == (None, {"kd": None})


def test_a_log_cut_at_any_byte_of_its_last_line_loses_only_that_line(shelf: Shelf) -> None:
    run, _ = shelf.create(story.recipe())
    for number in range(1, 4):
        run.append(story.step(number))
    whole = log(run).read_bytes()
    last = whole[:-1].rfind(b"\n") + 1
    for cut in range(last, len(whole)):
        log(run).write_bytes(whole[:cut])
        events, offset = run.events()
        assert [event.step for event in events] == [1, 2]
        assert offset == last
    log(run).write_bytes(whole)
    assert len(run.events(since=last)[0]) == 1


def test_after_a_cut_the_next_writer_spoils_no_line(shelf: Shelf) -> None:
    run, _ = shelf.create(story.recipe())
    run.append(story.step(1))
    run.append(story.step(2))
    log(run).write_bytes(log(run).read_bytes()[:-20])
    run.append(Failed(time.time(), "cut"))
    events, _ = run.events()
    assert [type(event) for event in events] == [Step, Note, Failed]
    assert run.state() == "failed"


@pytest.mark.parametrize(
    "damage",
    [
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"null",
        b'{"is": "Step"}',
        b'{"is": "Step", "time": "noon", "phase": 0, "learner": "s", "step": 1, "epoch": 1, "loss": 1, "terms": {}, '
        b'"weighted": {}, "rate": 1}',
        b'{"is": "Note", "time": 1e999, "text": ""}',
        b'{"is": "Note", "time": null, "text": ""}',
        b'{"is": "Finished", "time": 1, "seconds": 1, "results": [1]}',
        b'{"is": "os.system", "time": 1}',
        b"1" * 5000,
    ],
    ids=lambda damage: damage[:40].decode(errors="replace"),
)
def test_a_damaged_line_becomes_a_note_and_the_rest_is_read(shelf: Shelf, damage: bytes) -> None:
    run, _ = shelf.create(story.recipe())
    run.append(story.started(run.recipe))
    with log(run).open("ab") as file:
        file.write(damage + b"\n")
    run.append(story.finished())
    events, _ = run.events()
    assert [type(event).__name__ for event in events] == ["Started", "Note", "Finished"]
    assert run.history().outcome == "finished"
    assert run.state() == "finished"


def test_callers_at_the_same_moment_in_several_processes_get_the_same_run(shelf: Shelf) -> None:
    code = (
        "import sys, time; from kdcore.runs import Shelf; from kdcore.recipe import Recipe; from pathlib import Path\n"
        "shelf = Shelf(Path(sys.argv[1]), Path('nowhere')); time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "for seed in range(20): run, new = shelf.create(Recipe().replace(seed=seed)); print(run.id, int(new))\n"
        "sys.stdout.flush(); sys.stdin.read()"  # a process that is gone would leave its runs lost
    )
    start = str(time.time() + 1.5)
    others = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(shelf.root), start],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment(),
        )
        for _ in range(3)
    ]  # fmt: skip
    try:
        told = [[other.stdout.readline().split() for _ in range(20)] for other in others]
    finally:
        for other in others:
            other.communicate()
    for answers in zip(*told, strict=True):
        assert len({id for id, _ in answers}) == 1
        assert sum(int(new) for _, new in answers) == 1
    assert len(shelf.runs()) == 20
    assert not list(shelf.root.glob(".making-*"))


def test_threads_asking_at_once_get_one_run(shelf: Shelf) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: shelf.create(story.recipe()), range(16)))
    assert len({run.id for run, _ in made}) == 1
    assert sum(new for _, new in made) == 1


@pytest.mark.parametrize("end", [Failed(1.0, "no"), Stopped(1.0)])
def test_after_a_bad_end_a_further_attempt_is_made_and_the_old_one_stays(shelf: Shelf, end: Failed | Stopped) -> None:
    first, _ = shelf.create(story.recipe())
    first.append(end)
    second, new = shelf.create(story.recipe())
    assert new
    assert second.id == first.id + "-2"
    assert shelf.create(story.recipe())[0].id == second.id
    assert {run.id for run in shelf.runs()} == {first.id, second.id}


def test_a_run_whose_process_was_killed_is_lost_and_readable_and_can_be_repeated(shelf: Shelf) -> None:
    run, _ = shelf.create(story.recipe(story.SLOW))
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); import story; from kdcore.runs import Shelf\n"
        "from kdcore.scribe import write; from kdcore.slots import Slots\n"
        "shelf = Shelf(sys.argv[1]); run = shelf.run(sys.argv[3])\n"
        "write(run, story.source, slots=Slots(shelf.root / 'slots', 'cpu', 1))"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(shelf.root), str(Path(__file__).parent), run.id], env=_environment()
    )
    try:
        _until(lambda: len(run.events()[0]) > 10)
        assert run.state() == "running"
        assert run.holder() == writer.pid
        with pytest.raises(RunError, match="still going"):
            run.delete()
        os.kill(writer.pid, signal.SIGKILL)
        _until(lambda: run.state() == "lost")  # a zombie until this process waits for it
        assert psutil.Process(writer.pid).status() == psutil.STATUS_ZOMBIE
    finally:
        writer.kill()
        writer.wait()
    assert run.state() == "lost"
    assert all(not isinstance(event, Note) for event in run.events()[0])
    assert len(run.events()[0]) > 10
    again, new = shelf.create(run.recipe)
    assert (again.id, new) == (run.id + "-2", True)
    slot = Slots(shelf.root / "slots", "cpu", 1).take(lambda: False)
    assert slot is not None  # the killed one's slot is free again
    slot.free()


def test_another_process_with_the_same_number_does_not_count_as_the_writer() -> None:
    here = this_process("work")
    assert alive(here) is True
    assert alive({**here, "create_time": here["create_time"] - 100}) is False
    assert alive({**here, "host": "elsewhere"}) is None
    assert alive({}) is None
    assert alive({**here, "pid": 10**30}) is False


def test_where_the_process_cannot_be_looked_up_silence_decides(shelf: Shelf) -> None:
    run, _ = shelf.create(story.recipe())
    (run.folder / "process.json").write_text("{damaged")
    run.append(story.step(1))
    assert run.state() in ("waiting", "running")
    for path in run.folder.iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    assert run.state() == "lost"


def test_a_stop_request_ends_the_source_within_half_a_second(shelf: Shelf, slots: Slots) -> None:
    run, _ = shelf.create(story.recipe(story.SLOW))
    threading.Timer(0.3, run.request_stop).start()
    began = time.monotonic()
    end = write(run, story.source, slots=slots)
    assert isinstance(end, Stopped)
    assert time.monotonic() - began < 2.0
    assert run.state() == "stopped"
    assert run.events()[0][-1] == end


def test_a_stop_request_reaches_a_source_that_says_nothing(
    shelf: Shelf, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def downloading(recipe: Recipe):
        yield story.started(recipe)
        time.sleep(30)

    monkeypatch.setattr("kdcore.scribe.PATIENCE", 0.2)
    run, _ = shelf.create(story.recipe())
    threading.Timer(0.2, run.request_stop).start()
    began = time.monotonic()
    assert isinstance(write(run, downloading, slots=slots), Stopped)
    assert time.monotonic() - began < 10
    assert [type(event).__name__ for event in run.events()[0]] == ["Started", "Stopped"]


def test_a_run_waits_for_a_slot_and_can_be_stopped_there(shelf: Shelf) -> None:
    one = Slots(shelf.root / "slots", "cpu", 1)
    taken = one.take(lambda: False)
    assert taken is not None
    run, _ = shelf.create(story.recipe())
    writing = threading.Thread(target=write, args=(run, story.source), kwargs={"slots": one})
    writing.start()
    time.sleep(0.3)
    assert run.state() == "waiting"
    assert run.events()[0] == []
    run.request_stop()
    writing.join(5)
    assert run.state() == "stopped"
    taken.free()
    other, _ = shelf.create(story.recipe())
    assert isinstance(write(other, story.source, slots=one), Finished)


@pytest.mark.parametrize(
    ("error", "reason", "advice"),
    [
        (UnknownKey("'blobz' is no data set"), "'blobz' is no data set", ""),
        (RecipeError("student.width", "width=-1 lies outside [1, 256]"), "student.width: width=-1 lies outside", ""),
        (MemoryError(), "memory", "smaller batch"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "memory", "narrower"),
        (KeyError("teacher"), "KeyError: 'teacher'", "fault.txt"),
        (ValueError("first line\nsecond line"), "ValueError: first line", "fault.txt"),
    ],
)
def test_whatever_the_source_raises_becomes_a_sentence(
    shelf: Shelf, slots: Slots, error: Exception, reason: str, advice: str
) -> None:
    def broken(recipe: Recipe):
        yield story.started(recipe)
        raise error

    run, _ = shelf.create(story.recipe())
    end = write(run, broken, slots=slots)
    assert isinstance(end, Failed)
    assert reason in end.reason
    assert "\n" not in end.reason
    assert advice in end.advice
    assert (run.folder / "fault.txt").exists() == (advice == "fault.txt")
    assert run.state() == "failed"
    assert run.events()[0][-1] == end


def test_a_source_that_ends_without_an_end_has_failed(shelf: Shelf, slots: Slots) -> None:
    run, _ = shelf.create(story.recipe())
    assert isinstance(write(run, lambda recipe: iter([story.started(recipe)]), slots=slots), Failed)
    assert run.state() == "failed"


def test_a_disk_that_is_full_for_a_snapshot_ends_in_failed_and_leaves_no_part(
    shelf: Shelf, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")

    def keeping(recipe: Recipe):
        yield story.started(recipe)
        yield story.phase(2)
        yield Snapshot(time.time(), 0, 1, 1.0, "0-1", ["student"], {"role/student/a": torch.ones(3)})
        monkeypatch.setattr(files, "_write_all", full)
        yield Snapshot(time.time(), 0, 2, 2.0, "0-2", ["student"], {"role/student/a": torch.ones(2000)})
        yield story.finished()

    real = files._write_all

    def full(handle: int, content: bytes) -> None:
        if len(content) > 4000:
            os.write(handle, content[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle, content)

    run, _ = shelf.create(story.recipe())
    end = write(run, keeping, slots=slots)
    assert isinstance(end, Failed)
    assert "disk is full" in end.reason
    assert run.state() == "failed"
    assert [path.name for path in (run.folder / "snapshots").iterdir()] == ["0-1.safetensors"]
    assert run.tensors("0-1")["role/student/a"].tolist() == [1, 1, 1]
    assert [one.name for one in run.history().snapshots] == ["0-1"]


def test_a_disk_that_is_full_for_a_line_takes_back_the_half_line(
    shelf: Shelf, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, content: bytes) -> None:
        os.write(handle, content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    def filling(recipe: Recipe):
        yield story.started(recipe)
        monkeypatch.setattr(files, "_write_all", full)
        yield story.step(1)

    run, _ = shelf.create(story.recipe())
    end = write(run, filling, slots=slots)
    assert isinstance(end, Failed)
    assert log(run).read_bytes().endswith(b"}\n")
    assert [type(event).__name__ for event in run.events()[0]] == ["Started"]
    held = json.loads((run.folder / "process.json").read_text())
    monkeypatch.undo()
    run.begin({**held, "pid": 2**22 + 1})
    assert run.state() == "lost"


@pytest.mark.parametrize("short", ["checkpoint.safetensors", "events.jsonl"])
def test_what_is_shorter_than_it_was_is_nothing_to_go_on_from(shelf: Shelf, short: str) -> None:
    run, _ = shelf.create(Recipe())
    run.append(Note(time.time(), "so far"))
    run.append(Checkpoint(time.time(), 1, 7, {"role/student/weight": torch.arange(300.0), "random": torch.zeros(2)}))
    run.append(Note(time.time(), "and on"))
    run.begin({**this_process("work"), "create_time": 1.0})  # by now its process is gone
    kept = run.interrupted_at()
    assert kept is not None
    assert (kept["phase"], kept["step"]) == (1, 7)
    size = (run.folder / short).stat().st_size
    os.truncate(run.folder / short, kept["bytes"] - 5 if short == "events.jsonl" else size - 100)
    before = log(run).read_bytes()
    assert run.interrupted_at() is None
    with pytest.raises(RunError, match="damaged"):
        shelf.go_on(run.id)
    assert log(run).read_bytes() == before, "what it said is as it was"


def test_snapshots_come_back_equal_even_where_tensors_share_memory(shelf: Shelf) -> None:
    torch = pytest.importorskip("torch")
    run, _ = shelf.create(story.recipe())
    weight = torch.arange(6.0).view(2, 3)
    tensors = {"role/student/w": weight, "role/student/t": weight.t(), "role/student/n": torch.tensor(3)}
    run.append(Snapshot(time.time(), 0, 1, 1.0, "0-1", ["student"], tensors))
    found = run.tensors("0-1")
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    assert b"tensors" not in log(run).read_bytes()
    (run.folder / "snapshots" / "0-1.safetensors").write_bytes(b"junk" * 10)
    with pytest.raises(RunError, match="damaged"):
        run.tensors("0-1")
    with pytest.raises(RunError, match="no snapshot 9-9"):
        run.tensors("9-9")


@pytest.mark.parametrize("id", ["", "..", "../../etc", "0123456789abcdef/..", "0123456789ABCDEF", "0123456789abcdef\n"])
def test_ids_from_outside_reach_no_other_place(shelf: Shelf, id: str) -> None:
    with pytest.raises(UnknownRun):
        shelf.run(id)


def test_an_unknown_id_and_bad_keys_get_a_sentence(shelf: Shelf) -> None:
    with pytest.raises(UnknownRun, match="no run 0123456789abcdef"):
        shelf.run("0123456789abcdef")
    run, _ = shelf.create(story.recipe())
    for key in ("../x", "A", "", "a" * 81, "a/b", "a.b"):
        with pytest.raises(RunError):
            run.answer(key)
        with pytest.raises(RunError):
            run.keep_answer(key, b"")
    with pytest.raises(RunError):
        run.tensors("../../secret")


def test_delete_takes_the_run_and_follows_no_link(shelf: Shelf, tmp_path: Path) -> None:
    run, _ = shelf.create(story.recipe())
    run.append(story.finished())
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    (run.folder / "answers").symlink_to(precious)
    (shelf.root / "0123456789abcdef").symlink_to(precious)
    assert [one.id for one in shelf.runs()] == [run.id]
    with pytest.raises(UnknownRun):
        shelf.run("0123456789abcdef")
    run.delete()
    assert shelf.runs() == []
    assert (precious / "file").read_text() == "kept"
    assert not list(shelf.root.glob(".deleting-*"))


def test_a_recipe_edited_on_disk_is_refused_and_the_run_still_listed(shelf: Shelf, slots: Slots) -> None:
    run, _ = shelf.create(story.recipe())
    path = run.folder / "recipe.json"
    for text in (b"{", b"[]", b'{"version": 99}', b"\xff", b" " * 1_000_000, b'{"seed": -1}'):
        path.write_bytes(text)
        with pytest.raises(RecipeError):
            _ = shelf.run(run.id).recipe
    assert [one.id for one in shelf.runs()] == [run.id]
    end = write(shelf.run(run.id), story.source, slots=slots)
    assert isinstance(end, Failed)
    assert "seed=-1" in end.reason


def test_recorded_runs_come_last_cannot_be_changed_and_keep_answers_beside(shelf: Shelf, tmp_path: Path) -> None:
    maker = Shelf(tmp_path / "recorded", tmp_path / "none")
    made, _ = maker.create(story.recipe(7))
    made.append(story.started(made.recipe))
    made.append(story.finished())
    own, _ = shelf.create(story.recipe(8))
    assert [(run.id, run.recorded) for run in shelf.runs()] == [(own.id, False), (made.id, True)]
    run = shelf.run(made.id)
    assert run.state() == "finished"
    assert run.created > 0
    for change in (lambda: run.append(story.finished()), run.delete, run.request_stop, lambda: run.begin({})):
        with pytest.raises(RunError, match="recorded"):
            change()
    run.keep_answer("cka-1", b"answer")
    assert shelf.run(made.id).answer("cka-1") == b"answer"
    assert (shelf.root / "answers-of-recorded" / made.id / "cka-1.safetensors").exists()
    again, new = shelf.create(story.recipe(7))
    assert (again.id, new, again.recorded) == (made.id, True, False)  # a click starts one's own
    assert shelf.run(made.id).recorded is False


def test_an_answer_is_kept_whole_or_not_at_all(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = shelf.create(story.recipe())
    assert run.answer("boundary-3") is None
    run.keep_answer("boundary-3", b"first")

    def full(handle: int, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_write_all", full)
    with pytest.raises(OSError, match="No space"):
        run.keep_answer("boundary-3", b"second")
    assert run.answer("boundary-3") == b"first"
    assert len(list((run.folder / "answers").iterdir())) == 1


def test_reading_a_shelf_needs_no_torch() -> None:
    code = "import sys, kdcore.runs, kdcore.launch, kdcore.commands; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=_environment()).returncode == 0


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(run_module.__file__).parent.parent)}


def _until(true: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)
