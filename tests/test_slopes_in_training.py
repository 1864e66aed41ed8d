"""Methods that read slopes, classifiers or parameters, through the engine."""

from __future__ import annotations

import pytest
import torch

from kdcore.engine import run
from kdcore.events import Event, Failed, Finished, Step
from kdcore.recipe import Recipe
from kdcore.rehearsal import rehearse
from kdcore.stage import Losses, set_stage
from kdcore.training import PhaseRun

KEYS = (
    "at_grad", "jacobian_match", "sobolev", "lwm", "hsu_feat", "hsu_feat_g", "hsu_logit", "hsu_logit_g",
    "hsu_logit_full", "weight_distance", "srrl",
)  # fmt: skip
SLOPES = KEYS[:4]


def small(*keys: str, **changes: object) -> Recipe:
    width = 4 if "weight_distance" in keys else 6
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 200},
            "teacher": {"is": "plain", "width": width, "stage_count": 2},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": "ce"}, *({"is": key} for key in keys)],
            "training": {"epochs": 3, "teacher_epochs": 3, "batch": 50},
            **changes,
        }
    )


def values(events: list[Event]) -> list[dict[str, float | None]]:
    return [event.terms for event in events if isinstance(event, Step) and event.learner == "student"]


@pytest.mark.parametrize("key", KEYS)
def test_it_trains_to_the_end_with_all_its_terms_moving(key: str) -> None:
    events = list(run(small(key)))
    assert isinstance(events[-1], Finished), events[-1]
    told = values(events)
    own = [name for name in told[0] if name.startswith(f"{key}.")]
    assert own
    for name in own:
        assert (told[0][name] or 0) > 0
        assert len({step[name] for step in told}) > 2, name


@pytest.mark.parametrize("keys", [(key,) for key in KEYS] + [("kd", "fitnet", *SLOPES)])
@pytest.mark.parametrize("scheme", ["offline", "dml"])
def test_teachers_are_bit_identical_after_they_have_taught(keys: tuple[str, ...], scheme: str) -> None:
    stage = set_stage(small(*keys, scheme={"is": scheme}))
    phase = list(stage.scheme.phases(stage.cast, Losses(stage)))[-1]
    teacher = stage.cast["teacher" if scheme == "offline" else "peer 2"]
    before = {name: value.clone() for name, value in teacher.named_parameters()}
    if scheme == "offline":
        before.update({name: value.clone() for name, value in teacher.named_buffers()})
    running = PhaseRun(stage, type(phase)(phase.name, phase.title, phase.turns[:1]))
    for _ in range(3):
        running.step()
    after = {**dict(teacher.named_parameters()), **dict(teacher.named_buffers())}
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in teacher.parameters())


@pytest.mark.parametrize("keys", [("kd",), ("kd", "srrl"), ("kd", "sobolev")])
def test_only_slopes_cost_the_kept_teacher(keys: tuple[str, ...]) -> None:
    stage = set_stage(small(*keys))
    running = PhaseRun(stage, list(stage.scheme.phases(stage.cast, Losses(stage)))[-1])
    assert ("teacher" in running.memories) is ("sobolev" not in keys)
    taken = running.step()["student"]
    assert torch.isfinite(taken.raw).all()


@pytest.mark.parametrize("keys", [SLOPES[:3], ("srrl", "hsu_feat_g")])
def test_the_deepest_exit_teaches_shallower_ones_by_them_and_learns_nothing_from_it(keys: tuple[str, ...]) -> None:
    stage = set_stage(small(*keys, scheme={"is": "byot", "alpha": 1.0}, methods=[{"is": key} for key in keys]))
    phase = list(stage.scheme.phases(stage.cast, Losses(stage)))[-1]
    turn = phase.turns[0]
    lessons = tuple(lesson for lesson in turn.lessons if lesson.teacher)
    running = PhaseRun(stage, type(phase)(phase.name, phase.title, (type(turn)("student", lessons),)))
    base = stage.cast["student"].base
    deepest = [value for name, value in base.named_parameters() if name.startswith(("head", "stages.1"))]  # type: ignore[operator]
    before = [value.clone() for value in deepest]
    running.step()
    assert before
    assert all(torch.equal(one, other) for one, other in zip(before, deepest, strict=True))


@pytest.mark.parametrize(
    ("keys", "changes", "words"),
    [
        (("weight_distance",), {"teacher": {"is": "plain", "width": 6, "stage_count": 2}}, "of one kind and size"),
        (("weight_distance",), {"scheme": {"is": "byot"}}, "no parameters of its own"),
        (("lwm",), {"student": {"is": "vit", "depth": 1}}, "logits do not come from"),
        (("sobolev",), {"scheme": {"is": "dml", "update": "simultaneous"}}, "update='sequential' lets it"),
    ],
)
def test_what_they_cannot_read_is_refused_in_a_sentence(keys: tuple[str, ...], changes: dict, words: str) -> None:
    recipe = small(*keys, **changes)
    assert words in " ".join(fault["text"] for fault in rehearse(recipe).faults)
    failed = list(run(recipe))[-1]
    assert isinstance(failed, Failed)
    assert words in failed.reason


@pytest.mark.parametrize("network", ["resnet", "wide_resnet", "vgg", "mobile", "mlp", "vit"])
def test_slopes_can_be_taken_of_any_network(network: str) -> None:
    recipe = small(*SLOPES[:3], student={"is": network}, training={"epochs": 1, "teacher_epochs": 1, "batch": 100})
    assert not rehearse(recipe).faults


def test_augmented_pictures_are_the_ones_that_slopes_are_taken_on() -> None:
    recipe = small("at_grad", data={"is": "digits", "train_size": 200, "augmentation": "shift"})
    first, second = values(list(run(recipe))), values(list(run(recipe)))
    assert first == second
