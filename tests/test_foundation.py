"""Phases that runs have in common are trained once, and a run that takes them over comes to the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kdcore import memory
from kdcore.beginnings import laid_on, source_for
from kdcore.dataset import Split
from kdcore.engine import run as straight
from kdcore.events import Event, Finished, Foundation, Note, Snapshot, Step
from kdcore.history import fold
from kdcore.network import Network
from kdcore.recipe import Part, Pick, Recipe
from kdcore.run import Run
from kdcore.runs import Shelf
from kdcore.scribe import write
from kdcore.slots import Slots
from kdcore.stage import Stage
from tests.test_going_on import TINY, same, told


def written(shelf: Shelf, recipe: Recipe) -> Run:
    run, new = shelf.create(recipe)
    assert new
    end = write(run, source_for(run, shelf), slots=Slots(shelf.root / "slots", "cpu", 1))
    assert isinstance(end, Finished), end
    return run


def taken(run: Run) -> list[str]:
    return [event.learner for event in run.events()[0] if isinstance(event, Foundation) and event.taken]


def plainly(events: list[Event]) -> list[object]:
    """What was said, without times, results of the machine and where it was taken from."""
    return [told(event) for event in events if isinstance(event, (Step, Snapshot))]


def test_a_what_if_takes_over_teacher_and_student_alone_and_ends_bit_for_bit_as_if_it_had_trained_them(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path)
    first = written(shelf, TINY)
    assert taken(first) == []
    what_if = replace(TINY, methods=(Part(Pick("kd", {"temperature": 9.0})),))
    second = written(shelf, what_if)
    assert taken(second) == ["teacher", "baseline"]
    events = second.events()[0]
    assert sum("taken over from run" in event.text for event in events if isinstance(event, Note)) == 2
    alone = list(straight(what_if))
    theirs = [event for event in events if isinstance(event, Step)]
    ours = [event for event in alone if isinstance(event, Step)]
    assert [(one.phase, one.step, one.loss, one.terms) for one in theirs] == [
        (one.phase, one.step, one.loss, one.terms) for one in ours
    ]
    for event in alone:
        if isinstance(event, Snapshot):
            assert same(second.tensors(event.name), event.tensors), event.name
    last = alone[-1]
    assert isinstance(last, Finished)
    assert fold(events).results == last.results
    assert set(fold(events).pictures) == set(fold(alone).pictures)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"student.width": 6}, ["teacher"]),
        ({"training.epochs": 2}, ["teacher"]),
        ({"teacher.width": 10}, ["baseline"]),
        ({"training.teacher_rate": 0.001}, ["baseline"]),
        ({"seed": 1}, []),
        ({"data.label_noise": 0.1}, []),
        ({"training.batch": 64}, []),
    ],
)
def test_only_what_the_change_leaves_alone_is_taken_over(
    tmp_path: Path, change: dict[str, object], left: list[str]
) -> None:
    shelf = Shelf(tmp_path)
    written(shelf, TINY)
    other = TINY
    for path, value in change.items():
        other = other.replace(seed=value) if path == "seed" else other.with_setting(path, value)
    assert taken(written(shelf, other)) == left


def test_a_run_that_is_gone_lays_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first = written(shelf, TINY)
    key = next(event.key for event in first.events()[0] if isinstance(event, Foundation))
    assert laid_on(shelf)(key) is not None
    first.delete()
    assert laid_on(shelf)(key) is None
    assert shelf.laid("../../etc/passwd") is None
    (tmp_path / "foundations" / f"{key}.json").write_text("[]")
    assert shelf.laid(key) is None


def test_a_hidden_class_keeps_its_bias(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    unseen = TINY.with_setting("data.hidden_class", 3)
    written(shelf, unseen)
    other = replace(unseen, methods=(Part(Pick("kd", {"temperature": 9.0})),))
    second = written(shelf, other)
    assert taken(second) == ["teacher", "baseline"]
    *_, last = straight(other)
    assert isinstance(last, Finished)
    assert second.history().results == last.results


def test_snapshots_that_are_taken_over_share_their_file_and_outlive_the_run_that_made_them(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first = written(shelf, TINY)
    second = written(shelf, replace(TINY, methods=(Part(Pick("kd", {"temperature": 9.0})),)))
    name = next(event.name for event in first.events()[0] if isinstance(event, Snapshot))
    places = [run.folder / "snapshots" / f"{name}.safetensors" for run in (first, second)]
    assert places[0].samefile(places[1])
    kept = first.tensors(name)
    first.delete()
    assert same(second.tensors(name), kept)


def test_a_teacher_that_an_earlier_run_of_the_process_remembered_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    made = memory.TeacherMemory.__init__

    def counted(self: memory.TeacherMemory, stage: Stage, role: str, split: Split, reads: set[str]) -> None:
        looks.append(role)
        made(self, stage, role, split, reads)

    monkeypatch.setattr(memory.TeacherMemory, "__init__", counted)
    memory._shared.clear()
    shelf = Shelf(tmp_path)
    written(shelf, TINY)
    assert looks == ["teacher"]
    other = replace(TINY, methods=(Part(Pick("kd", {"temperature": 9.0})),))
    second = written(shelf, other)
    assert looks == ["teacher"]
    memory._shared.clear()
    fresh = written(Shelf(tmp_path / "other"), other)
    assert looks == ["teacher", "teacher"]
    assert second.history().results == fresh.history().results
    written(shelf, TINY.with_setting("teacher.width", 10))  # another teacher is looked at anew
    assert looks == ["teacher"] * 3


def test_held_out_pictures_are_looked_at_once_by_what_several_runs_have_in_common(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    look = memory.logits_of

    def counted(network: Network, images: torch.Tensor) -> torch.Tensor:
        looked.append(len(images))
        return look(network, images)

    monkeypatch.setattr(memory, "logits_of", counted)
    memory.forget()
    first = written(Shelf(tmp_path), TINY)
    assert len(looked) == 6, "teacher, student alone and student, each on test and on validation"
    second = written(Shelf(tmp_path), replace(TINY, methods=(Part(Pick("kd", {"temperature": 9.0})),)))
    assert len(looked) == 8, "the student is new, the others were taken over"
    memory.forget()
    fresh = written(Shelf(tmp_path / "other"), second.recipe)
    assert second.history().results == fresh.history().results
    assert first.history().results["teacher"]["test_loss"] == second.history().results["teacher"]["test_loss"]
    memory.forget()


class Kept:
    """Something that a process keeps, of a size."""

    def __init__(self, size: int) -> None:
        self.size = size

    def bytes(self) -> int:
        return self.size


@pytest.mark.parametrize(
    ("sizes", "there"),
    [
        ((1, 1, 1, 1, 1), [True] * 5),
        ((64, 16, 16, 16, 64), [False, True, True, True, True]),
        ((16, 64, 16, 64), [False, False, True, True]),
        ((32, 32, 64), [True, True, True]),
    ],
)
def test_many_small_memories_stay_and_large_ones_make_room(sizes: tuple[int, ...], there: list[bool]) -> None:
    memory._shared.clear()
    images, index = torch.zeros(4, 1, 2, 2), torch.arange(4)

    def make(number: int) -> Kept:
        return memory.shared((number,), images, index, lambda: Kept(sizes[number] * 2**20))

    made = [make(number) for number in range(len(sizes))]
    assert [(number,) in memory._shared for number in range(len(sizes))] == there
    assert all(make(number) is made[number] for number in range(len(sizes)) if there[number])
    memory._shared.clear()


def test_pictures_that_nothing_newer_is_of_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    memory._shared.clear()
    monkeypatch.setattr(memory, "SHARED", 1000)
    index = torch.arange(4)
    small, large = torch.zeros(4, 1, 2, 2), torch.zeros(4, 1, 20, 20)
    memory.shared(("large",), large, index, lambda: Kept(10))
    memory.shared(("large too",), large, index, lambda: Kept(10))
    assert list(memory._shared) == [("large",), ("large too",)]
    memory.shared(("small",), small, index, lambda: {0: Kept(10), 1: Kept(10)})
    assert list(memory._shared) == [("small",)]
    memory._shared.clear()


def test_a_phase_that_is_being_told_once_more_lays_nothing_yet(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first = written(shelf, TINY)
    key = next(event.key for event in first.events()[0] if isinstance(event, Foundation))
    log = first.folder / "events.jsonl"
    whole = log.read_bytes()
    lines = whole.splitlines(keepends=True)
    there = next(place for place, line in enumerate(lines) if b'"Foundation"' in line)
    log.write_bytes(b"".join(lines[:there]))  # went back to a moment within the phase
    assert laid_on(shelf)(key) is None
    log.write_bytes(whole)
    assert laid_on(shelf)(key) is not None
