"""A student cut out of its teacher: it begins with the teacher's weights, its twins do not."""

from __future__ import annotations

import pytest
import torch

from kdcore.answer import answer_from_bytes
from kdcore.answers.bars import Bars
from kdcore.engine import rehearse, run
from kdcore.events import Event, Failed, Finished, Shown, Snapshot, Started
from kdcore.recipe import Recipe
from kdcore.schemes.from_teacher import DERIVATIONS, FromTeacher


def recipe(derivation: str, **changes: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 200},
            "teacher": {"is": "plain", "width": 8, "stage_count": 2, "depth": 2},
            "student": {"is": "plain", "width": 6, "stage_count": 2},
            "methods": [{"is": "ce"}, {"is": "kd"}],
            "scheme": {"is": "from_teacher", "derivation": derivation},
            "training": {"epochs": 1, "teacher_epochs": 6, "batch": 32},
            **changes,
        }
    )


def told(events: list[Event]) -> list[Bars]:
    found = [answer_from_bytes(event.content) for event in events if isinstance(event, Shown)]
    assert all(isinstance(one, Bars) for one in found)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("key", sorted(DERIVATIONS))
def test_every_derivation_goes_all_the_way_and_its_knobs_are_the_scheme_s(key: str) -> None:
    assert set(DERIVATIONS[key].knobs) <= set(FromTeacher.knobs)
    events = list(run(recipe(key)))
    assert isinstance(events[-1], Finished), events[-1]
    started = events[0]
    assert isinstance(started, Started)
    sizes = {role: found["parameters"] for role, found in started.roles.items()}
    assert sizes["student"] == sizes["random"] == sizes["baseline"]
    assert (sizes["student"] == sizes["teacher"]) == (key == "pruned")
    last = told(events)[-1]
    assert last.categories == ["right after the cut", "now"]
    results = events[-1].results
    assert last.reference == pytest.approx(results["teacher"]["validation_accuracy"], abs=1e-6)
    assert last.series["student"][1] == pytest.approx(results["student"]["validation_accuracy"], abs=1e-6)


def test_the_student_begins_with_the_teacher_s_weights_and_its_twins_at_random() -> None:
    events = list(run(recipe("lowrank", scheme={"is": "from_teacher", "derivation": "lowrank", "ratio": 1.0})))
    first = {role: next(e for e in events if isinstance(e, Snapshot) and e.roles == [role])
             for role in ("student", "random", "baseline")}  # fmt: skip
    trained = [e for e in events if isinstance(e, Snapshot) and e.roles == ["teacher"]][-1].tensors
    name = "head.weight"
    assert torch.equal(first["student"].tensors[f"role/student/{name}"], trained[f"role/teacher/{name}"])
    twins = [first[role].tensors[f"role/{role}/{name}"] for role in ("random", "baseline")]
    assert torch.equal(*twins)
    assert not torch.equal(twins[0], trained[f"role/teacher/{name}"])


def test_the_preview_knows_the_student_s_size_before_anything_is_trained() -> None:
    wanted = recipe("depthwise_separable")
    found = rehearse(wanted)
    assert not found.faults, found.faults
    started = next(iter(run(wanted)))
    assert isinstance(started, Started)
    for role, said in found.roles.items():
        assert said["parameters"] == started.roles[role]["parameters"]
        assert said["macs"] == started.roles[role]["macs"]
    assert found.roles["student"]["parameters"] < found.roles["teacher"]["parameters"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scheme": {"is": "from_teacher", "derivation": "weight_inherit"}, "student": {"is": "mlp"}}, "the same kind"),
        ({"scheme": {"is": "from_teacher", "derivation": "weight_inherit"},
          "student": {"is": "plain", "width": 20, "stage_count": 2}}, "more than the teacher's 8"),
        ({"scheme": {"is": "from_teacher", "derivation": "compact_filters"}, "teacher": {"is": "mlp"}}, "no layer"),
        ({"scheme": {"is": "from_teacher", "derivation": "shallow"}, "teacher": {"is": "mlp"}}, "no blocks"),
        ({"scheme": {"is": "from_teacher", "derivation": "narrow"}, "teacher": {"is": "vit"}}, "no width"),
        ({"scheme": {"is": "from_teacher", "derivation": "shallow"},
          "teacher": {"is": "wide_resnet", "blocks": 2}}, "no part of it"),
    ],
)  # fmt: skip
def test_a_teacher_that_cannot_be_cut_so_is_refused_before_it_is_trained(
    changes: dict[str, object], words: str
) -> None:
    events = list(run(recipe("lowrank", **changes)))
    assert isinstance(events[-1], Failed), events[-1]
    assert words in events[-1].reason
    assert not [event for event in events if isinstance(event, Snapshot)]
