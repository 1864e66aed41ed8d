"""A worker elsewhere says what the engine says; a run survives the loss of workers. Without Ray: across one process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from kdcore import engine
from kdcore.beginnings import source_for
from kdcore.events import Checkpoint, Event, Failed, Finished, Foundation, Note, Shown, Snapshot, Started, Stopped
from kdcore.recipe import Parent, Part, Pick, Recipe
from kdcore.run import Run
from kdcore.runs import Shelf
from kdcore.scribe import write
from kdcore.slots import Slots
from kdcore.sources import cluster, ray, ray_tournament
from kdcore.sources.parcels import packed, packed_start, unpacked, unpacked_start
from kdcore.sources.trainer import Trainer
from kdcore.standings import ALONE, PLAIN
from kdcore.start import Start
from kdcore.tournament import fresh
from tests.test_going_on import TINY, same, told
from tests.test_tournament import TINY as PAIR

TRYING = replace(TINY, methods=(Part(Pick("kd", {"temperature": 9.0})),))


class Beside:
    """Stands for a worker of a cluster: the same methods, called in this process."""

    loses = 0
    """How many of them are lost after their first checkpoint."""
    ended = 0

    def __init__(self, kind: type[Trainer], *, gpu: bool) -> None:
        self.gpu = gpu
        self._trainer = kind(gpu=True)  # a worker without one would hide the GPU from this process
        self._lost = False

    def ready(self, stop: Any) -> None:
        self._trainer.warm()

    def ask(self, method: str, *given: Any, stop: Any) -> Any:
        if stop():
            raise cluster.Cancelled
        if self._lost:
            raise cluster.WorkerLost("its node is gone")
        answer = getattr(self._trainer, method)(*given)
        if method == "more" and Beside.loses and any(b'"is":"Checkpoint"' in line for line, _ in answer):
            Beside.loses -= 1
            self._lost = True
        return answer

    def end(self) -> None:
        Beside.ended += 1


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go to such workers, and say a checkpoint after every epoch."""
    monkeypatch.setenv("KDLAB_RAY", "auto")
    monkeypatch.setattr(ray, "Worker", Beside)
    monkeypatch.setattr(ray, "count", lambda: {"cpu": 1})
    monkeypatch.setattr(ray, "SPARE", cluster.Spare(seconds=0.0))
    straight = engine.run

    def often(recipe: Recipe, **settings: Any) -> Iterator[Event]:
        return straight(recipe, **settings, checkpoint_every=0.0)

    monkeypatch.setattr(engine, "run", often)
    Beside.loses = Beside.ended = 0


def written(shelf: Shelf, recipe: Recipe) -> Run:
    run, new = shelf.create(recipe)
    assert new
    write(run, source_for(run, shelf), slots=Slots(shelf.root / "slots", "cpu", 1))
    return run


def log_of(run: Run) -> list[dict[str, Any]]:
    """All that was said, without when and how fast."""
    return [timeless(event) for event in run.events()[0]]


def timeless(event: Event) -> dict[str, Any]:
    """Without the foundations' keys, too: they change with every file of the code, also while a test goes on."""
    return {name: value for name, value in event.to_json().items() if name not in ("time", "rate", "seconds", "key")}


def tensors_of(run: Run) -> dict[str, Any]:
    return {one.name: run.tensors(one.name) for one in run.history().snapshots}


def same_runs(one: Run, other: Run) -> None:
    assert log_of(one) == log_of(other)
    assert same(tensors_of(one), tensors_of(other))


def test_events_arrive_as_they_left_with_tensors_and_pictures() -> None:
    kinds = set()
    for event in engine.run(replace(TINY, scheme=Pick("dml")), checkpoint_every=0.0):
        kinds.add(type(event))
        assert same(told(unpacked(packed(event))), told(event))
        assert unpacked(packed(event)).to_json() == event.to_json()
        if isinstance(event, (Snapshot, Checkpoint)):
            assert same(unpacked(packed(event)).tensors, event.tensors)  # type: ignore[attr-defined]
    assert {Shown, Snapshot, Checkpoint, Finished} <= kinds


def test_what_is_no_event_is_refused() -> None:
    for line in (b"{}", b'{"is":"Note","time":0.0,"text":7}', b"cos\nsystem\n(S'true'\ntR."):
        with pytest.raises(ValueError):
            unpacked((line, b""))
    with pytest.raises(ValueError, match="damaged"):
        unpacked((packed(Snapshot(0.0, 0, 0, 0.0, "0-0", ["student"]))[0], b"no safetensors"))


def test_a_beginning_arrives_as_it_left() -> None:
    start = Start(2, {"role/student/weight": torch.ones(3)}, step=4, epoch=1.5, fork=True)
    found = unpacked_start(packed_start(start))
    assert (found.phase, found.step, found.epoch, found.fork) == (2, 4, 1.5, True)
    assert same(found.tensors, start.tensors)


@pytest.mark.usefixtures("beside")
def test_a_run_elsewhere_says_what_it_would_have_said_here_also_what_it_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far, near = Shelf(tmp_path / "far"), Shelf(tmp_path / "near")
    ours = [written(far, TINY), written(far, TRYING)]
    monkeypatch.delenv("KDLAB_RAY")
    theirs = [written(near, TINY), written(near, TRYING)]
    for one, other in zip(ours, theirs, strict=True):
        assert one.state() == "finished", one.history().failure
        same_runs(one, other)
    assert [event.learner for event in ours[1].events()[0] if isinstance(event, Foundation) and event.taken]
    fork = replace(TINY, parent=Parent(ours[0].id, "2-4"), methods=TRYING.methods)
    there = written(near, fork)
    monkeypatch.setenv("KDLAB_RAY", "auto")
    here = written(far, fork)
    assert here.state() == "finished"
    same_runs(here, there)


@pytest.mark.usefixtures("beside")
def test_a_run_whose_workers_are_lost_goes_on_from_its_checkpoints_as_if_they_had_not_been(tmp_path: Path) -> None:
    Beside.loses = 2
    run = written(Shelf(tmp_path), TINY)
    events = run.events()[0]
    assert isinstance(events[-1], Finished), events[-1]
    assert Beside.loses == 0
    assert sum(isinstance(event, Started) for event in events) == 1
    assert run.checkpoint() is None
    notes = [event.text for event in events if isinstance(event, Note)]
    assert "A Ray worker was lost: its node is gone. Another one trains in its place." in notes
    straight = list(engine.run(TINY))
    kept = [event for event in events if not isinstance(event, Note)]
    alone = [event for event in straight if not isinstance(event, (Note, Checkpoint))]
    assert [told(event) for event in kept if not isinstance(event, Snapshot)] == [
        told(event) for event in alone if not isinstance(event, Snapshot)
    ]
    for event in alone:
        if isinstance(event, Snapshot):
            assert same(run.tensors(event.name), event.tensors), event.name


@pytest.mark.usefixtures("beside")
def test_a_run_that_loses_too_many_workers_has_failed_in_one_sentence_and_can_go_on(tmp_path: Path) -> None:
    Beside.loses = 3
    shelf = Shelf(tmp_path)
    run = written(shelf, TINY)
    last = run.events()[0][-1]
    assert isinstance(last, Failed)
    assert last.reason == "3 Ray workers were lost during this run; the last: its node is gone."
    assert "can go on from its checkpoint" in last.advice
    assert Beside.ended == 3
    assert not (run.folder / "fault.txt").exists()
    kept = run.interrupted_at()
    assert kept is not None
    run.rewind(kept["bytes"])
    end = write(run, source_for(run, shelf), slots=Slots(tmp_path / "slots", "cpu", 1))
    assert isinstance(end, Finished), end


@pytest.mark.usefixtures("beside")
def test_a_stop_ends_the_worker_before_the_run_says_so(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    run, _ = shelf.create(TINY)

    def stop(event: Event) -> None:
        if isinstance(event, Snapshot):
            run.request_stop()
        if isinstance(event, Stopped):
            assert Beside.ended == 1

    end = write(run, source_for(run, shelf), slots=Slots(tmp_path / "slots", "cpu", 1), listen=stop)
    assert isinstance(end, Stopped)
    assert run.state() == "stopped"


@pytest.mark.usefixtures("beside")
def test_what_breaks_elsewhere_is_told_here_with_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(recipe: Recipe, **settings: Any) -> Iterator[Event]:
        raise ZeroDivisionError("the far side of the moon")
        yield

    monkeypatch.setattr(engine, "run", broken)
    run = written(Shelf(tmp_path), TINY)
    last = run.events()[0][-1]
    assert isinstance(last, Failed)
    assert last.reason == "ZeroDivisionError: the far side of the moon"
    assert "in broken" in (run.folder / "fault.txt").read_text()


class Ringside:
    """Stands for a worker of a tournament."""

    given = 0
    losses: tuple[int, ...] = ()
    """Which of the trainings, counted from 1 as they are given, are lost with their worker."""

    def __init__(self, kind: type[ray_tournament.Ring], *given: Any, gpu: bool) -> None:
        self._ring = kind(*given, gpu=gpu)

    def tell(self, method: str, *given: Any) -> Any:
        Ringside.given += method == "measure"
        lost = method == "measure" and Ringside.given in Ringside.losses
        return lambda: self._lost() if lost else getattr(self._ring, method)(*given)

    def answer(self, told: Any, seconds: float) -> Any:
        return told()

    def end(self) -> None:
        pass

    def _lost(self) -> None:
        raise cluster.WorkerLost("its process ended")


@pytest.mark.parametrize("losses", [(2, 4), (1, 2, 3, 4, 5)])
def test_a_tournament_gives_a_lost_training_to_another_worker_and_gives_up_after_three(
    losses: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_tournament, "hide_gpus", lambda: None)
    monkeypatch.setattr(ray_tournament, "Worker", Ringside)
    monkeypatch.setattr(ray_tournament, "count", lambda: {"cpu": 2})
    monkeypatch.setattr(ray_tournament, "first", lambda told, seconds: told[0])
    Ringside.given, Ringside.losses = 0, losses
    standings = fresh("digits", PAIR, seeds=2, limit=100.0)
    standings.rows = [row for row in standings.rows if row.key in (ALONE, PLAIN)]
    if len(losses) == 5:  # of two trainings: one of them three times
        with pytest.raises(cluster.ClusterError, match=r"3 Ray workers were lost at \w+; the last: its process ended"):
            ray_tournament.hold(standings, said=lambda now: None)
        return
    ray_tournament.hold(standings, said=lambda now: None)
    assert Ringside.given == 4 + 2
    assert standings.finished
    assert [len(row.accuracy) for row in standings.rows] == [2, 2]
    assert len(standings.teacher) == 2


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("the big one", "auto or host:port is right"),
        ("ray://head:10001", "auto or host:port is right"),
        ("127.0.0.1:1", "no Ray cluster answers there"),
        ("127.0.0.1:99999", "no Ray cluster answers there"),
    ],
)
def test_an_address_that_cannot_be_is_refused_at_once(address: str, words: str) -> None:
    with pytest.raises(cluster.ClusterError, match=words):
        cluster.reached(address)


def test_without_ray_a_run_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDLAB_RAY", "auto")
    monkeypatch.setitem(sys.modules, "ray", None)
    run = written(Shelf(tmp_path), TINY)
    assert run.history().failure == "KDLAB_RAY=auto: Ray is not installed here; pip install ray"


def test_ray_comes_along_only_when_it_was_asked_for(tmp_path: Path) -> None:
    script = (
        "import sys; from kdcore.recipe import *; from kdcore.runs import Shelf; from kdcore import worker, commands\n"
        "from kdcore.beginnings import source_for; shelf = Shelf(sys.argv[1]); run, _ = shelf.create(Recipe())\n"
        "worker.slots_for(run.recipe, shelf); next(source_for(run, shelf)(run.recipe)); import kdcore.sources.ray\n"
        "print([name for name in sys.modules if name == 'ray' or name.startswith('ray.')])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=120,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert answer.stdout.strip() == "[]", answer.stderr
