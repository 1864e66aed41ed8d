"""Data-free schemes: the student never reads a real picture, and what is made is judged honestly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from kdcore.answer import answer_from_bytes
from kdcore.answers.picture_grid import PictureGrid
from kdcore.data import Split
from kdcore.engine import run
from kdcore.events import Checkpoint, Event, Failed, Finished, PhaseStarted, Shown, Snapshot
from kdcore.generation import (
    Generator,
    Pool,
    channel_means,
    moved,
    norms_of,
    overheard,
    spread_of_classes,
    statistics_gap,
)  # fmt: skip
from kdcore.made_pictures import collapsed, spread, variety
from kdcore.recipe import Recipe
from kdcore.schemes.cmi import cropped, told_apart
from kdcore.schemes.deepinversion import divergence, roughness
from kdcore.schemes.dfad import distance
from kdcore.schemes.zskt import attention_gap
from kdcore.stage import Losses, Stage, set_stage
from kdcore.start import Start
from kdcore.training import PhaseRun

KEYS = ("cmi", "dafl", "deepinversion", "dfad", "zskt")
SMALL: dict[str, dict[str, object]] = {
    "cmi": {"pictures": 32, "rounds": 2, "steps": 1, "width": 4, "student_steps": 1},
    "dafl": {"made": 16, "width": 4, "generator_steps": 1, "student_steps": 1},
    "deepinversion": {"pictures": 32, "rounds": 2, "steps": 1, "student_steps": 1},
    "dfad": {"made": 16, "width": 4, "student_steps": 1},
    "zskt": {"made": 16, "width": 4, "student_steps": 1},
}


def recipe(key: str, **changes: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 160},
            "teacher": {"is": "plain", "width": 8, "stage_count": 2},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": "ce"}, {"is": "kd"}],
            "scheme": {"is": key, **SMALL[key]},
            "training": {"epochs": 2, "teacher_epochs": 1, "batch": 32},
            **changes,
        }
    )


class Forbidden(Split):
    """Real pictures that may be counted and not looked at, once `shut`."""

    shut = False

    def __getattribute__(self, name: str) -> object:
        if name in ("images", "labels", "truth", "index", "partner") and type(self).shut:
            raise AssertionError(f"a real picture was read: {name}")
        return super().__getattribute__(name)

    def __len__(self) -> int:
        return 160


@pytest.fixture
def guarded(request: pytest.FixtureRequest) -> Iterator[Stage]:
    stage = set_stage(recipe(request.param))
    real = stage.data.train
    barred = Forbidden(real.images, real.labels, real.truth, real.index)
    yield replace(stage, data=replace(stage.data, train=barred, teacher_train=barred))
    Forbidden.shut = False


@pytest.mark.parametrize("guarded", KEYS, indirect=True)
def test_once_the_teacher_is_trained_no_real_picture_is_read(guarded: Stage) -> None:
    for phase in guarded.scheme.phases(guarded.cast, Losses(guarded)):
        if phase.supply is None:
            assert phase.name in ("teacher", "baseline")
            continue
        Forbidden.shut = True
        running = PhaseRun(guarded, phase)
        assert running.split is None
        running.step()
        running.step()
        assert all(places is None for places in (one.places for one in running.step().values()))
        if phase.shows is not None:
            phase.shows()
        Forbidden.shut = False


@pytest.mark.parametrize("guarded", ["dafl"], indirect=True)
def test_the_guard_notices_whoever_reads(guarded: Stage) -> None:
    Forbidden.shut = True
    with pytest.raises(AssertionError, match="a real picture was read"):
        PhaseRun(guarded, next(iter(guarded.scheme.phases(guarded.cast, Losses(guarded))))).step()


@pytest.fixture(scope="module", params=KEYS)
def events(request: pytest.FixtureRequest) -> list[Event]:
    return list(run(recipe(request.param)))


def test_it_finishes_and_shows_made_pictures_with_what_the_teacher_sees(events: list[Event]) -> None:
    assert isinstance(events[-1], Finished), events[-1]
    shown = [answer_from_bytes(event.content) for event in events if isinstance(event, Shown)]
    assert len(shown) >= 2
    for one in shown:
        assert isinstance(one, PictureGrid)
        assert len(one.pictures) == len(one.names) == len(one.shares)
        assert ((one.shares > 0.0) & (one.shares <= 1.0)).all()
        assert any(letter.isdigit() for letter in one.says) or "has not learned yet" in one.says


def test_the_teacher_stays_as_it_is_once_it_is_trained(events: list[Event]) -> None:
    learners = [event.learners for event in events if isinstance(event, PhaseStarted)]
    assert learners[0] == ["teacher"]
    assert all("teacher" not in one for one in learners[1:])
    kept = [
        event.name for event in events if isinstance(event, Snapshot) and any("teacher/" in n for n in event.tensors)
    ]
    assert all(name.startswith("0-") for name in kept)


@pytest.mark.parametrize("key", KEYS)
def test_the_teacher_is_bit_identical_and_no_hook_is_left(key: str) -> None:
    stage = set_stage(recipe(key))
    teacher = stage.cast["teacher"]
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    for phase in stage.scheme.phases(stage.cast, Losses(stage)):
        if phase.supply is not None:
            running = PhaseRun(stage, phase)
            running.step()
            running.step()
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(not layer._forward_pre_hooks for layer in norms_of(teacher))


@pytest.mark.parametrize("key", ["zskt", "dfad"])
def test_a_student_that_is_searched_for_faults_still_learns_with_its_batch_s_statistics(key: str) -> None:
    stage = set_stage(recipe(key))
    phase = list(stage.scheme.phases(stage.cast, Losses(stage)))[-1]
    running = PhaseRun(stage, phase)
    layer = norms_of(stage.cast["student"])[0]
    for _ in range(3):
        running.step()
    assert int(layer.num_batches_tracked or 0) == 3


@pytest.mark.parametrize("key", ["cmi", "deepinversion"])
def test_a_teacher_without_batch_norm_is_refused(key: str) -> None:
    *_, last = run(recipe(key, teacher={"is": "mlp"}))
    assert isinstance(last, Failed)
    assert "this teacher has none" in last.reason


@pytest.mark.parametrize("key", KEYS)
def test_points_in_a_plane_are_refused(key: str) -> None:
    network = {"is": "mlp"}
    *_, last = run(recipe(key, data={"is": "toy2d"}, teacher=network, student=network))
    assert isinstance(last, Failed)
    assert "points in a plane" in last.reason


def test_without_the_batch_norm_term_any_teacher_will_do() -> None:
    plain = recipe("dfad", teacher={"is": "mlp"}, scheme={"is": "dfad", **SMALL["dfad"], "norms": 0.0})
    *_, last = run(plain)
    assert isinstance(last, Finished), last


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13), (1, 28, 28)])
def test_a_generator_makes_pictures_of_the_data_s_shape_mean_and_spread(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    made = Generator(6, shape, 4)(torch.randn(64, 6))
    assert made.shape == (64, *shape)
    assert torch.allclose(made.mean(dim=(0, 2, 3)), torch.zeros(shape[0]), atol=1e-5)
    assert torch.allclose(made.std(dim=(0, 2, 3)), torch.ones(shape[0]), atol=1e-2)


def test_the_batch_norm_term_is_zero_for_exactly_the_kept_statistics_and_else_above() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.BatchNorm2d(3)).eval()
    read = torch.randn(16, 3, 4, 4)
    network[0].running_mean.copy_(read.mean((0, 2, 3)))  # type: ignore[operator, union-attr]
    network[0].running_var.copy_(read.var((0, 2, 3), unbiased=False))  # type: ignore[operator, union-attr]
    with overheard(network) as heard:
        network(read)
    assert float(statistics_gap(heard)) == pytest.approx(0.0, abs=1e-5)
    with overheard(network) as heard:
        network(read + 1.0)
    assert float(statistics_gap(heard)) == pytest.approx(math.sqrt(3.0), rel=1e-4)
    assert torch.allclose(channel_means(heard), (read + 1.0).mean((2, 3)), atol=1e-5)


def test_hooks_are_taken_away_even_after_an_error() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3))
    with pytest.raises(ValueError, match="stop"), overheard(network):
        raise ValueError("stop")
    assert not network[0]._forward_pre_hooks


def test_the_class_term_is_least_where_classes_are_even() -> None:
    even = torch.eye(10).repeat(3, 1) * 50.0
    assert float(spread_of_classes(even)) == pytest.approx(-1.0, abs=1e-4)
    assert float(spread_of_classes(torch.zeros(4, 10))) == pytest.approx(-1.0, abs=1e-5)
    assert float(spread_of_classes(even[:1])) == pytest.approx(0.0, abs=1e-4)


def test_collapse_is_named() -> None:
    data = set_stage(recipe("dafl")).data
    pictures = torch.randn(40, 1, 8, 8)
    even, one = torch.eye(10).repeat(4, 1) * 20.0, torch.eye(10)[3].repeat(40, 1) * 20.0
    assert variety(pictures, even, data).startswith("The teacher's answers are spread as if over 10.0 of 10")
    assert "has collapsed: 100 % of the teacher's answers are 3" in variety(pictures, one, data)
    assert "almost the same" in variety(pictures[:1].repeat(40, 1, 1, 1), even, data)
    assert "one picture for each class" in variety(pictures[:10].repeat(4, 1, 1, 1), even, data)
    assert collapsed(pictures, even, torch.arange(40), data) == ""


LITTLE: dict[str, dict[str, object]] = {
    "cmi": {"pictures": 96, "rounds": 1, "width": 16, "student_steps": 2},
    "dafl": {"made": 32, "width": 16, "student_steps": 2},
    "deepinversion": {"pictures": 96, "rounds": 1, "student_steps": 2},
    "dfad": {"made": 32, "width": 16, "student_steps": 2},
    "zskt": {"made": 32, "width": 16, "student_steps": 2},
}


def said(key: str, **settings: object) -> list[str]:
    """What stands beside the made pictures over a small run whose teacher has learned something."""
    made = {"is": key, **LITTLE[key], "baseline": False, **settings}
    data = {"is": "digits", "train_size": 500}
    training = {"epochs": 3, "teacher_epochs": 10, "teacher_rate": 0.005, "batch": 32}
    events = list(run(recipe(key, scheme=made, data=data, training=training)))
    assert isinstance(events[-1], Finished), events[-1]
    return [answer_from_bytes(event.content).says for event in events if isinstance(event, Shown)]


@pytest.mark.parametrize("key", KEYS)
def test_a_healthy_run_is_never_called_collapsed(key: str) -> None:
    told = said(key)
    assert len(told) > 2
    assert not [one for one in told if "collapsed" in one]


@pytest.mark.parametrize(
    ("key", "settings", "words"),
    [
        # nothing wants even classes or real statistics, and the steps are far too long
        ("dafl", {"even": 0.0, "norms": 0.0, "rate": 10.0}, "The generator has collapsed"),
        ("zskt", {"norms": 0.0, "rate": 100.0}, "The generator has collapsed: its pictures are almost the same"),
        # only smooth and dark pictures are wanted
        ("deepinversion", {"smooth": 10.0, "small": 1.0, "norms": 0.0, "classes": 0.0, "rate": 30.0},
         "The search has collapsed: its pictures are almost the same"),
    ],
)  # fmt: skip
def test_a_run_that_collapses_is_named(key: str, settings: dict[str, object], words: str) -> None:
    told = said(key, **settings)
    assert "collapsed" not in told[0]  # nothing has been made yet
    assert told[-1].startswith(words)


def varied_within_classes(contrast: float) -> float:
    """By how many standard deviations of real pixels CMI's pictures of one class differ, when only classes are wanted
    and, with that weight, that a picture can be told from all the others."""
    made = {"is": "cmi", **LITTLE["cmi"], "pictures": 80, "norms": 0.0, "baseline": False, "contrast": contrast}
    training = {"epochs": 4, "teacher_epochs": 8, "teacher_rate": 0.005, "batch": 32}
    stage = set_stage(recipe("cmi", scheme=made, data={"is": "digits", "train_size": 400}, training=training))
    for number, phase in enumerate(stage.scheme.phases(stage.cast, Losses(stage))):
        if phase.name == "student":  # it begins with the pictures that were found
            assert phase.begins is not None
            phase.begins()
            pool = phase.keeps["pool"]
            assert isinstance(pool, Pool)
            return sum(spread(pool.pictures[pool.labels == one]) for one in range(10)) / 10
        torch.manual_seed(number)
        running = PhaseRun(stage, phase)
        for _ in range(running.steps):
            running.step()
    raise AssertionError("there is no student")


def test_contrast_keeps_the_pictures_of_a_class_apart() -> None:
    without, with_it = varied_within_classes(0.0), varied_within_classes(0.8)
    assert with_it > 1.15 * without, (without, with_it)  # four seeds: 1.17 to 1.44 times


def test_the_pool_keeps_copies() -> None:
    pool = Pool(4, set_stage(recipe("cmi")).data)
    found = torch.ones(2, 1, 8, 8)
    pool.fill(2, found)
    found.zero_()
    assert float(pool.pictures[2:].min()) == 1.0
    drawn = pool.draw(8, 2, torch.Generator().manual_seed(0), shift=0)
    assert drawn.images.shape[0] == 2
    assert float(drawn.images.max()) == 0.0
    assert (drawn.labels == -1).all()


def test_moving_loses_no_pixel() -> None:
    pictures = torch.randn(2, 1, 8, 8)
    there = moved(pictures, 2, torch.Generator().manual_seed(1))
    assert torch.equal(there.flatten(1).sort().values, pictures.flatten(1).sort().values)
    assert moved(pictures, 0, torch.Generator()) is pictures


def test_the_divergence_lies_between_nothing_and_one_bit() -> None:
    same, other = torch.tensor([[90.0, 0.0]]), torch.tensor([[0.0, 90.0]])
    assert float(divergence(same, same, 3.0)) == pytest.approx(0.0, abs=1e-6)
    assert float(divergence(same, other, 3.0)) == pytest.approx(1.0, abs=1e-4)


def test_a_flat_picture_is_smooth() -> None:
    assert float(roughness(torch.ones(1, 1, 5, 5))) == 0.0
    edge = torch.zeros(1, 1, 2, 2)
    edge[..., 0] = 1.0
    assert float(roughness(edge)) == pytest.approx(math.sqrt(2.0) + 2.0)


def test_a_crop_lies_inside_its_picture_and_keeps_its_slope() -> None:
    slope = torch.linspace(0.0, 1.0, 8).expand(6, 1, 8, 8)
    found = cropped(slope, torch.Generator().manual_seed(0))
    assert found.shape == slope.shape
    assert float(found.min()) >= 0.0
    assert float(found.max()) <= 1.0
    steps: Tensor = found[..., 4] - found[..., 3]
    assert ((steps >= 0.49 / 7) & (steps <= 1.001 / 7)).all()


def test_a_picture_is_found_where_it_is_like_itself_alone() -> None:
    rows = torch.eye(4)
    assert float(told_apart(rows[:2], rows, 0.1).max()) < 0.001
    assert float(told_apart(rows[:2], torch.cat([rows[:2], rows[:2]]), 0.1).mean()) == pytest.approx(
        math.log(2), abs=1e-3
    )


def test_distances_vanish_where_both_say_the_same() -> None:
    logits = torch.randn(5, 3)
    assert float(distance(logits, logits).max()) == 0.0
    assert torch.allclose(distance(logits, logits + 2.0), torch.full((5,), 2.0))
    stage = set_stage(recipe("zskt"))
    seen = stage.cast["teacher"].look(stage.data.train.images[:3])
    assert torch.equal(attention_gap(seen, seen), torch.zeros(3))


@pytest.mark.parametrize("key", KEYS)
def test_interrupted_in_any_phase_it_goes_on_bit_for_bit(key: str) -> None:
    long = recipe(
        key, training={"epochs": 8 if key in ("cmi", "deepinversion") else 2, "teacher_epochs": 1, "batch": 64}
    )
    straight = list(run(long, checkpoint_every=0.0))
    last = [event for event in straight if isinstance(event, Snapshot)][-1].tensors
    made = {event.phase: event for event in straight if isinstance(event, Checkpoint) and event.phase > 1}
    assert set(made) == {event.phase for event in straight if isinstance(event, PhaseStarted) and event.phase > 1}
    for kept in made.values():
        resumed = run(long, start=Start(kept.phase, kept.tensors, step=kept.step))
        found = [event for event in resumed if isinstance(event, Snapshot)][-1].tensors
        assert found.keys() == last.keys()
        assert all(torch.equal(value, found[name]) for name, value in last.items()), (kept.phase, kept.step)
