"""Lifelong schemes: tuning on one task after another forgets, and each of them forgets less, for its own reason."""

from __future__ import annotations

import math
from functools import cache

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.answer import answer_from_bytes
from kdcore.answers.matrix import Matrix
from kdcore.cosine import CosineClassifier, WithCosines
from kdcore.engine import run
from kdcore.events import Event, Failed, Finished, PhaseStarted, Shown, Snapshot
from kdcore.exemplars import NearestMeans, Remembering, herded
from kdcore.methods.ce import CrossEntropy
from kdcore.methods.kd import SoftTargets
from kdcore.objective import Objective, Share
from kdcore.pairing import Pairing
from kdcore.recipe import Recipe
from kdcore.scheme_table import example
from kdcore.schemes.icarl import sigmoid_distance
from kdcore.schemes.podnet import leading, pooled_distance
from kdcore.schemes.ucir import lead
from kdcore.stage import Losses, Stage, set_stage
from kdcore.tasks import NOT_YET, OfClasses, Record, drawn
from kdcore.training import PhaseRun
from kdcore.vocabulary import Batch, Seen

ZS, ZT = (
    scale * torch.sin(slope * torch.arange(20, dtype=torch.float64) + start).reshape(4, 5)
    for scale, slope, start in ((3, 0.7, 0.1), (4, 0.9, 0.5))
)
"""The logits that the golden numbers were computed from."""
KEYS = ("hsu_incremental", "icarl", "lwf", "podnet", "ucir")
HERDING = ("icarl", "podnet", "ucir")


def recipe(key: str, data: dict[str, object] | None = None, methods: tuple[str, ...] = ("ce", "kd"),
           epochs: int = 2, **settings: object) -> Recipe:  # fmt: skip
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 300, **(data or {})},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": name} for name in methods],
            "scheme": {"is": key, "tasks": 3, "joint": False, **settings},
            "training": {"epochs": epochs, "batch": 32},
        }
    )


@cache
def told(key: str) -> tuple[Event, ...]:
    return tuple(run(recipe(key)))


@cache
def shown(key: str) -> tuple[Event, ...]:
    """The scheme's own example, on all digits, without its twins."""
    found = example(key).with_setting("scheme.joint", False).with_setting("scheme.rehearsal", False)
    return tuple(run(found.with_setting("training.snapshot_every", 0)))


def reason(found: Recipe) -> str:
    *_, last = run(found)
    assert isinstance(last, Failed), last
    return last.reason


def results(events: tuple[Event, ...]) -> dict[str, float]:
    last = events[-1]
    assert isinstance(last, Finished), last
    return {role: result["test_accuracy"] for role, result in last.results.items()}


def last_picture(events: tuple[Event, ...]) -> Matrix:
    answer = answer_from_bytes([event for event in events if isinstance(event, Shown)][-1].content)
    assert isinstance(answer, Matrix)
    return answer


def role_at(events: tuple[Event, ...], phase: str, role: str, *, last: bool) -> dict[str, Tensor]:
    number = next(event.phase for event in events if isinstance(event, PhaseStarted) and event.name == phase)
    taken = [event for event in events if isinstance(event, Snapshot) and event.phase == number][-1 if last else 0]
    return {name: value for name, value in taken.tensors.items() if name.startswith(f"role/{role}/")}


def same(one: dict[str, Tensor], other: dict[str, Tensor], *, but: str = "stands") -> bool:
    plain = [
        {name.split("/", 2)[2]: value for name, value in found.items() if not name.endswith(but)}
        for found in (one, other)
    ]
    assert plain[0]
    return all(torch.equal(value, plain[1][name]) for name, value in plain[0].items())


@pytest.mark.parametrize("key", KEYS)
def test_tuning_alone_forgets_and_the_scheme_forgets_less(key: str) -> None:
    events = shown(key)
    tests, picture = results(events), last_picture(events)
    alone, student = picture.panels["student alone"], picture.panels["student"]
    assert alone[0, 0] > 0.8
    assert alone[-1, 0] < 0.25, "the first task is all but gone"
    assert student[-1, 0] > alone[-1, 0] + 0.2
    assert tests["student"] > tests["baseline"] + 0.08, tests


@pytest.mark.parametrize("key", KEYS)
def test_the_copy_from_before_is_the_student_at_the_end_of_the_task_before_and_stays_so(key: str) -> None:
    events = told(key)
    for task in (2, 3):
        begun, ended = (role_at(events, f"student {task}", "before", last=last) for last in (False, True))
        assert same(begun, ended, but="/")
        weights = role_at(events, f"student {task - 1}", "student", last=True)
        grown = {name: value for name, value in begun.items() if not name.endswith("exemplars")}
        learned = {name: value for name, value in weights.items() if not name.endswith("exemplars")}
        assert same(grown, learned)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_every_class_comes_in_one_task_and_the_seed_says_in_which(count: int) -> None:
    def groups(seed: int) -> tuple[tuple[int, ...], ...]:
        return drawn(Losses(set_stage(recipe("lwf").replace(seed=seed))), count).groups

    assert sorted(label for group in groups(0) for label in group) == list(range(10))
    sizes = [len(group) for group in groups(0)]
    assert max(sizes) - min(sizes) <= 1
    assert groups(0) == groups(0)
    assert groups(0) != groups(1)


def test_more_tasks_than_classes_are_refused() -> None:
    found = reason(recipe("lwf", {"is": "toy2d"}, tasks=9).with_setting("student", "mlp"))
    assert "scheme.tasks: tasks=9 leaves tasks without a class" in found


def test_a_task_without_pictures_is_refused() -> None:
    assert "has no training picture" in reason(recipe("lwf", {"hidden_class": 3}, tasks=10))


@pytest.mark.parametrize("key", KEYS)
def test_a_memory_smaller_than_the_number_of_classes_is_refused(key: str) -> None:
    found = reason(recipe(key, memory=7))
    assert "memory=7 has no picture for each of 10 classes" in found or "memory=7 lies outside [10, " in found


def test_in_a_task_there_are_its_own_pictures_and_those_kept() -> None:
    stage = set_stage(recipe("hsu_incremental", memory=40))
    tasks = drawn(Losses(stage), 3)
    for phase in stage.scheme.phases(stage.cast, Losses(stage)):
        task = int(phase.name[-1]) - 1
        split = PhaseRun(stage, phase).split
        assert split is not None
        old = torch.isin(split.labels, torch.tensor(tasks.old(task), dtype=torch.long))
        new = torch.isin(split.labels, torch.tensor(tasks.groups[task]))
        assert bool((old | new).all())
        assert int(new.sum()) == len(tasks.rows(stage.data.train, task))
        if phase.name.startswith("baseline") or not task:
            assert not bool(old.any())
        else:
            each = torch.bincount(split.labels[old], minlength=10)[tasks.old(task)]
            assert each.tolist() == [40 // len(tasks.old(task))] * len(each)


@pytest.mark.parametrize("key", HERDING)
def test_the_memory_is_bounded_even_and_of_the_right_classes(key: str) -> None:
    stage = set_stage(recipe(key, memory=40))
    tasks, train = drawn(Losses(stage), 3), stage.data.train
    network = stage.cast["student"]
    assert isinstance(network, Remembering)
    for task in range(3):
        before = network.exemplars.clone()
        network.remember(train, tasks, task, 40)
        for label in range(10):
            rows = network.kept([label])
            assert len(rows) == (40 // len(tasks.seen(task)) if label in tasks.seen(task) else 0)
            assert bool((train.labels[rows] == label).all())
            assert len(set(rows.tolist())) == len(rows)
            if label in tasks.old(task):  # of old ones the best stay
                assert torch.equal(rows, before[label][: len(rows)])
        assert len(network.kept(list(range(10)))) <= 40


def test_herding_takes_each_time_what_brings_the_mean_closest() -> None:
    torch.manual_seed(0)
    features = F.normalize(torch.randn(30, 5, dtype=torch.float64), dim=1)
    mean, chosen = features.mean(dim=0), []
    for _ in range(6):  # written out slowly
        best = min(
            (row for row in range(30) if row not in chosen),
            key=lambda row: float((features[[*chosen, row]].mean(dim=0) - mean).norm()),
        )
        chosen.append(best)
    assert herded(features, 6).tolist() == chosen
    assert sorted(herded(features, 99).tolist()) == list(range(30))


def test_the_nearest_mean_of_what_is_kept_names_a_picture() -> None:
    stage = set_stage(recipe("icarl", memory=40))
    tasks, train = drawn(Losses(stage), 3), stage.data.train
    network = stage.cast["student"].eval()
    assert isinstance(network, NearestMeans)
    network.remember(train, tasks, 0, 40)
    images = stage.data.validation.images
    features = F.normalize(network.base.look(images).embedding, dim=1)
    known = list(tasks.groups[0])
    means = torch.stack([
        F.normalize(F.normalize(network.base.look(train.images[network.kept([label])]).embedding, dim=1).mean(0), dim=0)
        for label in known
    ])  # fmt: skip
    nearest = torch.tensor(known)[torch.cdist(features, means).argmin(dim=1)]
    assert torch.equal(network(images).argmax(dim=1), nearest)
    assert len(set(nearest.tolist())) > 1
    network.train()
    torch.testing.assert_close(network(images[:8]), network.base(images[:8]), atol=1e-5, rtol=1e-5)


def test_icarl_s_means_are_those_of_its_last_weights() -> None:
    """What is scored at the end belongs to the network as it is then, not as it was an epoch before."""
    stage = set_stage(recipe("icarl"))
    phase = next(one for one in stage.scheme.phases(stage.cast, Losses(stage)) if one.name == "student 1")
    running = PhaseRun(stage, phase)
    for _ in range(running.steps):
        running.step()
    network = stage.cast["student"].eval()
    assert isinstance(network, NearestMeans)
    old = network.means.clone()
    network.remember(stage.data.train, drawn(Losses(stage), 3), 0, 100)
    torch.testing.assert_close(network.means, old)
    assert bool(network.has.any())


def first_steps(key: str, **settings: object) -> tuple[Stage, PhaseRun, list[int], list[int]]:
    """The student's second task, about to begin."""
    stage = set_stage(recipe(key, **settings))
    tasks = drawn(Losses(stage), 3)
    for phase in stage.scheme.phases(stage.cast, Losses(stage)):
        running = PhaseRun(stage, phase)
        running.step()
        if phase.name == "student 2":
            return stage, running, tasks.old(1), list(tasks.groups[1])
    raise AssertionError


@pytest.mark.parametrize(("key", "term"), [("lwf", "old answers"), ("icarl", "old answers")])
def test_old_answers_pull_on_old_classes_alone(key: str, term: str) -> None:
    stage, running, old, new = first_steps(key)
    turn = running.phase.turns[0]
    assert turn.own is not None
    epoch, places = running._draw()[False]
    stage.cast["student"].train()
    moment = running._moment("student", epoch, places, {}, 0)
    network = stage.cast["student"]
    head = (network.base if isinstance(network, Remembering) else network).head  # type: ignore[union-attr]
    assert isinstance(head, nn.Linear)
    (slope,) = torch.autograd.grad(turn.own(moment)[term].mean(), head.weight)
    assert float(slope[old].abs().max()) > 0
    assert float(slope[new].abs().max()) == 0
    unseen = [label for label in range(10) if label not in old + new]
    assert float(slope[unseen].abs().max()) == 0


def test_without_strength_it_is_plain_tuning_bit_for_bit() -> None:
    events = tuple(run(recipe("lwf", strength=0.0)))
    for task in (1, 2, 3):
        ours, theirs = (role_at(events, f"{role} {task}", role, last=True) for role in ("student", "baseline"))
        assert same(ours, theirs)
    assert not same(role_at(told("lwf"), "student 3", "student", last=True), ours)


def nothing(*methods: tuple[str, nn.Module]) -> Objective:
    shares = [Share(name, 1.0, Pairing((), "")) for name, _ in methods]
    return Objective([method for _, method in methods], shares)  # type: ignore[misc]


def test_a_lesson_of_some_classes_is_the_lesson_on_their_logits() -> None:
    chosen = [3, 0, 4]
    restricted = OfClasses(nothing(("kd", SoftTargets()), ("ce", CrossEntropy())), chosen, 5)
    student, teacher = (Seen(logits, (), (), logits) for logits in (ZS, ZT))
    labels = torch.tensor([0, 1, 4, -1])
    found = restricted(student, teacher, Batch(torch.zeros(4, 1), labels, torch.arange(4)))
    small = [Seen(logits[:, chosen], (), (), logits) for logits in (ZS, ZT)]
    plain = nothing(("kd", SoftTargets()), ("ce", CrossEntropy()))
    there = Batch(torch.zeros(4, 1), torch.tensor([1, -1, 2, -1]), torch.arange(4))  # 1 is not among them
    wanted = plain(*small, there)
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        torch.testing.assert_close(found[name], values)


def test_yes_and_no_answers_are_the_golden() -> None:
    assert float(sigmoid_distance(ZS, ZT).mean()) == pytest.approx(1.395416393, rel=1e-8)


def test_pooled_layers_see_sums_along_sides_and_no_more() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(3, 2, 4, 5, dtype=torch.float64), torch.randn(3, 2, 4, 5, dtype=torch.float64)
    wanted = []
    for a, b in zip(one, other, strict=True):  # written out slowly
        sides = []
        for features in (a, b):
            squared = features.float().square()
            both = torch.cat([squared.sum(dim=2).flatten(), squared.sum(dim=1).flatten()])
            sides.append(both / both.norm())
        wanted.append(float((sides[0] - sides[1]).norm()))
    assert pooled_distance([one], [other]).tolist() == pytest.approx(wanted, rel=1e-5)
    assert pooled_distance([one, one], [one, other]).tolist() == pytest.approx([half / 2 for half in wanted], rel=1e-4)
    assert float(pooled_distance([one], [3 * one]).max()) < 1e-4
    corners = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[None, None]
    assert float(pooled_distance([corners], [corners.flip(3)])) < 1e-4, "both corners swapped: sums stay"


def test_the_own_class_is_asked_to_lead_all_others_together() -> None:
    cosines = torch.tensor([[0.9, -0.9, -0.9], [0.2, 0.3, -0.1]])
    found = leading(cosines, torch.tensor([0, 1]), torch.tensor(8.0), 0.6)
    assert float(found[0]) == 0.0
    wanted = math.log(math.exp(1.6) + math.exp(-0.8)) - 8 * (0.3 - 0.6)
    assert float(found[1]) == pytest.approx(wanted, rel=1e-5)
    alone = torch.full((2, 1), 0.1, requires_grad=True)
    leading(alone, torch.tensor([0, 0]), torch.tensor(8.0), 0.6).sum().backward()
    assert alone.grad is not None
    assert torch.equal(alone.grad, torch.zeros(2, 1)), "a single class leads by itself"


def test_only_old_pictures_are_asked_to_lead_and_only_over_the_nearest_new_classes() -> None:
    cosines = torch.tensor([[0.5, 0.0, 0.4, 0.1, -0.9], [0.0, 0.9, 0.8, 0.7, 0.6]])
    found = lead(cosines, torch.tensor([0, 3]), [0, 1], [2, 3, 4], 2, 0.5)
    assert found.mean().item() == pytest.approx((0.5 - 0.5 + 0.4) + (0.5 - 0.5 + 0.1), rel=1e-5)
    assert float(found[1]) == 0.0
    assert lead(cosines, torch.tensor([2, 3]), [0, 1], [2, 3, 4], 2, 0.5).tolist() == [0.0, 0.0]


def test_angles_see_no_lengths() -> None:
    torch.manual_seed(0)
    head, features = CosineClassifier(6, 4, proxies=3, scale=8.0), torch.randn(5, 6)
    before = head(features)
    with torch.no_grad():
        head.weight[1] *= 7.0
    torch.testing.assert_close(head(3.0 * features), before)
    assert float(head.cosines(features).detach().abs().max()) <= 1.0


def test_features_of_a_cosine_classifier_may_be_negative() -> None:
    stage = set_stage(recipe("ucir"))
    network = stage.cast["student"]
    assert isinstance(network, WithCosines)
    assert network.signed
    assert float(network.eval().look(stage.data.train.images[:50]).embedding.detach().min()) < 0


def test_forgetting_is_the_best_past_less_the_present() -> None:
    record = Record(3)
    record.note(0, torch.tensor([0.9, NOT_YET, NOT_YET]), 0.9)
    assert record.forgetting() == 0.0
    record.note(1, torch.tensor([0.5, 0.8, NOT_YET]), 0.65)
    record.note(2, torch.tensor([0.6, 0.2, 1.0]), 0.6)
    assert record.forgetting() == pytest.approx(((0.9 - 0.6) + (0.8 - 0.2)) / 2)
    assert record.average() == pytest.approx((0.9 + 0.65 + 0.6) / 3)
    assert record.with_row(1, torch.tensor([0.7, 0.8, NOT_YET]), 0.75).done() == 2


@pytest.mark.parametrize("key", KEYS)
def test_the_picture_grows_task_by_task(key: str) -> None:
    events = told(key)
    names = {event.phase: event.name for event in events if isinstance(event, PhaseStarted)}
    for event in events:
        if not isinstance(event, Shown):
            continue
        answer = answer_from_bytes(event.content)
        assert isinstance(answer, Matrix)
        role, task = names[event.phase].rsplit(" ", 1)
        panel = answer.panels[
            {"rehearsal": "same memory, no distillation", "baseline": "student alone"}.get(role, role)
        ]
        there = ~numpy.isnan(panel)
        assert there.tolist() == [[row < int(task) and column <= row for column in range(3)] for row in range(3)]
        assert "average incremental accuracy" in answer.says
        assert "forgetting" in answer.says
    assert {"student", "student alone"} <= set(last_picture(events).panels)


@pytest.mark.parametrize(("method", "words"), [("simkd", "of its own"), ("ft", "of its own")])
def test_methods_that_want_a_stage_or_a_classifier_of_their_own_are_refused(method: str, words: str) -> None:
    assert words in reason(recipe("hsu_incremental", methods=("ce", method)))


@pytest.mark.parametrize("key", ["lwf", "podnet"])
def test_mixed_pictures_are_refused_where_the_loss_is_the_scheme_s_own(key: str) -> None:
    assert "data.mix" in reason(recipe(key, {"mix": "mixup"}))
