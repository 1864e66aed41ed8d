"""A student that wears its teacher's classifier keeps it: in every snapshot, when it is revived, and when exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from kdcore.engine import run
from kdcore.export import CARD, ExportError, load_student, save_student
from kdcore.methods.simkd import WithTeacherHead
from kdcore.networks.plain import Plain
from kdcore.recipe import Recipe
from kdcore.revive import revive
from kdcore.run import Run
from kdcore.runs import Shelf

RECIPE = Recipe.from_json(
    {
        "data": {"is": "digits", "train_size": 200},
        "teacher": {"is": "plain", "width": 6, "stage_count": 2},
        "student": {"is": "plain", "width": 3, "stage_count": 2},
        "methods": [{"is": "ig_kd", "chance": 0.3, "steps": 4}, {"is": "simkd"}],
        "scheme": {"is": "offline", "baseline": False},
        "training": {"epochs": 2, "teacher_epochs": 2, "batch": 64},
    }
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    found, _ = Shelf(tmp_path_factory.mktemp("runs")).create(RECIPE)
    for event in run(RECIPE):
        found.append(event)
    assert found.history().outcome == "finished"
    return found


def test_the_classifier_is_the_trained_teachers_in_the_revived_run(trained: Run) -> None:
    revived = revive(trained, trained.history().snapshots[-1].name)
    student, teacher = revived.networks["student"].deployed(), revived.networks["teacher"]
    assert isinstance(student, WithTeacherHead)
    assert isinstance(teacher, Plain)
    assert torch.equal(student.head.weight, teacher.head.weight)
    assert torch.equal(student.head.bias, teacher.head.bias)


def test_what_is_exported_says_what_the_run_says(trained: Run, tmp_path: Path) -> None:
    save_student(trained, tmp_path)
    student = load_student(tmp_path)
    assert isinstance(student.network, WithTeacherHead)
    assert isinstance(student.network.base, Plain), "what only training needed is left behind"
    revived = revive(trained, trained.history().snapshots[-1].name)
    images = revived.data.test.images
    pixels = images * student.std + student.mean
    torch.testing.assert_close(student.logits(pixels), revived.networks["student"](images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wrong", [None, {"inputs": 3}, {"inputs": -1, "outputs": 2, "classes": 2, "squeeze": 1}])
def test_a_card_that_does_not_say_how_the_classifier_is_made_is_refused(
    wrong: object, trained: Run, tmp_path: Path
) -> None:
    save_student(trained, tmp_path)
    card = json.loads((tmp_path / CARD).read_text())
    card["teacher_head"] = wrong
    (tmp_path / CARD).write_text(json.dumps(card))
    with pytest.raises(ExportError, match="teacher_head="):
        load_student(tmp_path)
