"""What is too much for memory lies in a file that nobody sees, says the same to the last bit and may not be had."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import tempfile
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor

from kdcore import frozen_teachers, mapped, memory
from kdcore.catalog import SCHEMES
from kdcore.frozen_teachers import Room, reads_of, rooms
from kdcore.memory import TeacherMemory, fields_of
from kdcore.recipe import Recipe, RecipeError
from kdcore.speed import FAST
from kdcore.stage import Losses, set_stage
from kdcore.training import PhaseRun
from tests.test_going_on import goes_on_as_if_nothing_had_happened
from tests.test_view_memory import CLOSE, alike, held_against_looks, looks_of, recipe, said, student_phase

STILL = {"is": "digits", "train_size": 170}
SHOWN = {**STILL, "augmentation": "shift", "views": 2}
LONG = {"epochs": 6, "teacher_epochs": 2, "batch": 32}


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Nothing fits in memory. A list of the bytes of every file that is taken."""
    memory._shared.clear()
    monkeypatch.setattr(frozen_teachers, "MEMORY", 0)
    monkeypatch.setattr(frozen_teachers, "SHARED", 0)
    taken: list[int] = []
    take = os.posix_fallocate
    monkeypatch.setattr(os, "posix_fallocate", lambda *there: (taken.append(there[2]), take(*there))[1])
    yield taken
    memory._shared.clear()


def asked(data: dict[str, Any], *methods: str) -> Recipe:
    return recipe(*methods, data=data, training=LONG)


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def room_of(running: PhaseRun, **how: bool) -> Room:
    """The teacher's room, one of no views where it has none."""
    assert running.showing is not None
    found = rooms(running.stage, running.phase, running.showing, **how)
    return found.get("teacher", Room(frozenset(), views=0, kept=0))


@pytest.mark.parametrize("data", [STILL, SHOWN], ids=["as they are", "two views"])
@pytest.mark.parametrize("methods", [("fitnet",), ("kd", "at"), ("ofd", "sp")], ids="+".join)
def test_a_run_over_a_file_says_what_it_says_over_memory_to_the_last_bit(
    data: dict[str, Any], methods: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, no_memory: list[int]
) -> None:
    mapped_run = said(asked(data, *methods))
    assert no_memory
    monkeypatch.setattr(mapped, "empty", Tensor.new_empty)
    assert alike(mapped_run, said(asked(data, *methods)))


@pytest.mark.parametrize("data", [STILL, SHOWN], ids=["as they are", "two views"])
@pytest.mark.parametrize("methods", [("fitnet",), ("srrl",), ("kd", "at", "semckd", "pkt")], ids="+".join)
def test_every_batch_out_of_a_file_is_what_the_teacher_says_of_its_pictures(
    data: dict[str, Any], methods: tuple[str, ...], no_memory: list[int]
) -> None:
    running = student_phase(asked(data, *methods))
    assert max(held_against_looks(running)) < CLOSE
    assert no_memory


@pytest.mark.parametrize("data", [STILL, SHOWN], ids=["as they are", "two views"])
def test_a_file_is_made_of_each_picture_as_it_is_first_shown(data: dict[str, Any]) -> None:
    running = student_phase(asked(data, "fitnet"))
    views = int(data.get("views", 1))
    looks = looks_of(running)
    for _ in range(running.steps):
        running.step()
    assert looks.count(running.batch) == views * running.epoch_steps + 1, "each batch once, and one as a proof"
    assert looks.count(len(running.split or ()) % running.batch) == views
    assert room_of(running).mapped
    assert room_of(running).looks(running.epochs) == views


def test_a_file_that_is_not_aligned_is_noticed() -> None:
    running = student_phase(asked(STILL, "fitnet"))
    for _ in range(running.epoch_steps):
        running.step()
    for values in fields_of(running._frozen.views["teacher"].kept[0]):  # type: ignore[union-attr]
        values.copy_(values.roll(1, dims=0))
    with pytest.raises(RecipeError, match="is not what it says of the same pictures now"):
        running.step()


@pytest.mark.parametrize("data", [STILL, SHOWN], ids=["as they are", "two views"])
def test_on_a_full_disk_the_teacher_looks_and_says_the_same(
    data: dict[str, Any], monkeypatch: pytest.MonkeyPatch, no_memory: list[int]
) -> None:
    filed = student_phase(asked(data, "at", "fitnet"))
    losses = [filed.step()["student"].loss for _ in range(filed.steps)]
    assert no_memory
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    for said_before, wasted in ((True, 1), (False, 0)):
        full = student_phase(asked(data, "at", "fitnet"))
        looks = looks_of(full)
        assert all(torch.equal(loss, full.step()["student"].loss) for loss in losses)
        assert len(looks) == full.steps + wasted, "one look comes before the disk is found full"
        assert room_of(full).mapped is said_before
        monkeypatch.setattr(mapped, "free", lambda: 0)


def test_where_there_is_no_disk_memory_keeps_the_views_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    filed = student_phase(asked(SHOWN, "at"))
    losses = [filed.step()["student"].loss for _ in range(filed.steps)]
    one = filed._frozen.views["teacher"].kept[0].bytes()  # type: ignore[union-attr]
    monkeypatch.setattr(frozen_teachers, "MEMORY", one)
    monkeypatch.setattr(mapped, "free", lambda: 0)
    bounded = student_phase(asked(SHOWN, "at"))
    assert all(torch.equal(loss, bounded.step()["student"].loss) for loss in losses)
    assert set(bounded._frozen.views["teacher"].kept) == {0}  # type: ignore[union-attr]
    assert not room_of(bounded).mapped


def test_a_disk_that_fills_up_keeps_the_views_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    running = student_phase(asked(SHOWN, "fitnet"))
    for _ in range(running.epoch_steps):
        running.step()
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    assert max(held_against_looks(running)) < CLOSE
    assert set(running._frozen.views["teacher"].kept) == {0}  # type: ignore[union-attr]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_memory: list[int]) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    running = student_phase(asked(STILL, "fitnet"))
    for _ in range(running.steps):
        running.step()
        assert not [one for one in tmp_path.rglob("*") if one.is_file()]
    assert no_memory
    assert len(os.listdir("/proc/self/fd")) == before + len(no_memory)
    del running
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("data", [STILL, SHOWN], ids=["as they are", "two views"])
def test_a_run_over_a_file_goes_on_as_if_nothing_had_happened(data: dict[str, Any], no_memory: list[int]) -> None:
    goes_on_as_if_nothing_had_happened(asked(data, "kd", "fitnet"))
    assert no_memory


def test_a_file_is_taken_only_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    running = student_phase(asked(STILL, "fitnet"))
    assert room_of(running).mapped
    assert not room_of(running, files=False).kept
    assert running.showing is not None
    twice = replace(running.showing, epochs=2)
    assert not rooms(running.stage, running.phase, twice), "what comes again once is not worth a file"
    gpu = replace(running.stage, device=torch.device("cuda"))
    assert not rooms(gpu, running.phase, running.showing)
    monkeypatch.setattr(frozen_teachers, "MEMORY", 2**30)
    assert room_of(running).kept
    assert not room_of(running).mapped


def test_the_switch_leaves_the_teacher_to_look(no_memory: list[int]) -> None:
    running = student_phase(asked(STILL, "fitnet"))
    off = PhaseRun(running.stage, running.phase, speed=replace(FAST, mapped_teacher=False))
    looks = looks_of(off)
    for _ in range(off.steps):
        off.step()
    assert len(looks) == off.steps
    assert not no_memory


def test_files_take_no_more_than_a_share_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    disk, ram = namedtuple("disk", "free"), namedtuple("ram", "available")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk(8000))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: ram(4000))
    assert mapped.free() == 4000 // mapped.SHARE
    monkeypatch.setattr(psutil, "virtual_memory", lambda: ram(40_000))
    assert mapped.free() == 8000 // mapped.SHARE
    assert not room_of(student_phase(asked(STILL, "fitnet"))).kept
    monkeypatch.setattr(shutil, "disk_usage", no_room)
    assert mapped.free() == 0
    monkeypatch.undo()
    monkeypatch.delattr(os, "posix_fallocate")
    assert mapped.free() == 0


def test_only_layers_that_are_compared_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_teachers, "MEMORY", 2**30)

    def rows(*methods: dict[str, Any]) -> TeacherMemory:
        chosen = recipe(data=STILL).to_json() | {"methods": [{"is": "ce"}, *methods]}
        running = student_phase(Recipe.from_json(chosen))
        assert max(held_against_looks(running)) < CLOSE
        return running.memories["teacher"]

    one = rows({"is": "fitnet", "pairs": [[1, 1]]}, {"is": "sp", "weight": 0.0, "pairs": [[0, 0]]})
    assert [len(part) for part in one.maps] == [0, len(one.logits)]
    assert [len(part) for part in one.preacts] == [0, 0]
    both = rows({"is": "fitnet", "pairs": [[1, 1]]}, {"is": "ofd", "pairs": [[0, 0]]})
    assert [len(part) > 0 for part in (*both.maps, *both.preacts)] == [False, True, True, False]
    every = rows({"is": "at"})
    assert all(len(part) for part in every.maps)


@pytest.mark.parametrize(
    ("scheme", "hears"),
    [
        ("defensive_distillation", {"logits"}),
        ("feature_only", {"embedding", "maps 0"}),
        ("dna_block", {"maps"}),
        ("icarl", None),
    ],
)
def test_of_a_teacher_that_a_scheme_hears_no_more_is_kept_than_it_reads(scheme: str, hears: set[str] | None) -> None:
    example = Recipe.from_json({**SCHEMES[scheme].example, "scheme": {"is": scheme}})
    stage = set_stage(example.with_setting("data", {"is": "digits", "train_size": 170}))
    phases = list(stage.scheme.phases(stage.cast, Losses(stage)))
    phase = [phase for phase in phases if any(turn.told_by for turn in phase.turns)][-1]
    told = {name for turn in phase.turns for name in turn.told_by}
    assert {name: reads for name, reads in reads_of(stage, phase).items() if name in told} == (
        {} if hears is None else dict.fromkeys(told, hears)
    )
