"""Whatever layers a scheme puts into its student, the saved student has them and answers as the run's does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from kdcore.engine import run
from kdcore.events import Finished
from kdcore.export import CARD, ExportError, load_student, save_student
from kdcore.recipe import Recipe
from kdcore.revive import revive
from kdcore.run import Run
from kdcore.runs import Shelf
from kdcore.schemes.from_teacher import DERIVATIONS

SCHEMES: dict[str, dict[str, Any]] = {
    **{
        derivation: {"is": "from_teacher", "derivation": derivation, "random": False}
        for derivation in sorted(DERIVATIONS)
    },
    "icarl": {"is": "icarl", "tasks": 2, "memory": 20, "joint": False, "rehearsal": False},
    "ucir": {"is": "ucir", "tasks": 2, "memory": 20, "joint": False, "rehearsal": False},
    "podnet": {"is": "podnet", "tasks": 2, "memory": 20, "joint": False, "rehearsal": False},
    "dna_block": {"is": "dna_block"},
    "oracle_search": {"is": "oracle_search", "teachers": 2, "tries": 2},
    "apprentice": {"is": "apprentice", "bits": 2, "precise": False},
    "qkd": {"is": "qkd", "bits": 2},
    "byot": {"is": "byot"},
    "one": {"is": "one", "branches": 2},
}


def trained(shelf: Shelf, settings: dict[str, Any], *more: dict[str, Any]) -> Run:
    recipe = Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 160},
            "teacher": {"is": "plain", "width": 6, "stage_count": 2, "depth": 2},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": "ce"}, {"is": "kd"}, *more],
            "scheme": {**settings, "baseline": False},
            "training": {"epochs": 2, "teacher_epochs": 2, "batch": 32, "snapshot_every": 0},
        }
    )
    found, _ = shelf.create(recipe)
    for event in run(recipe):
        found.append(event)
    assert isinstance(event, Finished), event
    return found


def card_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / CARD).read_text())


def answers_alike(one: Run, folder: Path) -> bool:
    revived = revive(one, one.history().snapshots[-1].name)
    images = revived.data.test.images
    expected = revived.networks["student"](images)
    found = load_student(folder).logits(revived.data.pixels(images))
    return bool(expected.std(dim=0).max() > 0.0) and torch.allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assembly")
    save_student(trained(Shelf(folder / "runs"), SCHEMES["dna_block"]), folder / "out")
    return folder / "out"


@pytest.mark.parametrize("name", list(SCHEMES))
def test_a_saved_student_answers_as_the_run_s_does(name: str, tmp_path: Path) -> None:
    done = trained(Shelf(tmp_path / "runs"), SCHEMES[name])
    save_student(done, tmp_path / "out")
    assert answers_alike(done, tmp_path / "out")


def test_layers_of_a_scheme_s_own_are_said_in_the_card_and_others_by_the_network_s_knobs(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "runs")
    for name, own in (("lowrank", True), ("narrow", False), ("byot", False), ("icarl", True)):
        save_student(trained(shelf, SCHEMES[name]), tmp_path / name)
        assert ("made_by_scheme" in card_of(tmp_path / name)) == own, name


def test_a_factorised_student_with_its_teacher_s_classifier_is_saved_with_both(tmp_path: Path) -> None:
    done = trained(Shelf(tmp_path / "runs"), SCHEMES["lowrank"], {"is": "simkd"})
    save_student(done, tmp_path / "out")
    assert {"made_by_scheme", "teacher_head"} <= card_of(tmp_path / "out").keys()
    assert answers_alike(done, tmp_path / "out")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (3, "lacks network"),
        ({"scheme": 3}, "scheme=3 is no table"),
        ({"scheme": {"is": "os"}}, "'os' is no scheme"),
        ({"scheme": {"is": "dna_block", "room": 9.0}}, "room"),
        ({"role": "headmaster"}, "role='headmaster'"),
        ({"student": {"is": "plain", "width": -2}}, "width"),
        ({"choice": [0.5, 0.5]}, "choice="),
        ({"choice": [99, 99]}, "there are not so many"),
        ({"choice": [0]}, "choice="),
    ],
)
def test_a_card_that_does_not_say_how_the_layers_are_made_is_refused(
    assembly: Path, wrong: object, said: str, tmp_path: Path
) -> None:
    card = card_of(assembly)
    card["made_by_scheme"] = {**card["made_by_scheme"], **wrong} if isinstance(wrong, dict) else wrong
    (tmp_path / CARD).write_text(json.dumps(card))
    with pytest.raises(ExportError, match=said):
        load_student(tmp_path)
