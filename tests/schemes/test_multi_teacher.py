"""Several teachers: their averages, their weights, what each of them saw, and the enlarged transfer set."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kdcore.answer import answer_from_bytes
from kdcore.answers.matrix import Matrix
from kdcore.engine import run
from kdcore.ensembles import (
    WAYS,
    agreed_weights,
    average_kl,
    certainty_weights,
    confidence_weights,
    each_kl,
    slopes,
)
from kdcore.events import Failed, Finished, PhaseStarted, Shown
from kdcore.recipe import Recipe
from kdcore.response import soft_kl
from kdcore.stage import Losses, set_stage
from kdcore.transfer_set import enlarged, munge
from tests.methods.fixture import ZS, ZT, Y, fx

ZT2, ZT3 = 4 * fx((4, 5), 1.3, 0.2), 4 * fx((4, 5), 1.7, 0.6)
THREE = torch.stack([ZT, ZT2, ZT3])


def recipe(key: str, **changes: object) -> Recipe:
    knobs = {name: changes.pop(name) for name in list(changes) if name not in ("data", "teacher", "student")}
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 200},
            "teacher": {"is": "plain", "width": 8, "stage_count": 2},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [],
            "scheme": {"is": key, **knobs},
            "training": {"epochs": 2, "teacher_epochs": 2, "batch": 32},
            **changes,
        }
    )


def staged(key: str, **changes: object):  # type: ignore[no-untyped-def]
    stage = set_stage(recipe(key, **changes))
    return stage, list(stage.scheme.phases(stage.cast, Losses(stage)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_teachers_that_say_the_same_are_one_teacher(way: str, temperature: float) -> None:
    same = torch.stack([ZT, ZT, ZT])
    assert torch.allclose(average_kl(ZS, same, temperature, way), soft_kl(ZS, ZT, temperature))


def test_the_average_by_probability_and_by_loss_have_the_same_gradient() -> None:
    def gradient(way: str) -> Tensor:
        student = ZS.clone().requires_grad_()
        (found,) = torch.autograd.grad(average_kl(student, THREE, 4.0, way).mean(), student)
        return found

    assert torch.allclose(gradient("probability"), gradient("loss"))
    assert not torch.allclose(gradient("probability"), gradient("logit"))


def test_the_distance_to_the_average_is_at_most_the_average_distance() -> None:
    assert (average_kl(ZS, THREE, 4.0, "probability") <= average_kl(ZS, THREE, 4.0, "loss")).all()


def test_weights_by_certainty_sum_to_one_less_than_there_are_teachers() -> None:
    assert certainty_weights(THREE).sum(dim=0).tolist() == pytest.approx([2.0] * 4)  # the golden ebkd_w_sum_per_sample
    nobody_in_doubt = torch.tensor([[[1e4, 0.0]], [[0.0, 1e4]]])
    assert certainty_weights(nobody_in_doubt).flatten().tolist() == pytest.approx([0.5, 0.5])


def test_whoever_is_sure_weighs_more_and_equals_weigh_alike() -> None:
    sharp, flat = torch.tensor([[5.0, 0.0, 0.0]]), torch.tensor([[0.1, 0.0, 0.0]])
    weights = certainty_weights(torch.stack([sharp, flat]))
    assert weights[0, 0] > weights[1, 0]
    assert torch.allclose(certainty_weights(torch.stack([ZT, ZT])), torch.full((2, 4), 0.5, dtype=ZT.dtype))


def test_weights_by_confidence_are_positive_sum_to_one_and_are_even_for_equals() -> None:
    weights = confidence_weights(THREE, Y)
    assert (weights > 0).all()
    assert weights.sum(dim=0).tolist() == pytest.approx([1.0] * 4)
    assert confidence_weights(torch.stack([ZT, ZT, ZT]), Y).flatten().tolist() == pytest.approx([1 / 3] * 12)


def test_without_a_label_confidence_is_even() -> None:
    weights = confidence_weights(THREE, torch.tensor([-1, 0, -1, 2]))
    assert weights[:, 0].tolist() == pytest.approx([1 / 3] * 3)
    assert weights[:, 1].tolist() != pytest.approx([1 / 3] * 3)


def test_agreed_weights_make_the_shortest_sum_of_pulls() -> None:
    pulls = slopes(ZS, THREE, 1.0)
    weights = agreed_weights(pulls, 1.0)
    assert float(weights.sum()) == pytest.approx(1.0)
    assert float(weights.min()) >= 0.0

    def length(mix: Tensor) -> float:
        return float((mix.view(-1, 1, 1) * pulls).sum(dim=0).square().sum())

    best = length(weights)
    steps = torch.linspace(0, 1, 21, dtype=torch.float64)
    grid = [torch.stack([a, b, 1 - a - b]) for a in steps for b in steps if a + b <= 1 + 1e-9]
    assert best <= min(length(mix) for mix in grid) + 1e-6


def test_no_teacher_weighs_more_than_the_ceiling_and_opposites_cancel() -> None:
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[-3.0, 0.0]])
    assert agreed_weights(torch.stack([one, other]), 1.0).tolist() == pytest.approx([0.75, 0.25], abs=1e-4)
    assert agreed_weights(torch.stack([one, other]), 0.6).tolist() == pytest.approx([0.6, 0.4], abs=1e-4)
    with pytest.raises(ValueError, match="could not sum to 1"):
        agreed_weights(torch.stack([one, other]), 0.4)


@pytest.mark.parametrize("key", ["mt_average", "ebkd", "ca_mkd", "ae_kd", "ensemble_compression"])
def test_it_finishes_where_most_labels_are_withheld_and_shows_its_pictures(key: str) -> None:
    data = {"is": "digits", "train_size": 200, "labelled": 0.1}
    events = list(run(recipe(key, data=data)))
    assert isinstance(events[-1], Finished), events[-1]
    shown = [answer_from_bytes(event.content) for event in events if isinstance(event, Shown)]
    assert shown
    knows = next(one for one in shown if one.title == "What each teacher knows")
    assert isinstance(knows, Matrix)
    assert knows.columns == ["teacher", "teacher 2", "teacher 3", "together"]
    weights = [one for one in shown if one.title == "How much each teacher counts"]
    if key in ("ebkd", "ca_mkd", "ae_kd"):
        for answer in weights:
            assert isinstance(answer, Matrix)
            for values in answer.panels.values():
                assert values.sum(axis=1) == pytest.approx(1.0, abs=1e-4)
        assert weights


def test_teachers_of_different_sizes_grow_smaller() -> None:
    stage, _ = staged("mt_average", differ="size", teachers=4)
    widths = [
        stage.castings[name].network.settings["width"] for name in ("teacher", "teacher 2", "teacher 3", "teacher 4")
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0]


def test_teachers_see_only_their_classes_and_together_all() -> None:
    _, phases = staged("ebkd", differ="classes", share=0.5)
    seen = [set(phase.split().truth.unique().tolist()) for phase in phases[:3]]  # type: ignore[misc]
    assert [len(classes) for classes in seen] == [5, 5, 5]
    assert set().union(*seen) == set(range(10))
    assert len({frozenset(classes) for classes in seen}) == 3


def test_teachers_see_their_share_of_the_pictures() -> None:
    stage, phases = staged("ebkd", differ="pictures", share=0.4)
    rows = [set(phase.split().index.tolist()) for phase in phases[:3]]  # type: ignore[misc]
    assert all(len(one) == round(0.4 * len(stage.data.teacher_train)) for one in rows)
    assert rows[0] != rows[1]


def test_only_the_last_teacher_hears_wrong_labels() -> None:
    _, phases = staged("ebkd", differ="seed", weak=0.9)
    assert phases[0].split is None
    assert phases[1].split is None
    spoiled = phases[2].split()  # type: ignore[misc]
    wrong = float((spoiled.labels != spoiled.truth).float().mean())
    assert 0.6 < wrong < 0.95


def test_a_teacher_without_a_linear_classifier_is_refused_for_features() -> None:
    shapes = {"is": "shapes", "train_size": 100}
    for teacher in ("mlp", "plain"):
        events = list(run(recipe("ca_mkd", teacher={"is": teacher}, data=shapes, teachers=2)))
        last = events[-1]
        assert isinstance(last, Finished) or (isinstance(last, Failed) and "no linear classifier" in last.reason)


def test_munge_leaves_rows_alone_without_a_chance_and_keeps_to_the_data_s_spread() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(60, 2, generator=generator)
    assert torch.equal(munge(rows, swap=0.0, spread=1.0, generator=generator), rows)
    made = munge(rows, swap=1.0, spread=1e9, generator=generator)  # swaps alone: every number is one that was there
    assert torch.isin(made[:, 0], rows[:, 0]).all()
    assert not torch.equal(made, rows)


@pytest.mark.parametrize("by", ["munge", "disturbed"])
def test_made_pictures_have_no_label_and_places_of_their_own(by: str) -> None:
    stage, _ = staged("ensemble_compression")
    split = stage.data.train
    made = enlarged(split, by=by, times=2, swap=0.5, spread=1.0, seed=3)
    assert len(made) == 3 * len(split)
    assert (made.labels[len(split) :] == -1).all()
    assert len(made.index.unique()) == len(made)
    assert torch.equal(made.images[: len(split)], split.images)
    again = enlarged(split, by=by, times=2, swap=0.5, spread=1.0, seed=3)
    assert torch.equal(made.images, again.images)


def test_the_compressed_student_takes_as_many_steps_as_the_student_alone() -> None:
    long = recipe("ensemble_compression", times=1).with_setting("training.epochs", 4)
    phases = {event.name: event for event in run(long) if isinstance(event, PhaseStarted)}
    assert abs(phases["student"].steps - phases["baseline"].steps) <= phases["student"].steps // 10 + 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("prob_kl_T4", 2.765801177), ("logit_kl_T4", 3.025314865), ("loss_kl_T4", 4.674653227),
     ("prob_then_temper_kl_T4", 2.456668327), ("prob_kl_T1", 1.560174696)],
)  # fmt: skip
def test_the_averages_are_the_goldens(name: str, value: float) -> None:
    ways = {"prob": "probability", "logit": "logit", "loss": "loss", "prob_then_temper": "probability, then softened"}
    way, _, temperature = name.rpartition("_kl_T")
    assert average_kl(ZS, THREE, float(temperature), ways[way]).mean().item() == pytest.approx(value, rel=1e-7)


def test_confidence_is_the_golden() -> None:
    weights = confidence_weights(THREE, Y)
    assert weights[:, 0].tolist() == pytest.approx([0.3730501058, 0.2023441812, 0.424605713], rel=1e-7)
    kd = (weights * each_kl(ZS, THREE, 4.0)).sum(dim=0).mean().item()
    assert kd == pytest.approx(4.290412556, rel=1e-7)
    assert kd / 3 == pytest.approx(1.430137519, rel=1e-7)  # what the authors' code makes of it
