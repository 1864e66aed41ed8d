"""A run that was interrupted goes on as if it had not been; a fork goes on from another run's moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from kdcore.beginnings import begun
from kdcore.catalog import DATASETS, METHODS, SCHEMES
from kdcore.check import fork_faults
from kdcore.engine import run
from kdcore.events import Checkpoint, Event, Failed, Finished, PhaseStarted, Scored, Shown, Snapshot, Started, Step
from kdcore.recipe import Parent, Part, Pick, Recipe, RecipeError
from kdcore.runs import Shelf
from kdcore.scribe import write
from kdcore.slots import Slots
from kdcore.start import Start

TINY = Recipe(
    data=Pick("digits", {"train_size": 160}),
    teacher=Pick("plain", {"width": 8, "stage_count": 2}),
    student=Pick("plain", {"width": 4, "stage_count": 2}),
    training={"epochs": 3, "teacher_epochs": 2, "batch": 32},
)
HERE = Parent("0" * 16, "2-4")


def with_method(key: str) -> Recipe:
    method = METHODS[key]
    methods = (Part(Pick("ce")), Part(Pick(key))) if method.needs_teacher else (Part(Pick(key)), Part(Pick("kd")))
    return replace(TINY, methods=methods)


def told(event: Event) -> object:
    """What an event says beside when it was said."""
    match event:
        case Step():
            return ("step", event.phase, event.learner, event.step, event.loss, event.terms, event.learning_rate)
        case Scored():
            return ("scored", event.phase, event.role, event.split, event.step, event.accuracy, event.loss)
        case Snapshot():
            return ("snapshot", event.name, {name: value.clone() for name, value in event.tensors.items()})
        case Shown():
            return ("shown", event.name, event.content)
        case PhaseStarted():
            return ("phase", event.phase, event.name)
    return type(event).__name__


def same(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    return one == other


def goes_on_as_if_nothing_had_happened(recipe: Recipe) -> None:
    """What is said from a checkpoint on is, bit for bit, what the straight run said after it.

    The first, the middle and the last checkpoint of the run; with KDLAB_EVERY=1 every one, after each epoch of a phase.
    """
    straight = list(run(recipe, checkpoint_every=0.0))
    assert isinstance(straight[-1], Finished), straight[-1]
    places = [place for place, event in enumerate(straight) if isinstance(event, Checkpoint)]
    assert places
    every = bool(os.environ.get("KDLAB_EVERY"))
    for place in places if every else (places[0], places[len(places) // 2], places[-1]):
        kept = straight[place]
        assert isinstance(kept, Checkpoint)
        start = Start(kept.phase, kept.tensors, step=kept.step)
        resumed = [told(event) for event in run(recipe, start=start) if not isinstance(event, Checkpoint)]
        after = [told(event) for event in straight[place + 1 :] if not isinstance(event, Checkpoint)]
        kinds = ("phase", "snapshot", "scored", "shown")
        for kind in kinds:
            ours = [one for one in resumed if isinstance(one, tuple) and one[0] == kind]
            theirs = [one for one in after if isinstance(one, tuple) and one[0] == kind]
            assert len(ours) == len(theirs), (kind, len(ours), len(theirs))
            assert all(same(*pair) for pair in zip(ours, theirs, strict=True)), (recipe.methods, kind, kept.step)
        steps = {one[1:4]: one for one in after if isinstance(one, tuple) and one[0] == "step"}
        for one in resumed:
            if isinstance(one, tuple) and one[0] == "step" and one[1:4] in steps:
                assert same(one, steps[one[1:4]]), (one, steps[one[1:4]])


@pytest.mark.parametrize("key", sorted(SCHEMES))
def test_every_scheme_goes_on(key: str) -> None:
    recipe = with_method("fitnet") if key == "feature_only" else TINY  # it needs a method that compares features
    if "methods" in SCHEMES[key].example and key != "feature_only":
        recipe = replace(recipe, methods=Recipe.from_json({"methods": SCHEMES[key].example["methods"]}).methods)
    goes_on_as_if_nothing_had_happened(replace(recipe, scheme=Pick(key)))


@pytest.mark.parametrize("key", sorted(METHODS))
def test_every_method_goes_on(key: str) -> None:
    recipe = with_method(key)
    if key == "weight_distance":  # compares weights one by one
        recipe = replace(recipe, teacher=recipe.student)
    goes_on_as_if_nothing_had_happened(recipe)


def test_so_does_a_run_with_augmentation_and_momentum() -> None:
    recipe = TINY.with_setting("data.augmentation", "shift").with_setting("training.optimizer", "sgd")
    goes_on_as_if_nothing_had_happened(recipe.with_setting("student", "mobile"))


def test_a_run_that_is_killed_after_any_event_goes_on_to_the_log_it_would_have_had(tmp_path: Path) -> None:
    recipe = TINY.with_setting("training.epochs", 2)
    kinds = (Step, Scored, Snapshot, Shown, PhaseStarted, Started, Finished)
    straight = list(run(recipe, checkpoint_every=0.0))
    wanted = [told(event) for event in straight if isinstance(event, kinds)]
    first = next(place for place, event in enumerate(straight) if isinstance(event, Checkpoint))
    for count in range(first + 1, len(straight), 1 if os.environ.get("KDLAB_EVERY") else 5):
        shelf = Shelf(tmp_path / str(count))
        killed, _ = shelf.create(recipe)
        for event in straight[:count]:
            killed.append(event)
        with (killed.folder / "events.jsonl").open("ab") as log:
            log.write(b'{"is": "Step", "time": 17')  # a line that it was writing
        kept = killed.checkpoint()
        assert kept is not None
        killed.rewind(kept[0]["bytes"])
        trained = begun(killed, shelf, partial(run, checkpoint_every=0.0))
        end = write(killed, trained, slots=Slots(shelf.root / "slots", "cpu", 1))
        assert isinstance(end, Finished), end
        log, _ = killed.events()
        again = [
            told(replace(event, tensors=killed.tensors(event.name)) if isinstance(event, Snapshot) else event)
            for event in log if isinstance(event, kinds)
        ]  # fmt: skip
        assert len(again) == len(wanted), count
        assert all(same(*pair) for pair in zip(again, wanted, strict=True)), count


@pytest.fixture(scope="module")
def parent() -> Callable[[str], Start]:
    events = list(run(TINY))

    def moment(name: str) -> Start:
        tensors: dict[str, torch.Tensor] = {}
        for event in events:
            if isinstance(event, Snapshot):
                tensors.update(event.tensors)
                if event.name == name:
                    return Start(event.phase, tensors, epoch=event.epoch, fork=True)
        raise AssertionError(f"{name}: {[event.name for event in events if isinstance(event, Snapshot)]}")

    return moment


def test_a_fork_stands_where_its_parent_stood_and_goes_on_with_what_was_changed(
    parent: Callable[[str], Start],
) -> None:
    start = parent("2-4")
    fork = replace(TINY, parent=HERE, methods=(Part(Pick("kd", {"temperature": 9.0})),))
    events = list(run(fork, start=start))
    assert isinstance(events[-1], Finished), events[-1]
    assert isinstance(events[0], Started)
    phases = [event for event in events if isinstance(event, PhaseStarted)]
    assert [phase.steps for phase in phases] == [0, 0, 12]
    first = next(event for event in events if isinstance(event, Snapshot) and event.phase == 2)
    assert first.name == "2-4"
    assert all(torch.equal(value, start.tensors[name]) for name, value in first.tensors.items())
    assert min(event.step for event in events if isinstance(event, Step)) == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda recipe: recipe.with_setting("student.width", 6), "another network"),
        (lambda recipe: recipe.with_setting("training.epochs", 1), "more epochs"),
    ],
)
def test_a_fork_that_cannot_be_says_why(
    parent: Callable[[str], Start], change: Callable[[Recipe], Recipe], words: str
) -> None:
    *_, last = run(change(replace(TINY, parent=HERE)), start=parent("2-4"))
    assert isinstance(last, Failed)
    assert words in last.reason


def test_a_fork_without_its_parent_is_refused() -> None:
    *_, last = run(replace(TINY, parent=HERE))
    assert isinstance(last, Failed)
    assert "is not at hand" in last.reason


@pytest.mark.parametrize(
    "parent", [7, {}, {"run": "../x", "snapshot": "2-4"}, {"run": "0" * 16, "snapshot": "../../x"}]
)
def test_a_parent_from_outside_is_checked(parent: object) -> None:
    with pytest.raises(RecipeError):
        Recipe.from_json({**TINY.to_json(), "parent": parent})


def test_a_fork_keeps_its_parent_in_its_recipe_and_its_id() -> None:
    fork = replace(TINY, parent=HERE)
    assert Recipe.from_text(fork.to_text()) == fork
    assert fork.id != TINY.id


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("seed", 5, "seed"), ("data.train_size", 90, "data.train_size"), ("data.validation", 0.3, "data.validation"),
        ("data", "spirals", "data"),
    ],
)  # fmt: skip
def test_a_fork_that_would_test_on_pictures_it_was_trained_on_is_refused(path: str, value: Any, where: str) -> None:
    (fault,) = fork_faults(TINY.with_setting(path, value), TINY, DATASETS[TINY.data.key].knobs)
    assert fault.where == where
    assert "keeps its parent's" in fault.text


@pytest.mark.parametrize(
    ("path", "value"),
    [("data.label_noise", 0.3), ("data.labelled", 0.5), ("data.augmentation", "shift"), ("training.epochs", 9)],
)
def test_what_moves_no_picture_from_training_to_test_can_change_in_a_fork(path: str, value: Any) -> None:
    knobs = DATASETS[TINY.data.key].knobs
    assert not fork_faults(TINY.with_setting(path, value), TINY, knobs)
    told = TINY.replace(data=Pick(TINY.data.key, {**TINY.data.settings, "validation": knobs["validation"].default}))
    assert not fork_faults(told, TINY, knobs), "a default that is written out is no other value"


def test_a_fork_with_another_seed_fails_with_the_reason_when_it_is_trained(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    parent, _ = shelf.create(TINY)
    fork, _ = shelf.create(replace(TINY, seed=TINY.seed + 1, parent=Parent(parent.id, "2-4")))
    with pytest.raises(RecipeError, match="a fork keeps its parent's seed"):
        begun(fork, shelf, run)
