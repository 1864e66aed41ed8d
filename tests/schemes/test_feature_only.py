"""Features first: the backbone hears of features alone, then the classifier of labels alone; the mix is as usual."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kdcore.answer import answer_from_bytes
from kdcore.engine import run
from kdcore.events import Event, Failed, Finished, PhaseStarted, Shown, Snapshot, Step
from kdcore.recipe import Recipe


def recipe(scheme: str = "feature_only", methods: tuple[str, ...] = ("ce", "kd", "sp"), **settings: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 300},
            "teacher": {"is": "plain", "width": 8, "stage_count": 2},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": key} for key in methods],
            "scheme": {"is": scheme, **settings},
            "training": {"epochs": 10, "teacher_epochs": 4},
        }
    )


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return list(run(recipe()))


def phases(events: list[Event]) -> dict[str, PhaseStarted]:
    return {event.name: event for event in events if isinstance(event, PhaseStarted)}


def weights(events: list[Event], phase: int, *, last: bool) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The student's classifier and everything else of it, at the beginning or the end of a phase."""
    taken = [event for event in events if isinstance(event, Snapshot) and event.phase == phase][-1 if last else 0]
    mine = {name: value for name, value in taken.tensors.items() if name.startswith("role/student/")}
    head = {name: value for name, value in mine.items() if "/head." in name}
    return head, {name: value for name, value in mine.items() if name not in head}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    assert one
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_backbone_hears_of_features_alone_and_its_classifier_rests(events: list[Event]) -> None:
    phase = phases(events)["backbone"]
    parts = [part["name"] for lesson in phase.lessons for part in lesson["parts"]]  # type: ignore[union-attr, attr-defined]
    assert parts == ["sp"]
    (head, rest), (head_after, rest_after) = (weights(events, phase.phase, last=last) for last in (False, True))
    assert same(head, head_after)
    assert not same(rest, rest_after)


def test_then_only_the_classifier_learns_and_the_backbone_rests(events: list[Event]) -> None:
    phase = phases(events)["student"]
    assert [lesson["kind"] for lesson in phase.lessons] == ["labels"]
    (head, rest), (head_after, rest_after) = (weights(events, phase.phase, last=last) for last in (False, True))
    assert not same(head, head_after)
    assert same(rest, rest_after)


def test_both_ways_have_the_same_number_of_epochs(events: list[Event]) -> None:
    found = phases(events)
    assert found["backbone"].epochs + found["student"].epochs == found["mix"].epochs == found["baseline"].epochs == 10


def test_the_mix_is_what_plain_distillation_gives(events: list[Event]) -> None:
    *_, plain = run(recipe("offline"))
    mixed = events[-1]
    assert isinstance(mixed, Finished)
    assert isinstance(plain, Finished)
    assert mixed.results["mix"]["test_accuracy"] == plain.results["student"]["test_accuracy"]
    assert mixed.results["mix"]["part"] == "peer"


def test_terms_on_the_answers_alone_are_refused() -> None:
    *_, last = run(recipe(methods=("ce", "kd")))
    assert isinstance(last, Failed)
    assert "no method here compares features without the answers" in last.reason


def test_without_the_mix_only_one_student_is_taught() -> None:
    found = phases(list(run(recipe(mix=False, baseline=False))))
    assert list(found) == ["teacher", "backbone", "student"]


def test_a_method_s_own_stage_comes_first_and_the_classifier_rests_there_too() -> None:
    events = list(run(recipe(methods=("ce", "ft"), mix=False, baseline=False)))
    assert isinstance(events[-1], Finished), events[-1]
    found = phases(events)
    assert next(iter(found)) == "teacher"
    assert list(found)[-1] == "student"
    for name, phase in found.items():
        if name not in ("teacher", "student"):
            head, head_after = (weights(events, phase.phase, last=last)[0] for last in (False, True))
            assert same(head, head_after)


def test_where_no_term_reaches_the_classifier_s_layer_the_embedding_is_taught() -> None:
    def terms(pairs: list[list[int]]) -> set[str]:
        short = recipe(methods=("ce",), mix=False, baseline=False).to_json()
        events = run(Recipe.from_json({**short, "methods": [{"is": "ce"}, {"is": "fitnet", "pairs": pairs}]}))
        number = -1
        found: set[str] = set()
        for event in events:
            assert not isinstance(event, Failed), event
            if isinstance(event, PhaseStarted) and event.name == "backbone":
                number = event.phase
            if isinstance(event, Step) and event.phase == number:
                found |= set(event.terms)
        return found

    assert terms([[1, 1]]) == {"fitnet.fitnet"}
    assert terms([[0, 0]]) == {"fitnet.fitnet", "embedding"}


def test_features_know_the_classes_before_the_classifier_does(events: list[Event]) -> None:
    found = [(event.phase, answer_from_bytes(event.content)) for event in events if isinstance(event, Shown)]
    names = {event.phase: event.name for event in events if isinstance(event, PhaseStarted)}
    backbone = [answer for phase, answer in found if names[phase] == "backbone"]
    features, answers = (values[0] for values in backbone[-1].series.values())
    assert features > answers + 0.2, "its classifier has not begun to learn"
    last = found[-1][1]
    results = events[-1].results  # type: ignore[attr-defined]
    assert last.categories == ["student", "mix"]
    right = [results[role]["validation_accuracy"] for role in ("student", "mix")]
    assert last.series["its classifier"].tolist() == pytest.approx(right, abs=1e-6)
    assert last.reference == pytest.approx(results["teacher"]["validation_accuracy"], abs=1e-6)
