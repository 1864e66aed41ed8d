"""Offline schemes of their own kind: along the route, stopped early, matched on mixtures, densely guided."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kdcore.answer import answer_from_bytes
from kdcore.answers.bars import Bars
from kdcore.blending import cutmix, mixup
from kdcore.engine import run
from kdcore.events import Event, Failed, Finished, Gradients, Note, PhaseStarted, Shown, Snapshot, Started, Step
from kdcore.gated import Gated
from kdcore.recipe import Pick, Recipe
from kdcore.route import Route, farthest
from kdcore.sizes import spread
from kdcore.stage import Losses, set_stage
from kdcore.training import PhaseRun


def recipe(key: str, **settings: object) -> Recipe:
    parts = {name: settings.pop(name) for name in ("data", "teacher", "student", "methods") if name in settings}
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 200},
            "teacher": {"is": "plain", "width": 8, "stage_count": 2},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": "ce"}, {"is": "kd"}],
            "scheme": {"is": key, **settings},
            "training": {"epochs": 6, "teacher_epochs": 4, "batch": 32},
            **parts,
        }
    )


def steps(events: list[Event], learner: str) -> list[tuple[int, float]]:
    return [(event.step, event.loss) for event in events if isinstance(event, Step) and event.learner == learner]


def test_one_anchor_is_plain_distillation_step_for_step() -> None:
    alone, plain = (steps(list(run(one)), "student") for one in (recipe("rco", anchors=1), recipe("offline")))
    assert alone
    assert alone == plain


@pytest.mark.parametrize("key", ["dgkd", "takd"])
def test_a_chain_of_length_zero_is_plain_distillation_step_for_step(key: str) -> None:
    chain, plain = (steps(list(run(one)), "student") for one in (recipe(key, assistants=0), recipe("offline")))
    assert chain
    assert chain == plain


def last_of(events: list[Event], role: str) -> dict[str, Tensor]:
    found = [event for event in events if isinstance(event, Snapshot) and role in event.roles][-1]
    return {name.removeprefix(f"role/{role}/"): one for name, one in found.tensors.items()
            if name.startswith(f"role/{role}/")}  # fmt: skip


def test_anchors_are_the_teacher_as_it_was_along_its_way() -> None:
    events = list(run(recipe("rco", anchors=2)))
    assert isinstance(events[-1], Finished), events[-1]
    halfway = next(event for event in events if isinstance(event, Snapshot) and event.phase == 0 and event.epoch == 2.0)
    anchor = last_of(events, "anchor 1")
    assert anchor
    assert all(torch.equal(one, halfway.tensors[f"role/teacher/{name}"]) for name, one in anchor.items())
    phases = [event for event in events if isinstance(event, PhaseStarted)]
    assert [phase.name for phase in phases] == ["teacher", "baseline", "student-1", "student-2"]
    assert phases[2].epochs + phases[3].epochs == phases[1].epochs


def test_greedy_goes_as_far_as_the_student_is_close() -> None:
    gaps = [0.1, 0.2, 0.6, 0.4, 0.9]
    assert farthest(gaps.__getitem__, -1, 4, 0.5) == 3
    assert farthest(gaps.__getitem__, -1, 4, 0.05) == 0
    assert farthest(gaps.__getitem__, 3, 4, 0.0) == 4
    assert farthest(gaps.__getitem__, 4, 4, 0.0) == 4
    assert farthest(gaps.__getitem__, -1, 4, 1.0) == 4


def test_greedy_anchors_never_go_back() -> None:
    events = list(run(recipe("rco", anchors=3, choice="greedy", reach=0.5)))
    assert isinstance(events[-1], Finished), events[-1]
    picked = [
        event.tensors["also/route/picked"].tolist() for event in events
        if isinstance(event, Snapshot) and "also/route/picked" in event.tensors
    ][-1]  # fmt: skip
    first, second, *_ = picked
    assert 0 <= first <= second <= 5
    assert second > first or first == 5


def test_a_route_keeps_its_moments_at_equal_distances() -> None:
    stage = set_stage(recipe("offline"))
    network, route = stage.cast["teacher"], Route(stage.cast["teacher"], 4)
    kept = []
    for step in range(10):
        with torch.no_grad():
            next(network.parameters()).fill_(float(step))
        route.passed(network, step, step / 10)
    for moment in range(4):
        route.put(moment, network)
        kept.append(float(next(network.parameters()).detach().flatten()[0]))
    assert kept == [2.0, 4.0, 7.0, 9.0]


def test_the_teacher_falls_silent_and_the_labels_go_on() -> None:
    events = list(run(recipe("eskd", until=0.5, teacher_share=0.5)))
    assert isinstance(events[-1], Finished), events[-1]
    phases = {event.name: event for event in events if isinstance(event, PhaseStarted)}
    assert phases["teacher"].epochs == 2
    mine = [event for event in events if isinstance(event, Step) and event.learner == "student"]
    half = phases["student"].steps // 2
    assert all(event.terms["kd.kd"] > 0 for event in mine if event.step <= half)
    assert all(event.terms["kd.kd"] == 0 for event in mine if event.step > half)
    assert all(event.terms["ce.ce"] > 0 for event in mine)
    other = [event for event in events if isinstance(event, Step) and event.learner == "to the end"]
    assert all(event.terms["kd.kd"] > 0 for event in other)


def test_a_recipe_without_labels_gets_them_when_the_teacher_stops() -> None:
    events = list(run(recipe("eskd", methods=[{"is": "kd"}])))
    mine = [event for event in events if isinstance(event, Step) and event.learner == "student"]
    assert set(mine[0].terms) == {"ce.ce", "kd.kd"}


@pytest.mark.parametrize(("view", "same"), [("same", True), ("independent", False), ("fixed", False)])
def test_the_teacher_is_asked_about_exactly_the_student_s_pictures(view: str, same: bool) -> None:
    stage = set_stage(recipe("funmatch", view=view, methods=[]))
    *_, phase = stage.scheme.phases(stage.cast, Losses(stage))
    running = PhaseRun(stage, phase)
    looked: dict[str, list[Tensor]] = {"teacher": [], "student": []}
    for role, found in looked.items():
        plain = stage.cast[role].look

        def look(images: Tensor, plain=plain, found=found):  # type: ignore[no-untyped-def]
            found.append(images)
            return plain(images)

        stage.cast[role].look = look  # type: ignore[method-assign]
    taken = running.step()["student"]
    assert float(taken.loss) > 0
    (student,) = looked["student"]
    assert (bool(looked["teacher"]) and looked["teacher"][-1] is student) == same


def test_labels_play_no_part_in_function_matching() -> None:
    stage = set_stage(recipe("funmatch", methods=[{"is": "ce"}]))
    *_, phase = stage.scheme.phases(stage.cast, Losses(stage))
    running = PhaseRun(stage, phase)
    running.step()
    assert running.names(phase.turns[0])[0] == ["kd"]


def test_mixtures_say_how_much_of_them_is_their_own() -> None:
    images = torch.rand(6, 1, 8, 8)
    for how in (mixup, cutmix):
        mixed, partners, share = how(images, torch.Generator().manual_seed(4))
        assert mixed.shape == images.shape
        assert ((share >= 0) & (share <= 1)).all()
        again, *_ = how(images, torch.Generator().manual_seed(4))
        assert torch.equal(mixed, again)
        if how is mixup:
            own = share.view(-1, 1, 1, 1)
            assert torch.allclose(mixed, own * images + (1 - own) * images[partners])
        else:
            stays = (mixed == images).float().mean(dim=(1, 2, 3))
            moved = partners != torch.arange(6)
            assert torch.allclose(stays[moved], share[moved], atol=1e-6)


def test_rectangles_are_not_cut_out_of_points() -> None:
    points = {"data": {"is": "toy2d"}, "teacher": {"is": "mlp"}, "student": {"is": "mlp"}}
    last = list(run(recipe("funmatch", mix="cutmix", **points)))[-1]
    assert isinstance(last, Failed)
    assert "points take mixup" in last.reason


def test_everyone_larger_teaches_and_the_lessons_share_one_weight() -> None:
    stage = set_stage(recipe("dgkd", assistants=2, teacher={"is": "plain", "width": 16, "stage_count": 2}))
    phases = {phase.name: phase for phase in stage.scheme.phases(stage.cast, Losses(stage))}
    told = [lesson for lesson in phases["student"].turns[0].lessons if lesson.teacher]
    assert [lesson.teacher for lesson in told] == ["teacher", "assistant 1", "assistant 2"]
    assert sum(lesson.share for lesson in told) == pytest.approx(1.0)
    assert all(isinstance(lesson.objective, Gated) for lesson in told)
    assert [lesson.teacher for lesson in phases["assistant 1"].turns[0].lessons if lesson.teacher] == ["teacher"]


def test_teachers_fall_silent_by_chance_and_never_all_where_there_are_no_labels() -> None:
    quiet = recipe("dgkd", heard=0.3, methods=[{"is": "kd"}])
    events = list(run(quiet))
    assert isinstance(events[-1], Finished), events[-1]
    mine = [event for event in events if isinstance(event, Step) and event.learner == "student"]
    heard = [[value > 0 for value in event.terms.values()] for event in mine]
    assert all(any(one) for one in heard)
    assert any(not all(one) for one in heard)


def teachers(events: list[Event]) -> dict[str, list[str]]:
    """Learner -> its teachers, phase by phase."""
    return {
        phase.learners[0]: [lesson["teacher"] for lesson in phase.lessons if lesson["teacher"]]
        for phase in events if isinstance(phase, PhaseStarted)
    }  # fmt: skip


CHAIN = [f"assistant {number}" for number in range(1, 6)]


@pytest.mark.parametrize("key", ["takd", "dgkd"])
def test_a_chain_of_five_goes_down_to_the_student(key: str) -> None:
    large = {"is": "plain", "width": 16, "stage_count": 2}
    wanted = recipe(key, assistants=5, teacher=large, data={"is": "digits", "train_size": 120})
    events = list(run(wanted.with_setting("training.epochs", 2).with_setting("training.teacher_epochs", 2)))
    assert isinstance(events[-1], Finished), events[-1]
    above = ["teacher", *CHAIN]
    told = {name: [one] if key == "takd" else above[: place + 1] for place, (one, name) in
            enumerate(zip(above, [*CHAIN, "student"], strict=True))}  # fmt: skip
    assert teachers(events) == {"teacher": [], "baseline": [], "direct": ["teacher"], **told}
    started = events[0]
    assert isinstance(started, Started)
    sizes = [started.roles[name]["parameters"] for name in (*above, "student")]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)
    moved = {role for event in events if isinstance(event, Snapshot) and event.phase > 2 for role in event.roles}
    assert moved == {*CHAIN, "student"}


def test_sizes_of_a_chain_fall_by_equal_factors() -> None:
    wide, thin = (Pick("plain", {"width": width}) for width in (64, 4))
    widths = [one.settings["width"] for one in spread(wide, thin, 3)]
    assert widths == [32, 16, 8]
    (half,) = spread(Pick("mobile", {"width": 1.0}), Pick("mobile", {"width": 0.25}), 1)
    assert half.settings == {"width": 0.5}
    (half,) = spread(Pick("wide_resnet", {"widen": 8}), thin, 1)
    assert half.settings == {"widen": 4}


@pytest.mark.parametrize("key", ["takd", "dgkd"])
@pytest.mark.parametrize(("assistants", "words"), [(5, "sizes for 3 at most"), (9, "lies outside")])
def test_a_chain_longer_than_there_are_sizes_is_refused_at_the_door(key: str, assistants: int, words: str) -> None:
    last = list(run(recipe(key, assistants=assistants)))[-1]
    assert isinstance(last, Failed)
    assert words in last.reason


@pytest.mark.parametrize("key", ["takd", "dgkd"])
def test_an_assistant_larger_than_its_teacher_is_refused_at_the_door(key: str) -> None:
    small, large = ({"is": "plain", "width": width, "stage_count": 2} for width in (4, 16))
    last = list(run(recipe(key, assistants=1, teacher=small, student=large)))[-1]
    assert isinstance(last, Failed)
    assert "would be larger than the teacher" in last.reason


def shown(events: list[Event]) -> list[Bars]:
    found = [answer_from_bytes(event.content) for event in events if isinstance(event, Shown)]
    assert all(isinstance(one, Bars) for one in found)
    return found  # type: ignore[return-value]


def test_the_chain_is_shown_from_the_largest_down_with_what_each_is_worth() -> None:
    events = list(run(recipe("takd", assistants=1)))
    assert isinstance(events[-1], Finished), events[-1]
    last, right = shown(events)[-1], {role: one["validation_accuracy"] for role, one in events[-1].results.items()}
    assert [name.partition(":")[0] for name in last.categories] == [
        "teacher", "assistant 1", "student", "straight from the teacher"
    ]  # fmt: skip
    roles = ["teacher", "assistant 1", "student", "direct"]
    assert last.series["by now"].tolist() == pytest.approx([right[role] for role in roles], abs=1e-6)
    assert last.reference == pytest.approx(right["baseline"], abs=1e-6)
    first = shown(events)[0]
    assert [name.partition(":")[0] for name in first.categories] == ["teacher", "straight from the teacher"]


def test_who_hears_the_teacher_to_the_end_is_shown_beside_who_does_not() -> None:
    events = list(run(recipe("eskd", until=0.5)))
    assert isinstance(events[-1], Finished), events[-1]
    last, right = shown(events)[-1], {role: one["validation_accuracy"] for role, one in events[-1].results.items()}
    assert last.categories == ["to the end", "student"]
    assert last.series["is right"].tolist() == pytest.approx([right["to the end"], right["student"]], abs=1e-6)
    assert last.reference == pytest.approx(right["teacher"], abs=1e-6)
    assert all(((values >= 0) & (values <= 1)).all() for values in last.series.values())


@pytest.mark.parametrize(("key", "settings"), [("dgkd", {"heard": 0.1}), ("eskd", {"until": 0.0})])
def test_a_teacher_that_is_silent_at_first_is_not_called_broken(key: str, settings: dict[str, float]) -> None:
    events = list(run(recipe(key, **settings)))
    assert isinstance(events[-1], Finished), events[-1]
    first = [event for event in events if isinstance(event, Gradients) and event.step == 1]
    assert any(0.0 in event.lengths.values() for event in first), "one is silent in the first step"
    assert [event.text for event in events if isinstance(event, Note) and "teaches nothing" in event.text] == []
