"""The plain loop and the lab's learn the same thing, and the benchmark says what it measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kdcore.benchmark import CASES, ORDERS, begun, case, ratios, rows_of, whole, with_teacher
from kdcore.benchmark_table import markdown
from kdcore.commands import main
from kdcore.machine import Watch
from kdcore.plain_loop import PlainLoop
from kdcore.recipe import Recipe, RecipeError
from kdcore.scaling import against_batch, against_layers, against_pictures
from kdcore.scoring import score
from kdcore.speed import FAST, SLOW
from kdcore.stage import Stage

SMALL = {
    "data": {"is": "digits", "train_size": 300},
    "teacher": {"is": "plain", "width": 4, "stage_count": 2},
    "student": {"is": "plain", "width": 4, "stage_count": 2},
    "methods": [{"is": "ce"}, {"is": "kd", "weight": 0.7, "temperature": 3.0}],
    "scheme": {"is": "offline", "baseline": False},
    "training": {"epochs": 2, "teacher_epochs": 1, "batch": 32},
}


@pytest.fixture(scope="module")
def stage() -> Stage:
    return with_teacher(Recipe.from_json({**Recipe().to_json(), **SMALL}))


def test_on_the_same_batches_both_have_the_same_losses(stage: Stage) -> None:
    lab, plain = begun(stage), PlainLoop(stage)
    taken = lab.step()["student"]
    places = taken.places
    assert places is not None
    train = stage.data.train
    loss = plain.learn(train.images[places], train.labels[places])
    assert loss == pytest.approx(float(taken.loss), rel=1e-5)
    second = lab.step()["student"]
    places = second.places
    assert places is not None
    assert plain.learn(train.images[places], train.labels[places]) == pytest.approx(float(second.loss), rel=2e-2)


def test_pictures_from_files_are_those_of_the_data_within_a_grey_level(stage: Stage) -> None:
    plain = PlainLoop(stage)
    images, labels, told = next(plain._batches)
    assert told is None
    train = stage.data.train
    step = float(1 / 255 / stage.data.std.min())
    for image, label in zip(images[:8], labels[:8], strict=True):
        apart = (train.images - image).abs().flatten(1).max(dim=1).values
        assert float(apart.min()) < step
        assert label in train.labels[apart < step]


def test_a_cached_teacher_tells_the_plain_loop_what_it_would_see(stage: Stage) -> None:
    looks, cached = (PlainLoop(stage, batches="resident", teacher=teacher) for teacher in ("looks", "cached"))
    for _ in range(3):
        looks.step()
        cached.step()
        assert cached.metrics[0] == pytest.approx(looks.metrics[0], rel=1e-4)


def with_views(stage: Stage, views: int) -> Stage:
    return replace(stage, data=replace(stage.data, augmentation="shift", views=views))


def test_with_views_too(stage: Stage) -> None:
    shown = with_views(stage, 2)
    looks, cached = (PlainLoop(shown, batches="resident", teacher=teacher) for teacher in ("looks", "cached"))
    for _ in range(4 * looks.epoch_steps):
        looks.step()
        cached.step()
        assert cached.metrics[0] == pytest.approx(looks.metrics[0], rel=1e-3)


def test_of_pictures_that_always_change_no_plain_loop_caches_its_teacher(stage: Stage) -> None:
    with pytest.raises(RecipeError, match="views=0"):
        PlainLoop(with_views(stage, 0), batches="resident", teacher="cached")


@pytest.mark.parametrize("views", [0, 2])
def test_rows_say_truly_whether_the_teacher_looks(stage: Stage, views: int) -> None:
    rows = rows_of(with_views(stage, views))
    assert any(not row.looks for row in rows) is (views > 0)
    for row in rows:
        running = row.begin()
        teacher = running.teacher if isinstance(running, PlainLoop) else running.stage.cast["teacher"]
        running.step()  # a memory's first batch is held against a look
        looks: list[int] = []
        hook = teacher.register_forward_hook(lambda *_, looks=looks: looks.append(1))
        look = getattr(teacher, "look", None)
        if look is not None:
            teacher.look = lambda images, look=look, looks=looks: (looks.append(1), look(images))[1]
        running.step()
        hook.remove()
        assert bool(looks) is row.looks, row.name


def test_every_switch_leaves_the_losses_as_they_were(stage: Stage) -> None:
    fast, slow = begun(stage, speed=FAST), begun(stage, speed=SLOW)
    assert "teacher" in fast.memories
    assert not slow.memories
    for _ in range(4):
        one, other = (float(running.step()["student"].loss) for running in (fast, slow))
        assert one == pytest.approx(other, rel=1e-3)


def test_lean_steps_change_no_bit(stage: Stage) -> None:
    fast, slow = begun(stage), begun(stage, speed=replace(FAST, lean=False))
    for _ in range(12):
        assert torch.equal(fast.step()["student"].loss, slow.step()["student"].loss)
    for one, other in zip(fast.stage.cast["student"].state_dict().values(),
                          slow.stage.cast["student"].state_dict().values(), strict=True):  # fmt: skip
        assert torch.equal(one, other)


def test_what_was_put_to_eval_between_two_steps_trains_again(stage: Stage) -> None:
    running = begun(stage)
    running.step()
    network = running.stage.cast["student"]
    network.eval()
    running.step()
    assert all(module.training for module in network.modules())


def test_both_learn_the_digits_alike() -> None:
    settings = {**Recipe().to_json(), **SMALL, "data": {"is": "digits"}, "student": {"is": "mlp"}}
    stage = with_teacher(Recipe.from_json({**settings, "training": {"epochs": 6, "teacher_epochs": 2}}))
    lab, plain = begun(stage), PlainLoop(stage, batches="resident")
    for running in (lab, plain):
        for _ in range(running.steps):
            running.step()
    test = stage.data.test
    ours, theirs = (
        score(network, test.images, test, classes=10).accuracy for network in (lab.stage.cast["student"], plain.student)
    )
    assert ours > 0.85
    assert abs(ours - theirs) < 0.06


def test_the_plain_loop_refuses_methods_that_it_does_not_know(stage: Stage) -> None:
    other = replace(stage, recipe=Recipe.from_json({**stage.recipe.to_json(), "methods": [{"is": "fitnet"}]}))
    with pytest.raises(RecipeError, match="fitnet"):
        PlainLoop(other)


def test_the_command_keeps_valid_json_and_a_page(tmp_path: Path) -> None:
    sets = [
        "data.train_size=300",
        "teacher.width=4",
        "student.width=8",
        "training.epochs=1",
        "training.teacher_epochs=1",
    ]
    kept, page = tmp_path / "found.json", tmp_path / "page.md"
    changes = [word for one in sets for word in ("--set", one)]
    code = main(["benchmark", "digits", "--pairs", "1", "--block", "0.01", "--no-scaling",
                 "--json", str(kept), "--to", str(page), *changes])  # fmt: skip
    assert code == 0
    found = json.loads(kept.read_text(encoding="utf-8"))
    digits = found["cases"]["digits"]
    assert digits["rows"][0]["times"]["median"] == 1.0
    assert all(0.0 < row["share_of_peak"] < 1.0 for row in digits["rows"])
    assert digits["peak"]["gflops"] > 0.1
    assert len(digits["whole"]["lab"]["test_accuracy"]) == ORDERS
    assert all(0.0 < one <= 1.0 for one in digits["whole"]["lab"]["test_accuracy"])
    assert digits["memory"]["lab"] > 0
    assert found["machine"]["torch"] == torch.__version__
    assert page.read_text(encoding="utf-8") == markdown(found)
    assert "| public loop | 64 |" in markdown(found)


def test_both_loops_lower_their_rate_alike() -> None:
    settings = {**Recipe().to_json(), **SMALL, "training": {"epochs": 3, "teacher_epochs": 1}}
    stage = with_teacher(Recipe.from_json(settings))
    plain, ours = PlainLoop(stage), begun(stage, batch=PlainLoop(stage).batch)
    assert plain.steps == ours.steps > 2
    for _ in range(plain.steps):
        plain.step()
        ours.step()
        rates = {group["lr"] for loop in (plain.optimizer, *ours.optimizers.values()) for group in loop.param_groups}
        assert max(rates) == pytest.approx(min(rates))


def test_views_stand_beside_another_view_in_every_epoch() -> None:
    settings = {
        **Recipe().to_json(),
        **SMALL,
        "data": {"is": "digits", "train_size": 300, "augmentation": "shift", "views": 1},
    }
    stage = with_teacher(Recipe.from_json({**settings, "training": {"epochs": 4, "teacher_epochs": 1}}))
    found = whole(stage, Watch(stage.device), orders=2)
    assert found["endless"]["steps"] == found["lab"]["steps"] > 0
    for name in ("public", "lab", "endless"):
        assert found[name]["times"] == ratios(found[name]["seconds"], found["lab"]["seconds"])
        assert len(set(found[name]["seconds"])) == 2, "each order is trained anew"


def test_settings_of_the_command_that_cannot_be_end_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--pairs", "0"]) == 2
    assert main(["benchmark", "blobz"]) != 0
    assert "blobz" in capsys.readouterr().err


def test_curves_say_their_line() -> None:
    for curve in (against_pictures((200, 300)), against_batch((16, 32)), against_layers((0, 1))):
        for x, y in zip(curve["x"], curve["y"], strict=True):
            assert y == pytest.approx(curve["start"] + curve["slope"] * x)  # two points lie on their line
            assert y > 0


def test_every_case_is_a_recipe_without_the_student_alone() -> None:
    for name in CASES:
        assert case(name).scheme.settings == {"baseline": False}


def test_ratios_are_taken_pair_by_pair() -> None:
    assert ratios([2.0, 9.0, 8.0], [1.0, 3.0, 2.0]) == {"median": 3.0, "low": 2.0, "high": 4.0}
