"""Student and discriminator work against each other, and neither moves in the other's step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kdcore.discriminator import NAME, OfAnswers, OfFeatures
from kdcore.engine import run
from kdcore.events import Finished, Shown
from kdcore.recipe import Recipe
from kdcore.scheme import Phase
from kdcore.stage import Losses, Stage, set_stage
from kdcore.training import PhaseRun


def recipe(key: str, **settings: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 160},
            "teacher": {"is": "plain", "width": 6, "stage_count": 2},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": "kd"}],
            "scheme": {"is": key, **settings},
            "training": {"epochs": 2, "teacher_epochs": 2, "batch": 32},
        }
    )


def last_phase(key: str, **settings: object) -> tuple[Stage, Phase]:
    stage = set_stage(recipe(key, **settings))
    return stage, list(stage.scheme.phases(stage.cast, Losses(stage)))[-1]


@pytest.mark.parametrize("key", ["adv_logits", "adv_features"])
@pytest.mark.parametrize("learner", [NAME, "student"])
def test_only_one_of_the_two_moves_in_a_step(key: str, learner: str) -> None:
    stage, phase = last_phase(key)
    judge = phase.turns[0].also[NAME]
    turns = tuple(turn for turn in phase.turns if turn.learner == learner)
    other = stage.cast["student"] if learner == NAME else judge
    before = [one.clone() for one in other.parameters()]
    running = PhaseRun(stage, replace(phase, turns=turns))
    mine = [one.clone() for one in (judge if learner == NAME else stage.cast["student"]).parameters()]
    running.step()
    assert all(torch.equal(*pair) for pair in zip(before, other.parameters(), strict=True))
    now = (judge if learner == NAME else stage.cast["student"]).parameters()
    assert any(not torch.equal(*pair) for pair in zip(mine, now, strict=True))


@pytest.mark.parametrize("judge", [OfAnswers(5), OfFeatures(5)])
def test_what_the_student_wants_the_discriminator_does_not(judge: torch.nn.Module) -> None:
    made = torch.randn(4, 5) if isinstance(judge, OfAnswers) else torch.randn(4, 5, 3, 3)
    made.requires_grad_()
    soft = torch.nn.functional.softplus
    fooling = torch.autograd.grad(soft(-judge(made)).sum(), made)[0]
    judging = torch.autograd.grad(soft(judge(made)).sum(), made)[0]
    assert float((fooling * judging).sum()) < 0.0


@pytest.mark.parametrize("key", ["adv_logits", "adv_features"])
def test_without_weight_the_student_has_no_adversarial_term(key: str) -> None:
    _, phase = last_phase(key, adversarial=0.0)
    assert phase.turns[1].own is None


@pytest.mark.parametrize("settings", [{}, {"layer": "embedding"}])
@pytest.mark.parametrize("student", ["plain", "mlp"])
def test_features_of_any_two_networks_can_be_judged(settings: dict[str, str], student: str) -> None:
    *events, last = run(recipe("adv_features", **settings).with_setting("student", student))
    assert isinstance(last, Finished)
    assert sum(isinstance(event, Shown) for event in events) == 3
