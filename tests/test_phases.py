"""What a scheme can ask of a phase: own terms, further modules, parts of a network, made pictures, things to show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy
import pytest
import torch
from torch import nn

from app.charts.gradients import measured
from kdcore import engine
from kdcore.answer import answer_from_bytes
from kdcore.answers.matrix import Matrix
from kdcore.catalog import METHODS, SCHEMES
from kdcore.engine import run
from kdcore.events import Event, Finished, Gradients, Note, PhaseStarted, Shown, Snapshot, Step
from kdcore.history import fold
from kdcore.network import Network
from kdcore.recipe import Part, Pick, Recipe
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn, taught, taught_by_labels
from kdcore.stage import Losses, set_stage
from kdcore.training import PhaseRun
from kdcore.vocabulary import Batch, Terms
from tests.test_going_on import TINY, goes_on_as_if_nothing_had_happened


class Trial(Scheme):
    """A scheme whose phases a test hands in."""

    title = "Trial"
    kind = "offline"

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        return {"teacher": Casting(teacher, "teacher"), "student": Casting(student, "student")}

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        yield taught_by_labels(between)
        yield from self.made(cast, between)

    def made(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        raise NotImplementedError


def trial(monkeypatch: pytest.MonkeyPatch, made: object) -> Recipe:
    kind = type("Trial", (Trial,), {"made": lambda self, cast, between: made(cast, between), "title": "Trial"})
    monkeypatch.setitem(SCHEMES, "trial", kind)
    known = engine.catalog()
    monkeypatch.setattr(engine, "faults", lambda recipe, catalog: [])
    assert known
    return replace(TINY, scheme=Pick("trial"))


def finished(recipe: Recipe) -> list[Event]:
    events = list(run(recipe))
    assert isinstance(events[-1], Finished), events[-1]
    return events


def of(events: list[Event], kind: type) -> list:
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize(("only", "moves"), [("head", True), ("backbone", False)])
def test_a_turn_may_train_the_classifier_or_what_stands_before_it(
    monkeypatch: pytest.MonkeyPatch, only: str, moves: bool
) -> None:
    def made(cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        yield Phase("student", "One part", (Turn("student", (between.alone("student"),), only=only),))

    snapshots = [one for one in of(finished(trial(monkeypatch, made)), Snapshot) if one.phase == 1]
    for name, value in snapshots[0].tensors.items():
        if name.startswith("role/student/"):
            same = torch.equal(value, snapshots[-1].tensors[name])
            assert same == (("head." in name) != moves), (name, "running statistics are kept still too")


def test_a_phase_of_made_pictures_has_no_real_ones_at_hand_and_trains_a_generator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        with between.seeded("generator"):
            generator = nn.Sequential(nn.Linear(4, 64), nn.Unflatten(1, (1, 8, 8))).to(between.device())

        def supply(step: int, draws: torch.Generator) -> Batch:
            noise = torch.randn(16, 4, generator=draws).to(between.device())
            with torch.no_grad():
                return Batch(generator(noise), torch.full((16,), -1), torch.arange(16))

        def please(moment: Moment) -> Terms:
            pictures = generator(torch.randn(16, 4, generator=moment.generator))
            return {"sure": -moment.see("teacher", pictures, graph=True).logits.log_softmax(1).max(dim=1).values}

        def shows() -> list[Matrix]:
            weight = generator[0].weight.detach().cpu().numpy().astype(numpy.float32)
            return [
                Matrix("What it makes", "Said.", {"w": weight}, ["r"] * 64, ["c"] * 4, "a", "b", "v", -1.0, 1.0, {}, {})
            ]

        learn = Turn("student", (between.knowledge("student", "teacher"),))
        make = Turn(
            "generator", own=please, also={"generator": generator}, told_by=("teacher",), optimizer="adam", times=2
        )
        yield Phase("student", "From made pictures", (make, learn), supply=supply, shows=shows)

    recipe = trial(monkeypatch, made)
    events = finished(recipe)
    stage = set_stage(recipe)
    phases = list(stage.scheme.phases(stage.cast, Losses(stage)))
    assert PhaseRun(stage, phases[-1]).split is None
    shown = of(events, Shown)
    first, last = (answer_from_bytes(one.content) for one in (shown[0], shown[-1]))
    assert isinstance(first, Matrix)
    assert isinstance(last, Matrix)
    assert not numpy.array_equal(first.panels["w"], last.panels["w"]), "the generator learns"
    assert fold(events).phases[1].shown["What it makes"] == shown
    assert any(name.startswith("also/generator/") for name in of(events, Snapshot)[-1].tensors)
    assert {event.learner for event in of(events, Step) if event.phase == 1} == {"generator", "student"}
    before, after = (one for one in of(events, Snapshot) if one.phase == 0 and one.epoch in (0.0, 2.0))
    assert before
    assert torch.equal(
        after.tensors["role/teacher/head.weight"], next(run_to_end(recipe))["teacher"].state_dict()["head.weight"]
    ), "pictures sent through it leave the teacher as it was"
    goes_on_as_if_nothing_had_happened(recipe)


def run_to_end(recipe: Recipe) -> Iterator[dict[str, Network]]:
    """The cast after all phases, trained without the engine's events."""
    stage = set_stage(recipe)
    for number, phase in enumerate(stage.scheme.phases(stage.cast, Losses(stage))):
        torch.manual_seed(engine.seeded(recipe, f"phase {number}"))
        running = PhaseRun(stage, phase)
        for _ in range(running.steps):
            running.step()
    yield stage.cast


def test_gradients_of_terms_are_taken_apart_while_training() -> None:
    recipe = replace(TINY, methods=(Part(Pick("ce")), Part(Pick("kd")), Part(Pick("at"), 0.0))).with_setting(
        "training.epochs", 8
    )
    found = [event for event in of(finished(recipe), Gradients) if event.phase == 2]
    assert len(found) >= 3
    assert set(found[0].lengths) == {"ce.ce", "kd.kd"}
    assert all(length and length > 0 for event in found for length in event.lengths.values())
    assert all(event.cosine is not None and -1 <= event.cosine <= 1 for event in found)
    series = fold(finished(recipe)).phases[2]
    assert len(series.gradients["student"]["kd.kd"].values) == len(found) == len(series.cosines["student"].values)


def test_they_are_what_autograd_says_of_the_first_batch() -> None:
    recipe = replace(TINY, methods=(Part(Pick("ce")), Part(Pick("kd"))))
    first = next(event for event in of(finished(recipe), Gradients) if event.phase == 2)
    stage = set_stage(recipe)
    *_, phase = stage.scheme.phases(stage.cast, Losses(stage))
    for number, early in enumerate(stage.scheme.phases(stage.cast, Losses(stage))):
        if number == 2:
            break
        torch.manual_seed(engine.seeded(recipe, f"phase {number}"))
        before = PhaseRun(stage, early)
        for _ in range(before.steps):
            before.step()
    running = PhaseRun(stage, phase)
    epoch, places = next(running.orders[False])
    student = stage.cast["student"].train()
    images = stage.data.train.images[places]
    labels = stage.data.train.labels[places]
    teacher = stage.cast["teacher"].eval()(images).detach()
    kd = METHODS["kd"]()
    logits = student(images)
    batch = Batch(images, labels, places)
    from kdcore.vocabulary import Seen

    seen = Seen(logits, (), (), logits)
    told = Seen(teacher, (), (), teacher)
    for name, loss in (
        ("ce.ce", torch.nn.functional.cross_entropy(logits, labels)),
        ("kd.kd", METHODS["kd"].weight * kd(seen, told, batch)["kd"].mean()),
    ):
        parts = torch.autograd.grad(loss, list(student.parameters()), retain_graph=True)
        assert first.lengths[name] == pytest.approx(
            torch.cat([part.flatten() for part in parts]).norm().item(), rel=1e-4
        )
    assert epoch == 0


def test_gradients_are_measured_where_a_turn_is_taken_several_times_a_step() -> None:
    events = finished(replace(TINY, scheme=Pick("zskt", {"student_steps": 3})))
    told = [one.lengths for one in of(events, Gradients) if one.learner == "student"]
    assert told
    assert all(length is not None and length > 0 for lengths in told for length in lengths.values())
    assert measured(fold(events).phases[-1]) == ["student"], "a generator is no network of the run"


def test_a_term_without_gradient_is_named_as_broken() -> None:
    recipe = replace(TINY, student=Pick("mlp", {"width": 8}), methods=(Part(Pick("ce")), Part(Pick("at"))))
    notes = [event.text for event in of(finished(recipe), Note)]
    assert any("at" in text and "teaches nothing" in text for text in notes), notes


def test_labels_are_not_called_broken_where_the_first_batch_has_none() -> None:
    few = {**TINY.data.settings, "labelled": 0.02}
    recipe = replace(TINY, data=Pick(TINY.data.key, few), methods=(Part(Pick("ce")), Part(Pick("kd"))))
    told = []
    for seed in range(4):
        events = finished(replace(recipe, seed=seed))
        told += [one.lengths["ce.ce"] for one in of(events, Gradients) if one.learner == "student" and one.step == 1]
        assert [event.text for event in of(events, Note) if "teaches nothing" in event.text] == []
    assert 0.0 in told, "no first batch was without labels, so nothing was tried here"


@pytest.mark.parametrize("key", [key for key, method in METHODS.items() if "own_stage" in method.knobs])
def test_a_method_with_a_stage_of_its_own_has_it_as_a_phase(key: str) -> None:
    recipe = replace(TINY, methods=(Part(Pick("kd")), Part(Pick(key, {"own_stage": 0.5})))).with_setting(
        "training.epochs", 4
    )
    events = finished(recipe)
    phases = of(events, PhaseStarted)
    assert [phase.name for phase in phases] == ["teacher", "baseline", f"student-{key}", "student"]
    assert sum(phase.epochs for phase in phases[2:]) == 4, "stages share the student's epochs"
    own, rest = (
        {name for event in of(events, Step) if event.phase == number for name in event.terms} for number in (2, 3)
    )
    assert all(name.startswith(f"{key}.") for name in own)
    assert "kd.kd" in rest
    first, last = ([one for one in of(events, Snapshot) if one.phase == 2][place] for place in (0, -1))
    moved = [name for name in first.tensors if not torch.equal(first.tensors[name], last.tensors[name])]
    if METHODS[key].own_terms:
        assert moved
        assert not [name for name in moved if name.startswith("role/")], "the student waits while the parts learn"
        assert own.isdisjoint(rest), "the parts have learned"
        held = [name for name in first.tensors if any(f".{part}." in name for part in METHODS[key].own_parts)]
        end = of(events, Snapshot)[-1]
        assert held
        assert all(torch.equal(last.tensors[name], end.tensors[name]) for name in held), "and are held still"
    else:
        assert any(name.startswith("role/student") for name in moved)
        assert rest == {"kd.kd"}, "the method is done"


def test_the_same_method_beside_the_others_all_along_has_no_stage() -> None:
    for key, method in METHODS.items():
        if "own_stage" in method.knobs:
            recipe = replace(TINY, methods=(Part(Pick(key, {"own_stage": 0.0})),))
            stage = set_stage(recipe)
            assert len(list(stage.scheme.phases(stage.cast, Losses(stage)))) == 3


def test_taught_is_one_phase_where_no_method_asks_for_more() -> None:
    stage = set_stage(TINY)
    assert [phase.name for phase in taught("x", "X", "student", "teacher", Losses(stage))] == ["x"]
