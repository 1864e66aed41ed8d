"""What is kept of a teacher's looks at augmented pictures is what it says of these very pictures, whoever looked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from kdcore import frozen_teachers, memory
from kdcore.catalog import DATASETS, catalog
from kdcore.check import faults
from kdcore.engine import run
from kdcore.events import Event, Failed, Finished, Scored, Snapshot, Step
from kdcore.frozen_teachers import Room, rooms
from kdcore.memory import apart, fields_of
from kdcore.recipe import Recipe, RecipeError
from kdcore.scheme import Lesson
from kdcore.spec import KnobError
from kdcore.speed import FAST
from kdcore.stage import Losses, _data, set_stage
from kdcore.training import PhaseRun
from kdcore.vocabulary import Batch, Seen
from tests.test_going_on import goes_on_as_if_nothing_had_happened, same, told

CLOSE = 1e-4
"""How far apart (`memory.apart`) what is kept and what is seen may lie: batches of other sizes and orders round
otherwise, by some 1e-6. Another view of a picture is more than 0.1 away, another picture about 1."""


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """No test finds what an earlier one left."""
    memory._shared.clear()
    yield
    memory._shared.clear()


def recipe(*methods: str, views: int = 2, **changes: Any) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 170, "augmentation": "shift", "views": views},
            "teacher": {"is": "plain", "width": 8, "stage_count": 2},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": "ce"}, *({"is": key} for key in methods or ("kd",))],
            "scheme": {"is": "offline", "baseline": False},
            "training": {"epochs": 4, "teacher_epochs": 2, "batch": 32},
            **changes,
        }
    )


def student_phase(asked: Recipe, *, cached: bool = True) -> PhaseRun:
    """The student's phase with a teacher that has learnt."""
    stage = set_stage(asked)
    torch.manual_seed(0)
    phases = list(stage.scheme.phases(stage.cast, Losses(stage)))
    teaching = PhaseRun(stage, phases[0])
    for _ in range(teaching.steps):
        teaching.step()
    return PhaseRun(stage, phases[-1], speed=replace(FAST, cached_teacher=cached))


def looks_of(running: PhaseRun) -> list[int]:
    """A list that grows with every look of the teacher from here on: how many pictures it looked at."""
    found: list[int] = []
    teacher = running.stage.cast["teacher"]
    plain = teacher.look
    teacher.look = lambda images: (found.append(len(images)), plain(images))[1]  # type: ignore[method-assign]
    return found


def held_against_looks(running: PhaseRun) -> list[float]:
    """Take all steps; how far apart each batch's teacher and a look at the student's own pictures lie, step by step."""
    found: list[float] = []
    teacher, answered = running.stage.cast["teacher"], running._teacher

    def checked(lesson: Lesson, batch: Batch, places: Tensor | None, epoch: int, seen: dict[str, Seen]) -> Seen:
        said = answered(lesson, batch, places, epoch, seen)
        with torch.no_grad():
            live = teacher.eval().look(batch.images)
        found.append(apart(said, live))
        return said

    running._teacher = checked  # type: ignore[method-assign]
    for _ in range(running.steps):
        running.step()
    return found


METHODS = [("kd",), ("fitnet",), ("ofd",), ("rkd",), ("srrl",), ("kd", "at", "semckd", "pkt")]


@pytest.mark.parametrize("methods", METHODS, ids="+".join)
@pytest.mark.parametrize("views", [1, 2])
def test_over_two_passes_every_batch_gets_what_the_teacher_says_of_its_very_pictures(
    methods: tuple[str, ...], views: int
) -> None:
    running = student_phase(
        recipe(*methods, views=views, training={"epochs": 2 * views, "teacher_epochs": 2, "batch": 32})
    )
    distances = held_against_looks(running)
    assert len(distances) == running.steps > 2 * views
    assert max(distances) < CLOSE


@pytest.mark.parametrize("methods", METHODS, ids="+".join)
def test_each_view_is_looked_at_once(methods: tuple[str, ...]) -> None:
    running = student_phase(recipe(*methods))
    looks = looks_of(running)
    for _ in range(2 * running.epoch_steps):
        running.step()
    assert looks == [32] * (2 * running.epoch_steps)
    count, batch = len(running.split or ()), running.batch
    running.step()
    rest = count % batch
    assert looks[2 * running.epoch_steps :] == [rest, batch], "what the first epoch left out, and one batch as a proof"
    for _ in range(running.steps - running.done):
        running.step()
    assert looks[2 * running.epoch_steps :] == [rest, batch, rest], "the same for the other view, whose proof is given"


def wrong_view(running: PhaseRun) -> None:
    """The memory takes each view for the other one when it comes again."""
    (kept,) = running._frozen.views.values()  # type: ignore[union-attr]
    kept.kept[0], kept.kept[1] = kept.kept[1], kept.kept[0]


def shifted_rows(running: PhaseRun) -> None:
    """The memory answers for the picture beside the one that is asked for."""
    (kept,) = running._frozen.views.values()  # type: ignore[union-attr]
    for view in kept.kept.values():
        for values in fields_of(view):
            values.copy_(values.roll(1, dims=0))


@pytest.mark.parametrize("spoil", [wrong_view, shifted_rows])
@pytest.mark.parametrize("methods", METHODS, ids="+".join)
def test_a_memory_that_is_not_aligned_is_noticed(methods: tuple[str, ...], spoil: Callable[[PhaseRun], None]) -> None:
    running = student_phase(recipe(*methods))
    for _ in range(3 * running.epoch_steps + 1):  # both views are whole, and nobody holds them against a look any more
        running.step()
    spoil(running)
    assert min(held_against_looks_for(running, 3)) > 100 * CLOSE


def held_against_looks_for(running: PhaseRun, steps: int) -> list[float]:
    """The same for some steps."""
    running.steps = steps
    return held_against_looks(running)


@pytest.mark.parametrize("spoil", [wrong_view, shifted_rows])
def test_the_first_batch_out_of_a_memory_is_held_against_a_look(spoil: Callable[[PhaseRun], None]) -> None:
    first = student_phase(recipe("kd", "fitnet"))
    for _ in range(first.steps):
        first.step()
    running = student_phase(recipe("kd", "fitnet"))  # finds what the first has kept
    spoil(running)
    with pytest.raises(RecipeError, match="is not what it says of the same pictures now"):
        running.step()


def test_a_teacher_of_pictures_that_stay_as_they_are_is_held_against_a_look_too() -> None:
    running = student_phase(recipe(data={"is": "digits", "train_size": 170}))
    running.memories["teacher"].logits.copy_(running.memories["teacher"].logits.roll(1, dims=0))
    with pytest.raises(RecipeError, match="is not what it says of the same pictures now"):
        running.step()


def test_epochs_show_the_views_in_turn() -> None:
    running = student_phase(recipe(views=2))
    rows = torch.arange(8)
    shown = [running._images("student", rows, epoch).clone() for epoch in range(4)]
    assert torch.equal(shown[0], shown[2])
    assert torch.equal(shown[1], shown[3])
    assert not torch.equal(shown[0], shown[1])


def test_without_the_setting_every_epoch_shows_another_view() -> None:
    old = {"is": "digits", "train_size": 170, "augmentation": "shift"}
    running = student_phase(recipe(data=old))
    assert running.stage.data.views == 0
    shown = [running._images("student", torch.arange(8), epoch).clone() for epoch in range(4)]
    assert all(not torch.equal(one, other) for n, one in enumerate(shown) for other in shown[:n])


def said(asked: Recipe) -> list[object]:
    """What a run says and comes to."""
    events: list[Event] = list(run(asked))
    assert isinstance(events[-1], Finished), events[-1]
    return [told(event) for event in events if isinstance(event, (Step, Scored, Snapshot))]


def alike(one: list[object], other: list[object]) -> bool:
    return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("views", [0, 2])
@pytest.mark.parametrize("methods", [("kd",), ("fitnet",)], ids="+".join)
def test_a_run_after_another_with_the_same_teacher_says_bit_for_bit_what_it_says_alone(
    methods: tuple[str, ...], views: int
) -> None:
    first, second = (
        recipe(*methods, views=views, training={"epochs": 4, "teacher_epochs": 2, "batch": 32, "rate": rate})
        for rate in (0.01, 0.02)
    )
    alone = said(second)
    memory._shared.clear()
    said(first)
    assert alike(said(second), alone)


def test_with_new_views_in_every_epoch_the_next_run_of_a_process_needs_the_teacher_no_more() -> None:
    first = student_phase(recipe(views=0))
    for _ in range(first.steps):
        first.step()
    second = student_phase(recipe(views=0))
    looks = looks_of(second)
    losses = [second.step()["student"].loss for _ in range(second.steps)]
    assert looks == [32], "one batch as a proof"
    memory._shared.clear()
    live = student_phase(recipe(views=0), cached=False)
    looks = looks_of(live)
    assert all(torch.equal(loss, live.step()["student"].loss) for loss in losses)
    assert len(looks) == live.steps


def test_runs_of_a_process_have_the_very_pictures_of_the_same_data_on_every_device() -> None:
    asked = recipe("kd")
    for device in ("cpu", "meta"):
        one, other = (
            _data("digits", tuple(sorted(asked.data.settings.items())), 0, torch.device(device)) for _ in range(2)
        )
        assert one.train.images is other.train.images
        assert one.train.images.device.type == device


def test_another_seed_of_the_draws_is_another_memory() -> None:
    student_phase(recipe(views=0)).step()
    other = student_phase(recipe(views=0, seed=1))
    looks = looks_of(other)
    other.step()
    assert looks == [32]


@pytest.mark.parametrize("shared", [memory.SHARED, 0])
@pytest.mark.parametrize("views", [1, 2])
def test_a_run_with_views_goes_on_as_if_nothing_had_happened(
    views: int, shared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen_teachers, "SHARED", shared)
    monkeypatch.setattr(frozen_teachers, "shared", lambda key, images, index, make: make())  # as another process has it
    goes_on_as_if_nothing_had_happened(recipe("kd", "fitnet", views=views))


def test_views_that_find_no_room_are_looked_at_live(monkeypatch: pytest.MonkeyPatch) -> None:
    running = student_phase(recipe(views=2))
    one = memory.size(running.stage.cast["teacher"].look(torch.zeros(2, 1, 8, 8)), {"logits"}, len(running.split or ()))
    for room, views in ((0, 0), (one, 1), (2 * one, 2)):
        monkeypatch.setattr(frozen_teachers, "SHARED", 0)
        monkeypatch.setattr(frozen_teachers, "MEMORY", room)
        bounded = student_phase(recipe(views=2))
        assert max(held_against_looks(bounded)) < CLOSE
        memories = bounded._frozen.views  # type: ignore[union-attr]
        assert ("teacher" in memories) == bool(views)
        kept = memories["teacher"].kept if views else {}
        assert len(kept) == views
        assert sum(view.bytes() for view in kept.values()) <= room


def test_a_room_counts_the_epochs_in_which_the_teacher_looks_all_the_same() -> None:
    assert Room(frozenset(), views=1, kept=1).looks(10) == 1
    assert Room(frozenset(), views=2, kept=2).looks(10) == 2
    assert Room(frozenset(), views=4, kept=1).looks(8) == 7
    assert Room(frozenset(), views=5, kept=5).looks(5) == 5


@pytest.mark.parametrize("views", [0, 1, 2, 3, 4])
def test_a_room_foretells_how_often_the_teacher_looks(views: int) -> None:
    running = student_phase(recipe(views=views))
    assert running.showing is not None
    epochs = rooms(running.stage, running.phase, running.showing)["teacher"].looks(running.epochs)
    looks = looks_of(running)
    for _ in range(running.steps):
        running.step()
    proof, rest = int(epochs < running.epochs), len(running.split or ()) % running.batch
    assert looks.count(running.batch) == epochs * running.epoch_steps + proof
    assert looks.count(rest) == (min(views, running.epochs - views) if proof else 0), (
        "what an epoch leaves over is looked at when it comes again"
    )


def test_what_an_unshared_memory_would_not_be_asked_again_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_teachers, "SHARED", 0)
    assert student_phase(recipe(views=0))._frozen.views == {}  # type: ignore[union-attr]
    assert student_phase(recipe(views=4))._frozen.views == {}  # type: ignore[union-attr]
    assert student_phase(recipe(views=3))._frozen.views["teacher"].room == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"is": "digits", "train_size": 170, "augmentation": "shift", "views": 2, "mix": "mixup"}},
        {"methods": [{"is": "kd"}, {"is": "sobolev"}]},
    ],
    ids=["mixed pictures", "slopes on the pictures"],
)
def test_what_never_comes_again_is_not_kept(changes: dict[str, Any]) -> None:
    running = student_phase(recipe(**changes))
    assert running._frozen is not None
    assert not running._frozen.views
    looks = looks_of(running)
    for _ in range(3 * running.epoch_steps):
        running.step()
    assert len(looks) == 3 * running.epoch_steps


class Calls(TorchDispatchMode):
    """Which operators are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.name().partition(".")[0])
        return func(*args, **(kwargs or {}))


def test_no_step_waits_for_the_device() -> None:
    running = student_phase(recipe("kd", "fitnet"))
    waits = {"aten::_local_scalar_dense", "aten::nonzero", "aten::item", "aten::masked_select"}
    for epoch in range(4):
        if epoch == 2:
            running.step()  # the proof
        with Calls() as calls:
            while running.done < (epoch + 1) * running.epoch_steps:
                running.step()
        assert "aten::index_select" in calls.names
        assert not calls.names & waits, epoch


@pytest.mark.parametrize("views", [1, 4])
def test_views_without_augmentation_are_refused_at_the_door(views: int) -> None:
    asked = recipe(data={"is": "digits", "views": views})
    (fault,) = faults(asked, catalog())
    assert fault.where == "data.views"
    assert f"views={views}" in fault.text
    *_, last = run(asked)
    assert isinstance(last, Failed)
    assert f"views={views}" in last.reason
    with pytest.raises(KnobError, match=f"views={views}"):
        DATASETS["digits"](views=views).prepare(0)
