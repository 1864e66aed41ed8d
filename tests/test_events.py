"""Events go through JSON, and a history is the same whether it is folded at once or bit by bit."""

from __future__ import annotations

import json

import pytest

from kdcore.engine import run
from kdcore.events import Event, Snapshot, Step, event_from_json
from kdcore.history import fold
from kdcore.recipe import Recipe

SHORT = Recipe(training={"epochs": 2, "teacher_epochs": 1})


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return list(run(SHORT))


def test_every_event_goes_through_json(events: list[Event]) -> None:
    for event in events:
        again = event_from_json(json.loads(json.dumps(event.to_json(), allow_nan=False)))
        if not isinstance(event, Snapshot):
            assert again.to_json() == event.to_json()


def test_a_snapshot_leaves_its_tensors_out_of_the_json(events: list[Event]) -> None:
    snapshot = next(event for event in events if isinstance(event, Snapshot))
    assert snapshot.tensors
    assert "tensors" not in snapshot.to_json()


def test_what_is_no_number_becomes_null() -> None:
    assert Step(0.0, 0, "student", 1, 0.1, float("nan"), {"kd": float("inf")}, {}, 1.0).to_json()["loss"] is None


@pytest.mark.parametrize("found", [{}, [], None, {"is": "Nothing"}, {"is": "Step"}, {"is": "Note"}])
def test_what_is_no_event_is_refused(found: object) -> None:
    with pytest.raises(ValueError):
        event_from_json(found)  # type: ignore[arg-type]


def test_folding_bit_by_bit_is_folding_at_once(events: list[Event]) -> None:
    history = None
    for event in events:
        history = fold([event], history)
    assert history == fold(events)
    assert history is not None
    assert history.outcome == "finished"
    assert [phase.name for phase in history.phases] == ["teacher", "baseline", "student"]


def test_a_history_knows_scores_terms_and_time_left(events: list[Event]) -> None:
    history = fold(events)
    student = history.phases[-1]
    assert student.scores["student"].epochs == [1.0, 2.0]
    assert set(student.terms["student"]) == {"kd.kd"}
    assert student.seconds_left == 0.0
    assert history.last_score("teacher") == history.phases[0].scores["teacher"].values[-1]
    half = fold([event for event in events if not (isinstance(event, Step) and event.step > 8)])
    assert half.phases[-1].seconds_left is not None
    assert half.phases[-1].seconds_left > 0
