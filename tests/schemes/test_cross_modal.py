"""Cross-modal transfer: the pairs teach, and no label does."""

from __future__ import annotations

import pytest
import torch

from kdcore.answer import answer_from_bytes
from kdcore.answers.bars import Bars
from kdcore.answers.gallery import Gallery
from kdcore.engine import run
from kdcore.events import Event, Failed, Finished, PhaseStarted, Shown, Snapshot
from kdcore.recipe import Recipe
from kdcore.stage import Losses, set_stage


def recipe(data: dict[str, object] | None = None, **settings: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 200, "sensor": "low resolution", **(data or {})},
            "teacher": {"is": "plain", "width": 8, "stage_count": 2},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": "ce"}, {"is": "kd"}],
            "scheme": {"is": "cross_modal", **settings},
            "training": {"epochs": 5, "teacher_epochs": 6, "batch": 32},
        }
    )


def last_of(events: list[Event], phase: str) -> dict[str, torch.Tensor]:
    number = next(e.phase for e in events if isinstance(e, PhaseStarted) and e.name == phase)
    return [e.tensors for e in events if isinstance(e, Snapshot) and e.phase == number][-1]


def test_the_transfer_is_the_same_whatever_the_labels_are() -> None:
    many, few = (list(run(recipe({"labelled": share}, baseline=False, unlabelled=False))) for share in (1.0, 0.1))
    assert isinstance(many[-1], Finished), many[-1]
    one, other = (last_of(events, "student") for events in (many, few))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    one, other = (last_of(events, "labels") for events in (many, few))
    assert not all(torch.equal(value, other[name]) for name, value in one.items())


def test_in_the_transfer_no_label_is_there_at_all() -> None:
    stage = set_stage(recipe())
    for phase in stage.scheme.phases(stage.cast, Losses(stage)):
        if phase.name in ("student", "no labels"):
            assert phase.split is not None
            assert bool((phase.split().labels == -1).all())


def test_both_students_have_the_same_number_of_epochs_and_pictures_say_what_is_seen() -> None:
    events = list(run(recipe()))
    assert isinstance(events[-1], Finished), events[-1]
    epochs = {event.name: event.epochs for event in events if isinstance(event, PhaseStarted)}
    assert epochs["student"] + epochs["labels"] == epochs["no labels"] == epochs["baseline"] == 5
    bars, gallery = [answer_from_bytes(event.content) for event in events if isinstance(event, Shown)][-2:]
    assert isinstance(bars, Bars)
    assert isinstance(gallery, Gallery)
    assert gallery.pictures.shape[1:] == (8, 17, 1)
    assert bars.series["teacher"][0] > bars.series["teacher"][1]


def test_without_any_label_there_is_transfer_and_nothing_else() -> None:
    untold = recipe({"labelled": 0.0}, labels=0.0, baseline=False, unlabelled=False).to_json()
    training = {"epochs": 30, "teacher_epochs": 30, "teacher_rate": 0.01, "batch": 32}
    events = list(run(Recipe.from_json({**untold, "training": training})))
    assert isinstance(events[-1], Finished), events[-1]
    assert [event.name for event in events if isinstance(event, PhaseStarted)] == ["teacher", "student"]
    assert events[-1].results["student"]["test_accuracy"] > 0.5


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (recipe({"labelled": 0.0}), "has a label"),
        (Recipe.from_json({**recipe().to_json(), "methods": [{"is": "ce"}]}), "compares with"),
    ],
)
def test_what_cannot_be_is_said_at_the_door(changed: Recipe, words: str) -> None:
    *_, last = run(changed)
    assert isinstance(last, Failed)
    assert words in last.reason
