"""The engine keeps its grammar, is deterministic, fair to the student alone, and leaves the teacher untouched."""

from __future__ import annotations

import math

import pytest
import torch

from kdcore.engine import run
from kdcore.events import (
    Event,
    Failed,
    Finished,
    Hardest,
    PhaseStarted,
    Pictures,
    Scored,
    Snapshot,
    Started,
    Step,
)  # fmt: skip
from kdcore.memory import TeacherMemory
from kdcore.recipe import Recipe
from kdcore.rehearsal import rehearse
from kdcore.scoring import even_bias
from kdcore.stage import Losses, set_stage
from kdcore.training import PhaseRun

SMALL = {
    "data": {"is": "digits", "train_size": 400},
    "teacher": {"is": "plain", "width": 8, "stage_count": 2},
    "student": {"is": "plain", "width": 4, "stage_count": 2},
    "methods": [{"is": "ce"}, {"is": "kd"}, {"is": "fitnet"}],
    "training": {"epochs": 2, "teacher_epochs": 2, "batch": 64},
}


def small(**changes: object) -> Recipe:
    return Recipe.from_json({**SMALL, **changes})


def values(events: list[Event]) -> list[object]:
    """Everything an event says but when and how fast."""
    told = []
    for event in events:
        found = event.to_json()
        for clock in ("time", "rate", "seconds"):
            found.pop(clock, None)
        told.append(found)
    return told


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return list(run(small()))


def test_events_keep_their_grammar(events: list[Event]) -> None:
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert events[0].phases == sum(isinstance(event, PhaseStarted) for event in events) == 3
    phase = -1
    for event in events[1:-1]:
        if isinstance(event, PhaseStarted):
            assert event.phase == phase + 1
            phase = event.phase
        elif isinstance(event, (Step, Snapshot, Hardest)):
            assert event.phase == phase


def test_the_same_recipe_gives_the_same_curve(events: list[Event]) -> None:
    assert values(list(run(small()))) == values(events)


def test_another_seed_gives_another_curve(events: list[Event]) -> None:
    assert values(list(run(small(seed=1)))) != values(events)


def test_tensors_of_two_runs_are_bit_identical(events: list[Event]) -> None:
    again = [event for event in run(small()) if isinstance(event, Snapshot)]
    first = [event for event in events if isinstance(event, Snapshot)]
    assert [one.name for one in first] == [one.name for one in again]
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_every_step_names_every_term_with_its_weight(events: list[Event]) -> None:
    steps = [event for event in events if isinstance(event, Step) and event.learner == "student"]
    assert set(steps[0].terms) == {"ce.ce", "kd.kd", "fitnet.fitnet"}
    for step in steps:
        assert step.loss == pytest.approx(sum(step.weighted.values()), rel=1e-4)


def test_every_step_says_the_learning_rate_it_was_taken_with(events: list[Event]) -> None:
    planned = {event.phase: event.steps for event in events if isinstance(event, PhaseStarted)}
    rates = {0: 0.002, 1: 0.01, 2: 0.01}
    for step in [event for event in events if isinstance(event, Step)]:
        share = (step.step - 1) / planned[step.phase]
        assert step.learning_rate == pytest.approx(rates[step.phase] * 0.5 * (1 + math.cos(math.pi * share)))


def test_steps_are_thinned_to_about_five_hundred_a_phase() -> None:
    recipe = small(
        training={"epochs": 250, "teacher_epochs": 0, "batch": 64, "snapshot_every": 0}, methods=[{"is": "kd"}]
    )
    steps = [event for event in run(recipe) if isinstance(event, Step) and event.phase == 2]
    assert 250 <= len(steps) <= 502
    assert steps[0].step == 1
    assert steps[-1].step == 250 * 5


def test_the_student_alone_starts_where_the_student_starts() -> None:
    stage = set_stage(small())
    student, alone = stage.cast["student"].state_dict(), stage.cast["baseline"].state_dict()
    assert all(torch.equal(student[name], alone[name]) for name in student)


def test_student_and_student_alone_take_the_same_number_of_steps(events: list[Event]) -> None:
    phases = {event.name: event for event in events if isinstance(event, PhaseStarted)}
    assert phases["baseline"].steps == phases["student"].steps


def test_the_teacher_is_bit_identical_after_it_has_taught() -> None:
    stage = set_stage(small(methods=[{"is": key} for key in ("kd", "fitnet", "semckd", "ab")]))
    phases = list(stage.scheme.phases(stage.cast, Losses(stage)))
    before = {name: value.clone() for name, value in stage.cast["teacher"].state_dict().items()}
    running = PhaseRun(stage, phases[-1])
    for _ in range(5):
        running.step()
    after = stage.cast["teacher"].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.grad is None for parameter in stage.cast["teacher"].parameters())


def test_learned_parts_of_methods_are_trained() -> None:
    stage = set_stage(small(methods=[{"is": key} for key in ("kd", "fitnet", "semckd", "ab")]))
    phase = list(stage.scheme.phases(stage.cast, Losses(stage)))[-1]
    objective = phase.turns[0].lessons[-1].objective
    before = {name: value.clone() for name, value in objective.named_parameters()}
    running = PhaseRun(stage, phase)
    for _ in range(3):
        running.step()
    moved = [name for name, value in objective.named_parameters() if not torch.equal(before[name], value)]
    assert len(moved) == len(before) > 0


def test_a_kept_teacher_says_what_it_says_live() -> None:
    stage = set_stage(small())
    split = stage.data.train
    kept = TeacherMemory(stage, "teacher", split, {"logits", "maps", "preacts", "embedding"})
    places = torch.tensor([3, 99, 5, 7])
    with torch.no_grad():
        live = stage.cast["teacher"].look(split.images[places])
    seen = kept.at(places)
    torch.testing.assert_close(seen.logits, live.logits)
    torch.testing.assert_close(seen.embedding, live.embedding)
    for one, other in zip(seen.maps + seen.preacts, live.maps + live.preacts, strict=True):
        torch.testing.assert_close(one, other)


def test_with_augmentation_the_teacher_sees_what_the_student_sees() -> None:
    recipe = small(data={"is": "digits", "train_size": 400, "augmentation": "shift"}, methods=[{"is": "kd"}])
    stage = set_stage(recipe)
    phase = list(stage.scheme.phases(stage.cast, Losses(stage)))[-1]
    running = PhaseRun(stage, phase)
    assert running.memories == {}
    assert values(list(run(recipe))) == values(list(run(recipe)))


def test_withheld_labels_are_never_used() -> None:
    recipe = small(data={"is": "digits", "labelled": 0.05}, methods=[{"is": "ce"}, {"is": "kd"}])
    stage = set_stage(recipe)
    assert 0 < len(stage.data.train.labels[stage.data.train.labels >= 0]) < 100
    phase = list(stage.scheme.phases(stage.cast, Losses(stage)))[1]
    running = PhaseRun(stage, phase)
    taken = running.step()["baseline"]
    assert (stage.data.train.labels[taken.places] >= 0).all()


def test_without_any_label_the_teacher_alone_teaches() -> None:
    events = list(run(small(data={"is": "digits", "labelled": 0.0}, scheme={"is": "offline", "baseline": False})))
    assert isinstance(events[-1], Finished)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_term() -> None:
    recipe = small(training={"epochs": 3, "teacher_epochs": 3, "batch": 64, "rate": 10.0, "optimizer": "sgd"},
                   methods=[{"is": "logit_regression", "weight": 1e6}])  # fmt: skip
    events = list(run(recipe))
    assert isinstance(events[-1], Failed)
    assert "logit_regression" in events[-1].reason
    assert "student" in events[-1].reason
    assert "learning rate" in events[-1].advice
    assert any(isinstance(event, Snapshot) for event in events)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"student": {"is": "nothing"}}, "'nothing' is no network"),
        ({"methods": [{"is": "at", "pairs": [[9, 0]]}]}, "student layer 9: the student has layers 0 to 1"),
        ({"data": {"is": "digits", "hidden_class": 10}}, "the classes are 0 to 9"),
        ({"data": {"is": "digits", "train_size": 12}}, "training pictures"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(changes: dict, words: str) -> None:
    events = list(run(small(**changes)))
    assert isinstance(events[-1], Failed)
    assert words in events[-1].reason
    preview = rehearse(small(**changes))
    assert any(words in fault["text"] for fault in preview.faults)


def test_a_hidden_class_is_scored_raw_and_corrected() -> None:
    recipe = Recipe.from_json({"data": {"is": "digits", "hidden_class": 3, "augmentation": "none"}})
    events = list(run(recipe))
    tests = {event.role: event for event in events if isinstance(event, Scored) and event.split == "test"}
    assert tests["baseline"].hidden["raw"] == 0.0
    assert tests["student"].hidden["corrected"] > tests["baseline"].hidden["corrected"]
    assert tests["student"].hidden["corrected"] > 0.3


def test_the_bias_makes_a_class_win_as_often_as_asked() -> None:
    logits = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    for count in (1, 40, 199):
        shifted = logits.clone()
        shifted[:, 2] += even_bias(logits, 2, count)
        assert int((shifted.argmax(dim=1) == 2).sum()) == count


def test_the_hardest_pictures_come_with_their_pixels_once(events: list[Event]) -> None:
    pixels: dict[str, str] = {}
    for event in events:
        if isinstance(event, Pictures):
            pixels.update(event.pictures)
        if isinstance(event, Hardest):
            assert all(str(image["index"]) in pixels for image in event.images)
            losses = [image["loss"] for image in event.images]
            assert losses == sorted(losses, reverse=True)
    assert pixels


def test_results_pair_every_role_with_the_student(events: list[Event]) -> None:
    finished = events[-1]
    assert isinstance(finished, Finished)
    student, alone = finished.results["student"], finished.results["baseline"]
    difference = (alone["won"] - alone["lost"]) / alone["count"]
    assert difference == pytest.approx(student["test_accuracy"] - alone["test_accuracy"], abs=1e-6)


def test_a_rehearsal_says_sizes_layers_and_seconds() -> None:
    preview = rehearse(small())
    assert preview.faults == []
    assert preview.roles["student"]["parameters"] > 0
    assert preview.roles["student"]["macs"] > 0
    lesson = preview.phases[-1]["lessons"][-1]
    fitnet = next(part for part in lesson["parts"] if part["name"] == "fitnet")
    assert fitnet["pairs"] == [[0, 0]]
    assert "same resolution" in fitnet["why"]
    assert preview.seconds > 0


def test_a_plan_says_how_many_numbers_each_phase_trains() -> None:
    preview = rehearse(small())
    teacher, alone, taught = (phase["trained"] for phase in preview.phases)
    assert teacher == preview.roles["teacher"]["parameters"]
    assert alone == preview.roles["student"]["parameters"] == preview.roles["baseline"]["parameters"]
    assert taught > alone, "the regressor of the hint learns too"
    frozen = rehearse(Recipe.from_json({**small().to_json(), "methods": [{"is": "kd"}]}))
    assert frozen.phases[-1]["trained"] == alone, "soft targets bring nothing that learns"


def test_listening_leaves_grad_mode_on() -> None:
    for _ in run(small(training={"epochs": 1, "teacher_epochs": 1})):
        assert torch.is_grad_enabled()


def test_a_rehearsal_names_a_term_that_teaches_nothing() -> None:
    recipe = small(student={"is": "mlp"}, methods=[{"is": "kd"}, {"is": "at"}])
    silent = [warning for warning in rehearse(recipe).warnings if "no gradient" in warning]
    assert len(silent) == 1
    assert silent[0].startswith("at.at gives the student no gradient")
    assert not [warning for warning in rehearse(small()).warnings if "no gradient" in warning]


def test_a_method_that_cannot_take_its_batch_says_so_before_the_start() -> None:
    recipe = Recipe.from_json(
        {"methods": [{"is": "rkd"}], "training": {"batch": 600, "epochs": 1, "teacher_epochs": 1}}
    )
    assert "512" in rehearse(recipe).faults[0]["text"]
    assert "512" in list(run(recipe))[-1].reason  # type: ignore[attr-defined]
