"""In every phase of every scheme, and beside every method, whoever does not learn stays as it was, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from kdcore.catalog import METHODS, SCHEMES
from kdcore.recipe import Part, Pick, Recipe
from kdcore.scheme import Phase
from kdcore.stage import Losses, Stage, seeded, set_stage
from kdcore.training import PhaseRun
from tests.test_going_on import TINY, with_method


def of_scheme(key: str) -> Recipe:
    recipe = with_method("fitnet") if key == "feature_only" else TINY
    if "methods" in SCHEMES[key].example and key != "feature_only":
        recipe = replace(recipe, methods=Recipe.from_json({"methods": SCHEMES[key].example["methods"]}).methods)
    return replace(recipe, scheme=Pick(key)).with_setting("training.epochs", 2)


def of_method(key: str) -> Recipe:
    recipe = with_method(key).with_setting("training.epochs", 2)
    if "own_stage" in METHODS[key].knobs:
        own = Part(Pick(key, {"own_stage": 0.5}))
        recipe = replace(recipe, methods=(Part(Pick("kd")), own))
    return replace(recipe, teacher=recipe.student) if key == "weight_distance" else recipe


def resting(stage: Stage, phase: Phase) -> dict[str, Tensor]:
    """Every number of the cast that this phase has no business with, as it is now.

    Weights that a learner shares with another role move with the learner; running statistics are each role's own.
    """
    learners = {turn.learner for turn in phase.turns if turn.only != "parts"} | set(phase.moving)
    moving = {id(one) for role in learners & set(stage.cast) for one in stage.cast[role].parameters()}
    found = {}
    for role, network in stage.cast.items():
        if role in learners:
            continue
        parameters = dict(network.named_parameters())
        found |= {f"{role}: {name}": one.detach() for name, one in parameters.items() if id(one) not in moving}
        found |= {f"{role}: {name}": one for name, one in network.named_buffers()}
    return found


def check(recipe: Recipe) -> set[str]:
    """Trains all phases and looks after each; the roles that have stood still in some phase."""
    stage = set_stage(recipe)
    stood: set[str] = set()
    for number, phase in enumerate(stage.scheme.phases(stage.cast, Losses(stage))):
        torch.manual_seed(seeded(recipe, f"phase {number}"))
        running = PhaseRun(stage, phase)  # what `begins` changes (a copy that is taken) is changed here
        before = {name: one.clone() for name, one in resting(stage, phase).items()}
        for _ in range(running.steps):
            running.step()
        if phase.shows is not None:
            phase.shows()
        moved = [name for name, one in resting(stage, phase).items() if not torch.equal(one, before[name])]
        assert not moved, f"{moved[:4]} moved in the phase {phase.name!r}"
        stood |= {name.partition(":")[0] for name in before}
    return stood


@pytest.mark.parametrize("key", sorted(SCHEMES))
def test_nothing_outside_the_stage_moves_in_any_phase_of_a_scheme(key: str) -> None:
    assert check(of_scheme(key)) or len(set_stage(of_scheme(key)).cast) == 1


@pytest.mark.parametrize("key", sorted(METHODS))
def test_the_teacher_is_bit_identical_after_a_training_with_any_method(key: str) -> None:
    assert "teacher" in check(of_method(key))
