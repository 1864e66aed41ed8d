"""Laws for every scheme in the folder: it runs, learns, and brings its roles back."""

from __future__ import annotations

import pytest
import torch

from kdcore.answer import answer_from_bytes
from kdcore.answers.bars import Bars
from kdcore.catalog import SCHEMES
from kdcore.engine import run
from kdcore.events import Event, Finished, Shown, Snapshot, Started
from kdcore.history import History, fold
from kdcore.objective import Objective
from kdcore.recipe import Recipe
from kdcore.revive import ReviveError, revive
from kdcore.scoring import logits_of
from kdcore.stage import Losses, set_stage
from kdcore.training import PhaseRun


def recipe(key: str = "offline", **changes: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits"},
            "teacher": {"is": "plain", "width": 16, "stage_count": 2},
            "student": {"is": "plain", "width": 8, "stage_count": 2},
            "methods": [{"is": "ce"}, {"is": "kd"}, {"is": "fitnet"}],
            "scheme": {"is": key},
            "training": {"epochs": 8, "teacher_epochs": 8},
            **changes,
        }
    )


class Kept:
    """A run held in memory."""

    def __init__(self, recipe: Recipe, events: list[Event]) -> None:
        self.recipe, self.kept = recipe, fold(events)
        self.snapshots = {event.name: event.tensors for event in events if isinstance(event, Snapshot)}

    def history(self) -> History:
        return self.kept

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        return self.snapshots[name]


@pytest.fixture(scope="module", params=sorted(SCHEMES))
def finished(request: pytest.FixtureRequest) -> tuple[str, list[Event]]:
    return request.param, list(run(recipe(request.param)))


def test_it_finishes_and_every_role_learns(finished: tuple[str, list[Event]]) -> None:
    key, events = finished
    assert isinstance(events[-1], Finished), events[-1]
    # whoever is only tuned knows the last task alone; made pictures take more steps than there are here,
    # and so does a student whose own epochs are mostly without labels
    least = {"lifelong": 0.1, "data-free": 0.2, "cross-modal": 0.3}.get(SCHEMES[key].kind, 0.5)
    for role, result in events[-1].results.items():
        assert result["test_accuracy"] > least, (role, result["test_accuracy"])


def test_it_has_one_student_and_by_default_a_baseline(finished: tuple[str, list[Event]]) -> None:
    _, events = finished
    started = events[0]
    assert isinstance(started, Started)
    parts = [role["part"] for role in started.roles.values()]
    assert parts.count("student") == 1
    assert parts.count("baseline") == 1


def test_every_role_changes_in_some_phase(finished: tuple[str, list[Event]]) -> None:
    _, events = finished
    learners = {role for event in events if isinstance(event, Snapshot) for role in event.roles}
    started = events[0]
    assert isinstance(started, Started)
    assert learners == set(started.roles)


def test_every_scheme_but_the_plainest_has_a_picture_of_its_own(finished: tuple[str, list[Event]]) -> None:
    key, events = finished
    pictures = [answer_from_bytes(event.content) for event in events if isinstance(event, Shown)]
    assert bool(pictures) == (key != "offline")
    assert all(picture.says.endswith(".") for picture in pictures)


def test_any_role_comes_back_as_it_was(finished: tuple[str, list[Event]]) -> None:
    key, events = finished
    kept = Kept(recipe(key), events)
    last = kept.history().snapshots[-1]
    revived = revive(kept, last.name)
    split = revived.data.test
    results = events[-1].results  # type: ignore[attr-defined]
    for role, network in revived.networks.items():
        right = (logits_of(network, split.images).argmax(dim=1) == split.truth).float().mean()
        assert float(right) == pytest.approx(results[role]["test_accuracy"], abs=1e-6)
    for lesson in revived.lessons:
        saved = {name for name in last.tensors if name.startswith(f"part/{lesson.student}|{lesson.teacher}/")}
        for name, value in lesson.objective.state_dict().items():
            assert torch.equal(value, last.tensors[f"part/{lesson.student}|{lesson.teacher}/{name}"])
        assert len(saved) == len(lesson.objective.state_dict())


def test_a_moment_that_is_not_there_is_refused(finished: tuple[str, list[Event]]) -> None:
    key, events = finished
    with pytest.raises(ReviveError, match="there is no snapshot '9-9'"):
        revive(Kept(recipe(key), events), "9-9")


@pytest.mark.parametrize("key", sorted(SCHEMES))
def test_every_knob_at_its_ends_makes_phases(key: str) -> None:
    large = {"is": "plain", "width": 32, "stage_count": 2}  # there must be sizes for the longest chain
    for knob in SCHEMES[key].knobs.values():
        ends = knob.choices or ((True, False) if knob.kind == "bool" else (knob.low, knob.high))
        for value in ends:
            stage = set_stage(recipe(key, teacher=large, scheme={"is": key, knob.name: value}))
            assert list(stage.scheme.phases(stage.cast, Losses(stage)))


def last_phase(**changes: object):  # type: ignore[no-untyped-def]
    stage = set_stage(recipe(**changes))  # type: ignore[arg-type]
    return stage, list(stage.scheme.phases(stage.cast, Losses(stage)))[-1]


@pytest.mark.parametrize("update", ["sequential", "simultaneous"])
def test_in_mutual_learning_no_gradient_reaches_a_peer(update: str) -> None:
    stage, phase = last_phase(scheme={"is": "dml", "update": update}, methods=[{"is": "ce"}, {"is": "kd"}])
    peer = stage.cast["peer 2"]
    before = {name: value.clone() for name, value in peer.named_parameters()}
    stopped = PhaseRun(stage, type(phase)(phase.name, phase.title, phase.turns[:1], update=phase.update))
    stopped.step()
    assert all(torch.equal(before[name], value) for name, value in peer.named_parameters())
    assert all(parameter.grad is None for parameter in peer.parameters())


def test_mutual_learning_starts_its_peers_differently() -> None:
    stage, _ = last_phase(scheme={"is": "dml", "peers": 3})
    weights = [next(iter(stage.cast[name].parameters())) for name in ("student", "peer 2", "peer 3")]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


def test_the_deepest_exit_gets_no_gradient_from_what_it_teaches() -> None:
    stage, phase = last_phase(scheme={"is": "byot"}, methods=[{"is": "kd"}, {"is": "fitnet"}])
    network = stage.cast["student"]
    seen = {"student": network.look(stage.data.train.images[:16])}
    from kdcore.vocabulary import Batch

    batch = Batch(stage.data.train.images[:16], stage.data.train.labels[:16], torch.arange(16))
    lesson = next(lesson for lesson in phase.turns[0].lessons if lesson.teacher == "student")
    assert isinstance(lesson.objective, Objective)
    terms = lesson.objective(stage.view(lesson.student, seen), seen["student"].detach(), batch)
    sum(values.mean() for values in terms.values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is None for parameter in network.base.head.parameters())
    assert all(parameter.grad is None for parameter in network.base.stages[-1].parameters())
    assert any(parameter.grad is not None for parameter in network.base.stages[0].parameters())


def test_exits_are_shown_with_what_each_knows() -> None:
    events = list(run(recipe("byot")))
    assert isinstance(events[-1], Finished), events[-1]
    last = [answer_from_bytes(event.content) for event in events if isinstance(event, Shown)][-1]
    assert isinstance(last, Bars)
    assert last.categories == ["exit 1", "deepest exit"]
    right, alike = last.series.values()
    assert right[-1] == pytest.approx(events[-1].results["student"]["validation_accuracy"], abs=1e-6)
    assert alike[-1] == 1.0
    assert last.reference == pytest.approx(events[-1].results["baseline"]["validation_accuracy"], abs=1e-6)


def test_exits_are_dropped_once_training_is_over() -> None:
    stage, _ = last_phase(scheme={"is": "byot"})
    assert stage.cast["student"].deployed() is stage.cast["student"].base  # type: ignore[attr-defined]


def test_generations_are_different_networks() -> None:
    stage, _ = last_phase(scheme={"is": "ban", "generations": 2})
    first, second = (next(iter(stage.cast[name].parameters())) for name in ("generation 1", "student"))
    assert first is not second
    assert not torch.equal(first, second)


def test_an_assistant_lies_between_teacher_and_student() -> None:
    stage, _ = last_phase(scheme={"is": "takd", "assistants": 2})
    widths = [
        stage.castings[name].network.settings["width"] for name in ("teacher", "assistant 1", "assistant 2", "student")
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[1] < widths[0]


def test_without_assistants_it_is_plain_distillation() -> None:
    direct = list(run(recipe("takd", scheme={"is": "takd", "assistants": 0})))[-1]
    plain = list(run(recipe("offline")))[-1]
    assert isinstance(direct, Finished)
    assert isinstance(plain, Finished)
    assert direct.results["student"]["test_accuracy"] == plain.results["student"]["test_accuracy"]


def test_a_network_of_one_stage_cannot_be_its_own_teacher() -> None:
    events = list(run(recipe("byot", student={"is": "mlp"})))
    assert "2 or more stages; this one has 1" in events[-1].reason  # type: ignore[attr-defined]
