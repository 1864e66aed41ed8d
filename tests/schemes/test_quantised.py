"""Few bits: what is deployed is whole numbers, and what cannot be is said at the door."""

from __future__ import annotations

import numpy
import pytest
import torch

from kdcore.answers.bars import Bars
from kdcore.engine import run
from kdcore.events import Failed, Finished, Snapshot
from kdcore.network import Network
from kdcore.networks.plain import Plain
from kdcore.quantisation import Quantised, Quantiser, first_step, packed, quantised_in, sizes, unpacked
from kdcore.recipe import Recipe
from kdcore.rehearsal import rehearse
from kdcore.scheme import Phase
from kdcore.stage import Losses, Stage, set_stage
from kdcore.training import PhaseRun
from tests.methods.fixture import fx


def recipe(key: str = "apprentice", **settings: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 160},
            "teacher": {"is": "plain", "width": 6, "stage_count": 2},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": "ce"}, {"is": "kd"}],
            "scheme": {"is": key, **settings},
            "training": {"epochs": 4, "teacher_epochs": 2, "batch": 32},
        }
    )


def small(kind: str, bits: int) -> Quantised:
    torch.manual_seed(3)
    network = Plain(width=4, stage_count=3)
    network.build((1, 8, 8), 5)
    return Quantised(network, Quantiser(kind, bits))


def test_four_bits_of_the_golden_matrix_err_as_the_catalogue_says() -> None:
    weights = fx((6, 8), 0.37, 0.2) + 0.5 * fx((6, 8), 1.21, 0.4) ** 3 + 0.25 * fx((6, 8), 2.3, 0.7) ** 2
    four = Quantiser("uniform", 4)
    each = four.codes(weights).values()
    whole = four.codes(weights.reshape(1, -1)).values().reshape(weights.shape)
    assert float((each - weights).square().mean()) == pytest.approx(0.002862062414, rel=1e-7)
    assert float((whole - weights).square().mean()) == pytest.approx(0.003943757614, rel=1e-7)
    assert len(whole.unique()) == 14


@pytest.mark.parametrize(
    ("kind", "bits"),
    [("uniform", 2), ("uniform", 4), ("uniform", 8), ("learned", 2), ("learned", 4), ("ternary", 2), ("binary", 1)],
)
def test_a_weight_has_no_more_values_than_its_bits_allow_and_again_changes_nothing(kind: str, bits: int) -> None:
    quantiser = Quantiser(kind, bits)
    weight = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    once = quantiser.codes(weight).values()
    assert all(len(row.unique()) <= 2**bits for row in once)
    assert not torch.equal(once, weight)
    if kind not in ("ternary", "learned"):  # threshold or first step depend on the mean size, which rounding moves
        assert torch.allclose(quantiser.codes(once).values(), once, atol=1e-6)


def test_eight_bits_are_nearly_the_weight_itself() -> None:
    weight = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    assert float((Quantiser("uniform", 8).codes(weight).values() - weight).abs().max()) < 0.02


def test_the_gradient_passes_straight_through() -> None:
    weight = torch.randn(3, 7, requires_grad=True)
    pull = torch.randn(3, 7)
    (Quantiser("uniform", 2).straight(weight) * pull).sum().backward()
    assert torch.equal(weight.grad, pull)


@pytest.mark.parametrize(
    ("kind", "bits"),
    [("uniform", 2), ("uniform", 3), ("uniform", 8), ("learned", 2), ("learned", 8), ("ternary", 2), ("binary", 1)],
)
def test_packed_weights_come_back_as_the_network_computes_with_them(kind: str, bits: int) -> None:
    network = small(kind, bits).eval()
    images = torch.randn(5, 1, 8, 8)
    again = Plain(width=4, stage_count=3)
    again.build((1, 8, 8), 5)
    kept = packed(network)
    again.load_state_dict(unpacked(kept), strict=False)
    again.eval()
    assert torch.allclose(again(images), network(images), atol=1e-5)
    assert not torch.allclose(network.base(images), network(images), atol=1e-3 if bits < 8 else 0.0)
    numbers = [value for name, value in kept.items() if name.endswith(f"|{bits}")]
    assert all(value.dtype == torch.uint8 for value in numbers)
    weights = sum(one.numbers.numel() for one in network.codes().values() if one.bits == bits)
    assert sum(len(value) for value in numbers) <= weights * bits / 8 + len(numbers)


def test_fewer_bits_take_fewer_bytes() -> None:
    found = [sizes(small("uniform", bits))["packed"] for bits in (2, 4, 8)]
    assert found == sorted(found)
    assert found[0] < found[-1] < sizes(small("uniform", 8))["float32"]


@pytest.mark.parametrize("quantiser", ["uniform", "learned", "ternary"])
def test_one_bit_with_the_wrong_quantiser_is_refused_with_what_is_right(quantiser: str) -> None:
    fault = rehearse(recipe(bits=1, quantiser=quantiser)).faults[0]
    assert fault["where"] == "scheme.bits"
    assert "bits=1" in fault["text"]
    assert "binary quantiser" in fault["text"]


def test_a_student_of_first_and_last_layers_alone_is_refused() -> None:
    asked = recipe().with_setting("student", "mlp")
    *_, last = run(asked)
    assert isinstance(last, Failed)
    assert "a deeper student is right" in last.reason
    assert rehearse(asked.with_setting("scheme.ends", "as the rest")).faults == []


@pytest.mark.parametrize("way", ["A", "B", "C"])
def test_every_way_of_apprentice_trains_a_student_of_few_bits(way: str) -> None:
    events = list(run(recipe(way=way, bits=2)))
    assert isinstance(events[-1], Finished), events[-1]
    assert {"teacher", "student", "baseline", "full precision"} == set(events[-1].results)


def test_fine_tuning_starts_from_the_full_precision_weights() -> None:
    events = list(run(recipe(way="C")))
    snapshots = [event for event in events if isinstance(event, Snapshot)]
    full = [one for one in snapshots if "full precision" in one.roles][-1].tensors
    first = next(one for one in snapshots if "student" in one.roles).tensors
    mine = {name: value for name, value in first.items() if name.startswith("role/student/base/") or
            name.startswith("role/student/base.")}  # fmt: skip
    assert mine
    for name, value in mine.items():
        assert torch.equal(value, full[f"role/full precision/{name.removeprefix('role/student/base.')}"])


def test_the_student_computes_with_whole_numbers_and_keeps_float_masters() -> None:
    network = quantised_in(set_stage(recipe(bits=2)).cast["student"])
    assert isinstance(network, Network)
    name, quantiser = list(network.quantisers.items())[1]
    master = network.base.state_dict()[name]
    assert quantiser.bits == 2
    assert not torch.equal(network.settled()[name], master)
    assert len(network.codes()[name].numbers.unique()) <= 3


def test_with_the_same_steps_learned_rounding_changes_nothing_the_second_time() -> None:
    quantiser, weight = Quantiser("learned", 2), torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    step = first_step(weight, 2)
    once = quantiser.codes(weight, step).values()
    assert {-2, -1, 0, 1} == set(quantiser.codes(weight, step).numbers.unique().tolist())
    assert torch.equal(quantiser.codes(once, step).values(), once)


def test_a_learned_step_is_pulled_by_rounding_inside_and_by_the_last_level_outside() -> None:
    weight = torch.tensor([[0.3, -0.9, 2.4, -7.0]], requires_grad=True)
    step = torch.tensor([0.5], requires_grad=True)
    quantiser = Quantiser("learned", 3)
    values = quantiser.straight(weight, step)
    assert torch.allclose(values.detach(), quantiser.codes(weight, step).values())
    assert torch.allclose(values.detach(), torch.tensor([[0.5, -1.0, 1.5, -2.0]]))
    values.sum().backward()
    assert torch.equal(weight.grad, torch.tensor([[1.0, 1.0, 0.0, 0.0]]))
    inside = (1 - 0.3 / 0.5) + (-2 + 0.9 / 0.5)  # rounded minus exact, in steps (Esser et al., equation 3)
    assert step.grad.item() == pytest.approx((inside + 3 - 4) / (4 * 3) ** 0.5, abs=1e-6)


def test_a_first_learned_step_keeps_more_weights_than_one_from_the_largest() -> None:
    weight = torch.randn(8, 200, generator=torch.Generator().manual_seed(1))
    zero = {
        kind: float((Quantiser(kind, 2).codes(weight).numbers == 0).float().mean()) for kind in ("uniform", "learned")
    }
    assert zero["uniform"] > 0.7 > 0.6 > zero["learned"]


def phases_of(asked: Recipe) -> tuple[Stage, dict[str, Phase]]:
    stage = set_stage(asked)
    return stage, {phase.name: phase for phase in stage.scheme.phases(stage.cast, Losses(stage))}


def test_steps_are_learned_and_begin_anew_from_the_weights_in_full_precision() -> None:
    stage, phases = phases_of(recipe("qkd", bits=2))
    network = quantised_in(stage.cast["student"])
    assert network is not None
    with torch.no_grad():
        for one in stage.cast["full precision"].parameters():
            one.mul_(3.0)
    at_random = [one.detach().clone() for one in network.log_steps]
    training = PhaseRun(stage, phases["self-studying"])
    for before, step in zip(at_random, network.log_steps, strict=True):
        assert torch.allclose(step, before + torch.tensor(3.0).log(), atol=1e-4)
    before = [one.detach().clone() for one in network.log_steps]
    training.step()
    assert any(not torch.equal(*pair) for pair in zip(before, network.log_steps, strict=True))


def test_the_teacher_learns_in_co_studying_alone_and_from_the_student() -> None:
    stage, phases = phases_of(recipe("qkd"))

    def moves(name: str) -> bool:
        before = [one.detach().clone() for one in stage.cast["teacher"].parameters()]
        PhaseRun(stage, phases[name]).step()
        return any(not torch.equal(*pair) for pair in zip(before, stage.cast["teacher"].parameters(), strict=True))

    assert moves("co-studying")
    assert not moves("self-studying")
    assert not moves("tutoring")
    taught = {turn.learner: [lesson.teacher for lesson in turn.lessons] for turn in phases["co-studying"].turns}
    assert taught == {"student": [None, "teacher"], "teacher": [None, "student"]}


@pytest.mark.parametrize(("tutor", "hears"), [("alone", ["knowledge"]), ("with labels", ["labels", "knowledge"])])
def test_nobody_teaches_in_self_studying_and_the_tutor_is_alone_unless_labels_are_wanted(
    tutor: str, hears: list[str]
) -> None:
    _, phases = phases_of(recipe("qkd", tutor=tutor))
    assert [lesson.kind for lesson in phases["self-studying"].turns[0].lessons] == ["labels"]
    assert [lesson.kind for lesson in phases["tutoring"].turns[0].lessons] == hears
    shares = [phases[name].share for name in ("self-studying", "co-studying", "tutoring")]
    assert sum(shares) == pytest.approx(1.0), "together as many epochs as the student alone"


def test_student_and_student_alone_begin_from_the_same_rounded_weights() -> None:
    stage, phases = phases_of(recipe("qkd", bits=2))
    for name in ("baseline", "self-studying"):
        PhaseRun(stage, phases[name])
    one, other = (stage.cast[role].state_dict() for role in ("student", "baseline"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_picture_says_what_the_teacher_was_before_it_learned_from_the_student() -> None:
    stage, phases = phases_of(recipe("qkd"))
    training = PhaseRun(stage, phases["co-studying"])
    first = phases["co-studying"].shows()[0]
    assert isinstance(first, Bars)
    assert first.series["teacher"][0] == first.series["teacher"][1]
    while training.done < training.steps:
        training.step()
    later = phases["tutoring"].shows()[0]
    assert later.series["teacher"][0] == first.series["teacher"][0]
    assert not numpy.array_equal(later.series["student"], first.series["student"])
