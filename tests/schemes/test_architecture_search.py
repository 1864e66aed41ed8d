"""Blocks learn apart and the best fitting ones are put together; of several students the best one goes on."""

from __future__ import annotations

import itertools

import pytest
import torch

from kdcore.blocks import Assembly, best
from kdcore.engine import run
from kdcore.events import Failed, Finished
from kdcore.network import parameters_of
from kdcore.recipe import Pick, Recipe, RecipeError
from kdcore.schemes.oracle_search import one_of, variants
from kdcore.stage import Losses, set_stage
from kdcore.training import PhaseRun


def recipe(key: str, **settings: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 160},
            "teacher": {"is": "plain", "width": 6, "stage_count": 3},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": "kd"}, {"is": "fitnet"}],
            "scheme": {"is": key, **settings},
            "training": {"epochs": 2, "teacher_epochs": 1, "batch": 32},
        }
    )


def staged(key: str, **settings: object):  # type: ignore[no-untyped-def]
    stage = set_stage(recipe(key, **settings))
    return stage, {phase.name: phase for phase in stage.scheme.phases(stage.cast, Losses(stage))}


def test_no_gradient_crosses_a_stage() -> None:
    stage, _ = staged("dna_block")
    student = stage.cast["student"]
    assert isinstance(student, Assembly)
    seen = stage.cast["teacher"].look(stage.data.train.images[:8]).detach()
    student.block(1, 0, seen.maps[0]).sum().backward()
    touched = {name.split(".")[1] for name, one in student.named_parameters() if one.grad is not None}
    assert touched == {"1"}


def test_the_stem_learns_with_the_first_stage_and_the_teacher_stays() -> None:
    stage, found = staged("dna_block")
    stem = stage.cast["student"].stem[0][0].weight.clone()
    teacher = [one.clone() for one in stage.cast["teacher"].state_dict().values()]
    PhaseRun(stage, found["blocks"]).step()
    assert not torch.equal(stem, stage.cast["student"].stem[0][0].weight)
    assert all(torch.equal(*pair) for pair in zip(teacher, stage.cast["teacher"].state_dict().values(), strict=True))


@pytest.mark.parametrize("budget", [60, 100, 500])
def test_the_chosen_blocks_are_the_best_that_fit(budget: int) -> None:
    losses, sizes = [[0.3, 0.2, 0.1], [0.5, 0.45, 0.1], [0.2, 0.1, 0.05]], [[10, 30, 90], [20, 25, 95], [15, 30, 60]]
    way = best(losses, sizes, budget)
    for other in itertools.product(range(3), repeat=3):
        if sum(sizes[stage][kind] for stage, kind in enumerate(other)) <= budget:
            assert sum(losses[stage][kind] for stage, kind in enumerate(way)) <= sum(
                losses[stage][kind] for stage, kind in enumerate(other)
            )
    assert sum(sizes[stage][kind] for stage, kind in enumerate(way)) <= budget


def test_a_budget_that_nothing_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="no assembly has 10 parameters"):
        best([[0.1, 0.2]], [[20, 30]], 10)


@pytest.mark.parametrize(("room", "measure"), [(0.0, min), (1.0, max)])
def test_room_goes_from_the_smallest_assembly_to_the_largest(room: float, measure) -> None:  # type: ignore[no-untyped-def]
    stage, found = staged("dna_block", room=room)
    PhaseRun(stage, found["student"])
    student = stage.cast["student"]
    limit = sum(measure(one) for one in student.sizes())
    standing = sum(parameters_of(block) for block in student.standing())
    assert standing == limit if room == 0.0 else standing <= limit
    assert parameters_of(student.deployed()) < parameters_of(student)


def test_the_student_alone_is_the_same_assembly_from_its_start() -> None:
    stage, found = staged("dna_block")
    for one, other in zip(stage.cast["student"].parameters(), stage.cast["baseline"].parameters(), strict=True):
        assert torch.equal(one, other)
    PhaseRun(stage, found["blocks"]).step()
    PhaseRun(stage, found["baseline"])
    PhaseRun(stage, found["student"])
    assert torch.equal(stage.cast["student"].choice, stage.cast["baseline"].choice)


def test_a_teacher_without_stages_is_refused() -> None:
    *_, last = run(recipe("dna_block").with_setting("teacher", "mlp"))
    assert isinstance(last, Failed)
    assert "2 or more stages" in last.reason


def test_the_best_of_the_tried_students_goes_on_with_its_weights() -> None:
    from tests.schemes.test_every_scheme import Kept, revive

    asked = recipe("oracle_search", tries=3)
    events = list(run(asked))
    assert isinstance(events[-1], Finished), events[-1]
    kept = Kept(asked, events)
    names = [one.name for one in kept.history().snapshots if "student" in one.roles]
    first = revive(kept, names[0]).networks
    chosen = one_of(first["student"])
    tried = first[f"try {int(chosen.choice) + 1}"]
    for name, value in tried.state_dict().items():
        assert torch.equal(value, chosen.standing().state_dict()[name])
    assert int(one_of(first["baseline"]).choice) == int(chosen.choice)


def test_sizes_that_are_tried_differ_and_start_with_the_students_own() -> None:
    found = variants(Pick("plain", {"width": 4, "stage_count": 2, "depth": 1}), 5)
    assert found[0].settings == {"width": 4, "stage_count": 2, "depth": 1}
    assert len({str(one.settings) for one in found}) == 5
    with pytest.raises(RecipeError, match="no width or depth"):
        variants(Pick("mobile", {"width": 0.5}), 3)
