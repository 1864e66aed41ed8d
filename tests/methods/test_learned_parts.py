"""What methods learn beside the student: trained by the student's optimiser, each term heard, nothing left behind."""

from __future__ import annotations

import pytest

from kdcore.catalog import METHODS
from kdcore.engine import run
from kdcore.events import Finished, Gradients, Note
from kdcore.stage import Losses, Stage, set_stage
from kdcore.training import PhaseRun
from tests.schemes.test_who_moves import of_method

BELONGS = {"simkd"}
"""Methods whose learned part is a part of the student that is deployed."""


def staged(key: str) -> tuple[Stage, list[PhaseRun]]:
    """The stage, and the student's phases with this method, ready to run: its own stage too, where it has one."""
    stage = set_stage(of_method(key))
    phases = [phase for phase in stage.scheme.phases(stage.cast, Losses(stage)) if phase.name.startswith("student")]
    return stage, [PhaseRun(stage, phase) for phase in phases]


@pytest.mark.parametrize("key", sorted(METHODS))
def test_every_learned_number_is_in_an_optimiser_of_some_phase_and_no_teacher_s_is(key: str) -> None:
    stage, phases = staged(key)
    trained = {
        id(one) for running in phases for optimizer in running.optimizers.values()
        for group in optimizer.param_groups for one in group["params"]
    }  # fmt: skip
    for running in phases:
        for lesson in running.phase.turns[0].lessons:
            learned = [one for one in lesson.objective.parameters() if one.requires_grad]
            assert all(id(one) in trained for one in learned)
    assert not trained & {id(one) for one in stage.cast["teacher"].parameters()}


@pytest.mark.parametrize("key", sorted(METHODS))
def test_the_student_that_is_deployed_has_the_learned_parts_of_no_method_but_those_that_belong_to_it(key: str) -> None:
    stage, _ = staged(key)
    bare = set_stage(of_method(key)).cast["student"]
    ours, plain = stage.cast["student"].deployed().state_dict(), bare.deployed().state_dict()
    shapes = {name: one.shape for name, one in ours.items()}
    assert (shapes == {name: one.shape for name, one in plain.items()}) == (key not in BELONGS)


@pytest.mark.parametrize("key", sorted(METHODS))
def test_each_of_its_terms_gives_the_student_a_gradient_and_nothing_is_called_broken(key: str) -> None:
    """All but the terms by which a method's own parts learn."""
    events = list(run(of_method(key)))
    assert isinstance(events[-1], Finished), events[-1]
    heard: dict[str, float] = {}
    for event in events:
        if isinstance(event, Gradients) and event.learner == "student":
            for name, length in event.lengths.items():
                if name.startswith(f"{key}."):
                    heard[name] = max(length or 0.0, heard.get(name, 0.0))
    assert heard
    own = {f"{key}.{term}" for term in METHODS[key].own_terms}
    assert [name for name, length in heard.items() if not length > 0.0 and name not in own] == []
    assert [event.text for event in events if isinstance(event, Note) and "teaches nothing" in event.text] == []
