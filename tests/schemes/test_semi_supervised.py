"""Teachers that label what has no label: unlabelled transfer and noisy students."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kdcore.answer import answer_from_bytes
from kdcore.answers.bars import Bars
from kdcore.engine import run
from kdcore.events import Finished, PhaseStarted, Shown
from kdcore.network import Network
from kdcore.pseudo_labels import balanced, pseudo_labelled, sure, unlabelled
from kdcore.recipe import Recipe
from kdcore.stage import Losses, set_stage
from kdcore.training import PhaseRun


def recipe(key: str, *, labelled: float = 0.1, **settings: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 240, "labelled": labelled},
            "teacher": {"is": "plain", "width": 8, "stage_count": 2},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": "ce"}, {"is": "kd"}],
            "scheme": {"is": key, **settings},
            "training": {"epochs": 2, "teacher_epochs": 4, "batch": 32},
        }
    )


def staged(key: str, **settings: object):  # type: ignore[no-untyped-def]
    stage = set_stage(recipe(key, **settings))  # type: ignore[arg-type]
    return stage, {phase.name: phase for phase in stage.scheme.phases(stage.cast, Losses(stage))}


def test_the_teacher_knows_no_more_labels_than_the_student() -> None:
    _, phases = staged("unlabeled_transfer")
    assert phases["teacher"].pictures == "student"


@pytest.mark.parametrize("answers", ["soft", "hard"])
def test_no_true_label_is_used_on_the_transferred_pictures(answers: str) -> None:
    stage, phases = staged("unlabeled_transfer", answers=answers)
    split = phases["student"].split()
    assert (stage.data.train.labels[torch.isin(stage.data.train.index, split.index)] == -1).all()
    if answers == "soft":
        assert (split.labels == -1).all()
        taken = PhaseRun(stage, phases["student"]).step()["student"]
        assert taken.raw[0] == 0.0  # cross-entropy contributes nothing there
        assert taken.raw[1] > 0.0
    else:
        said = stage.cast["teacher"].eval()(split.images).argmax(dim=1)
        assert torch.equal(split.labels, said)


def test_with_all_pictures_the_labelled_ones_keep_their_labels_and_none_stands_twice() -> None:
    stage, phases = staged("unlabeled_transfer", answers="hard", transfer="all")
    split = phases["student"].split()
    assert len(split.index.unique()) == len(split) == len(stage.data.train)
    known = stage.data.train.of((stage.data.train.labels >= 0).nonzero().flatten())
    kept = dict(zip(split.index.tolist(), split.labels.tolist(), strict=True))
    assert all(kept[index] == label for index, label in zip(known.index.tolist(), known.labels.tolist(), strict=True))


def test_with_every_label_known_all_pictures_count_as_unlabelled() -> None:
    stage, _ = staged("unlabeled_transfer", labelled=1.0)
    assert len(unlabelled(stage.data.train)) == len(stage.data.train)


def test_of_a_teacher_that_is_never_so_sure_the_surest_tenth_is_kept() -> None:
    stage, _ = staged("unlabeled_transfer")
    free = unlabelled(stage.data.train)
    likely = Says()(stage.data.train.images[free]).softmax(dim=1).max(dim=1).values
    rows, _ = sure(Says(), stage.data.train, 0.9999999)
    assert len(rows) == len(free) // 10
    assert set(rows.tolist()) == set(free[likely.topk(len(free) // 10).indices].tolist())


class Says(Network):
    """Says what the first pixels say."""

    def build(self, shape: tuple[int, ...], classes: int) -> None: ...

    def look(self, images: Tensor):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :10]


def test_only_pictures_of_which_the_teacher_is_sure_are_labelled() -> None:
    stage, _ = staged("unlabeled_transfer")
    rows, said = sure(Says(), stage.data.train, 0.3)
    free = unlabelled(stage.data.train)
    likely = Says()(stage.data.train.images[free]).softmax(dim=1).max(dim=1).values
    assert torch.equal(rows, free[likely >= 0.3])
    assert torch.equal(pseudo_labelled(Says(), stage.data.train, 0.3).labels, said)


def test_the_pseudo_labelled_set_is_balanced() -> None:
    said = torch.tensor([0] * 9 + [1] * 4 + [2])
    rows = balanced(torch.arange(14), said, 4)
    assert torch.bincount(said[rows], minlength=4).tolist() == [4, 4, 4, 0]
    assert set(rows[8:].tolist()) == {13}


def test_the_teacher_looks_at_clean_pictures_and_the_student_at_disturbed_ones() -> None:
    stage, phases = staged("noisy_student", rounds=1, noise=1.0)
    looked: dict[str, list[Tensor]] = {"baseline": [], "student": []}
    for role, found in looked.items():
        network, plain = stage.cast[role], stage.cast[role].look

        def look(images: Tensor, plain=plain, found=found):  # type: ignore[no-untyped-def]
            found.append(images)
            return plain(images)

        network.look = look  # type: ignore[method-assign]
    running = PhaseRun(stage, phases["student"])
    clean = {tuple(row.flatten().tolist()) for images in looked["baseline"] for row in images}
    assert {tuple(row.flatten().tolist()) for row in running.split.images} <= clean  # type: ignore[union-attr]
    looked["student"].clear()
    running.step()
    assert looked["student"]
    assert not {tuple(row.flatten().tolist()) for images in looked["student"] for row in images} & clean


def test_each_generation_says_what_its_labels_are_worth() -> None:
    events = list(run(recipe("noisy_student", rounds=2)))
    assert isinstance(events[-1], Finished), events[-1]
    assert [event.name for event in events if isinstance(event, PhaseStarted)] == [
        "baseline",
        "generation 1",
        "student",
    ]
    shown = [answer_from_bytes(event.content) for event in events if isinstance(event, Shown)]
    assert shown
    assert all(
        isinstance(one, Bars) and 0.0 <= value <= 1.0 for one in shown for v in one.series.values() for value in v
    )  # type: ignore[attr-defined]
