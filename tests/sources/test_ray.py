"""Runs on a Ray cluster of two nodes on one machine: the same events, side by side, stopped, and a node killed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kdcore.beginnings import source_for
from kdcore.events import Event, Finished, Note, PhaseStarted, Scored, Snapshot, Step, Stopped
from kdcore.recipe import Recipe
from kdcore.run import Run
from kdcore.runs import Shelf
from kdcore.scribe import write
from kdcore.sources import ray_tournament
from kdcore.standings import ALONE, PLAIN
from kdcore.tournament import fresh, hold
from kdcore.worker import slots_for
from tests.sources.test_trainer import TRYING, same_runs, written
from tests.test_going_on import TINY, same, told
from tests.test_tournament import TINY as PAIR

pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]
LONG = TINY.with_setting("training.epochs", 100).with_setting("training.snapshot_every", 0)
STORE = 80_000_000
"""Bytes of a node's object store: nearly the least that Ray takes."""


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of two nodes with one core each, which this process joins when the first run asks for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        from ray.cluster_utils import Cluster

        folder = tempfile.mkdtemp(prefix="kdlab")  # short: Ray's sockets stand in it
        patch.setenv("RAY_TMPDIR", folder)
        (Path(folder) / "ray").mkdir()  # here Ray writes the cluster's address, and does not make the folder for it
        node = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        try:
            cluster.add_node(**node)
            patch.setenv("KDLAB_RAY", cluster.address)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
    until(lambda: not trainers(), "all workers are gone")


class Writing:
    """A run that is written in a thread."""

    def __init__(self, shelf: Shelf, recipe: Recipe) -> None:
        self.run, _ = shelf.create(recipe)
        self._shelf = shelf
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        self.end = write(self.run, source_for(self.run, self._shelf), slots=slots_for(self.run.recipe, self._shelf))

    def ended(self) -> Event:
        self._thread.join(300)
        assert not self._thread.is_alive()
        return self.end


def trainers() -> dict[int, int]:
    """Processes that train on a Ray node of this machine: their number -> that of their node's."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.name().startswith("ray::Trainer") or "ray::Trainer" in " ".join(process.cmdline()):
                found[process.pid] = process.ppid()
        except psutil.Error:
            continue
    return found


def until(true: Callable[[], object], what: str, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it took too long until {what}"
        time.sleep(0.05)


def steps(run: Run) -> int:
    return sum(isinstance(event, Step) for event in run.events()[0])


def said(run: Run) -> list[object]:
    """What a run that went on says like one that was not interrupted; it shows pictures again."""
    return [told(event) for event in run.events()[0] if isinstance(event, (PhaseStarted, Step, Scored))]


def test_a_run_on_the_cluster_says_what_it_says_here_and_takes_over_what_is_there(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far, near = Shelf(tmp_path / "far"), Shelf(tmp_path / "near")
    ours = [written_as_launched(far, recipe) for recipe in (TINY, TRYING)]
    monkeypatch.delenv("KDLAB_RAY")
    for one, recipe in zip(ours, (TINY, TRYING), strict=True):
        assert one.state() == "finished", one.history().failure
        same_runs(one, written(near, recipe))
    assert any("taken over from run" in event.text for event in ours[1].events()[0] if isinstance(event, Note))


def written_as_launched(shelf: Shelf, recipe: Recipe) -> Run:
    run, _ = shelf.create(recipe)
    write(run, source_for(run, shelf), slots=slots_for(recipe, shelf))
    return run


def test_a_stopped_run_says_so_and_its_worker_is_gone(nodes: Any, tmp_path: Path) -> None:
    writing = Writing(Shelf(tmp_path), LONG)
    until(lambda: steps(writing.run) > 5, "it trains")
    mine = trainers()
    writing.run.request_stop()
    assert isinstance(writing.ended(), Stopped)
    assert writing.run.state() == "stopped"
    until(lambda: not set(mine) & set(trainers()), "the worker is gone", seconds=5)


def test_a_tournament_is_held_by_both_nodes_and_comes_to_what_it_comes_to_here(nodes: Any) -> None:
    there, here = (fresh("digits", PAIR, seeds=2, limit=100.0) for _ in range(2))
    for standings in (there, here):
        chosen = (ALONE, PLAIN, "fsp")  # the last needs two layers, of which the student has one
        standings.rows = [row for row in standings.rows if row.key in chosen]
    heard: list[str] = []
    ray_tournament.hold(there, said=lambda now: heard.append(now.now))
    hold(here, said=lambda now: None, turn=contextlib.nullcontext)
    assert heard[0] == "seed 0: on up to 2 Ray workers"
    assert there.finished
    assert there.teacher == here.teacher
    for one, other in zip(there.rows, here.rows, strict=True):
        assert (one.key, one.accuracy, one.refusal, one.bytes) == (
            other.key,
            other.accuracy,
            other.refusal,
            other.bytes,
        )
        assert len(one.seconds) == len(one.accuracy)


def test_two_runs_go_side_by_side_on_two_nodes_and_one_goes_on_when_its_node_is_killed(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path / "far")
    slots = slots_for(LONG, shelf)
    assert (slots.kind, slots.count) == ("ray-cpu", 2)
    both = [Writing(shelf, LONG.replace(seed=seed)) for seed in (0, 1)]
    until(lambda: all(steps(one.run) > 5 for one in both), "both train")
    assert len(set(trainers().values())) == 2
    third = Writing(shelf, LONG.replace(seed=2))
    time.sleep(0.3)
    assert third.run.state() == "waiting"
    third.run.request_stop()
    assert isinstance(third.ended(), Stopped)
    (other,) = nodes.worker_nodes
    nodes.remove_node(other, allow_graceful=False)
    try:
        for one in both:
            assert isinstance(one.ended(), Finished), one.end
        notes = [[event.text for event in one.run.events()[0] if isinstance(event, Note)] for one in both]
        lost = [any(text.startswith("A Ray worker was lost") for text in texts) for texts in notes]
        assert sorted(lost) == [False, True], notes
        monkeypatch.delenv("KDLAB_RAY")
        hit = both[lost.index(True)].run
        alone = written(Shelf(tmp_path / "near"), hit.recipe)
        assert said(hit) == said(alone)
        assert hit.history().results == alone.history().results
        for event in alone.events()[0]:
            if isinstance(event, Snapshot):
                assert same(hit.tensors(event.name), alone.tensors(event.name)), event.name
    finally:
        nodes.add_node(num_cpus=1, object_store_memory=STORE)
