"""A student cut out of its teacher: it begins with the teacher's weights, its twins do not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kdcore.answer import answer_from_bytes
from kdcore.answers.bars import Bars
from kdcore.beginnings import laid_on
from kdcore.engine import run
from kdcore.events import Event, Failed, Finished, Shown, Snapshot, Started
from kdcore.foretelling import foretell
from kdcore.preview import Foretold
from kdcore.recipe import Recipe
from kdcore.rehearsal import rehearse
from kdcore.runs import Shelf
from kdcore.schemes.from_teacher import COMPARED, DERIVATIONS, FromTeacher
from kdcore.worker import Answers
from tests.test_foundation import taken, written


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


def cut(derivation: str, **knobs: object) -> Recipe:
    """A recipe whose student is made so; its other networks are left out, which the teacher does not notice."""
    plain = {"is": "from_teacher", "derivation": derivation, "random": False, "baseline": False}
    return recipe(derivation, scheme={**plain, **knobs})


def errors(found: Foretold) -> dict[str, float]:
    (picture,) = found.answers
    assert isinstance(picture, Bars)
    return dict(zip(picture.categories, picture.series["student"].tolist(), strict=True))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """A shelf on which one run has trained the teacher."""
    found = Shelf(tmp_path_factory.mktemp("runs"))
    written(found, cut("lowrank"))
    return found


@pytest.mark.parametrize("key", sorted(DERIVATIONS))
def test_what_is_foretold_with_a_teacher_of_another_run_is_what_the_run_then_finds(key: str, shelf: Shelf) -> None:
    wanted = cut(key, ratio=0.4)
    found = Foretold.from_json(foretell(wanted, laid_on(shelf)).to_json())
    events = list(run(wanted))
    first, begun = [one for one in told(events) if one.title.startswith("How far each")], told(events)
    assert errors(found) == dict(zip(first[0].categories, first[0].series["student"].tolist(), strict=True))
    assert first[0].series["student"].tolist() == first[-1].series["student"].tolist()
    started = events[0]
    assert isinstance(started, Started)
    for role in ("student", "teacher"):
        assert f"{started.roles[role]['parameters']:,}" in found.says
        assert f"{started.roles[role]['macs']:,}" in found.says
    assert int(started.data["validation"]) <= COMPARED
    right = next(one for one in begun if one.categories == ["right after the cut", "now"])
    assert f"right for {100 * right.series['student'][0]:.0f} % of {started.data['validation']}" in found.says
    assert f"the teacher for {100 * right.reference:.0f} %" in found.says
    assert ("stored too" in found.says) == (key == "pruned")


def test_the_more_of_each_layer_is_kept_the_less_it_is_off(shelf: Shelf) -> None:
    each = [errors(foretell(cut("lowrank", ratio=ratio), laid_on(shelf))) for ratio in (0.1, 0.3, 0.5, 0.8)]
    layers = set.intersection(*map(set, each)) - {"the answers"}
    assert layers
    for name in layers:
        values = [one[name] for one in each]
        assert values == sorted(values, reverse=True)
        assert values[0] > values[-1]


def test_without_the_teacher_sizes_are_foretold_and_for_what_it_waits(shelf: Shelf, tmp_path: Path) -> None:
    bare = Shelf(tmp_path)
    found = foretell(cut("lowrank"), laid_on(bare))
    assert found.answers == []
    assert "parameters" in found.says
    assert "right for" not in found.says
    (key,) = found.waits
    assert bare.laid(key) is None
    assert shelf.laid(key) is not None
    assert not foretell(cut("lowrank"), laid_on(shelf)).waits
    for change in ({"seed": 1}, {"teacher": {"is": "plain", "width": 6, "stage_count": 2, "depth": 2}}):
        assert foretell(Recipe.from_json({**cut("lowrank").to_json(), **change}), laid_on(shelf)).answers == []


def test_the_worker_is_asked_for_it(shelf: Shelf) -> None:
    told = Answers(shelf).answer({"do": "foretell", "recipe": cut("narrow").to_json()})
    assert errors(Foretold.from_json(told)) == errors(foretell(cut("narrow"), laid_on(shelf)))


def test_any_scheme_s_teacher_will_do_and_other_schemes_have_nothing_to_foretell(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    plain = recipe("lowrank", scheme={"is": "offline"})
    assert foretell(plain, laid_on(shelf)) == Foretold()
    written(shelf, plain)
    assert foretell(cut("narrow"), laid_on(shelf)).answers


def test_the_teacher_is_trained_once_for_all_ratios(shelf: Shelf) -> None:
    other = written(shelf, cut("lowrank", ratio=0.2))
    assert taken(other) == ["teacher"]
    *_, last = run(cut("lowrank", ratio=0.2))
    assert isinstance(last, Finished)
    assert other.history().results == last.results


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
