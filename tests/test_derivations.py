"""Students made from the teacher: what is exact where it can be, and what the golden numbers say where it cannot."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from kdcore import derivations
from kdcore.derivation import Derivation, errors, report, settle, weighted
from kdcore.derivations.compact_filters import TRANSFORMS, CompactConvolution, grouped
from kdcore.derivations.depthwise_separable import DepthwiseSeparable
from kdcore.derivations.lowrank import LowRank, full_rank, rank_for, split, svd_factors
from kdcore.derivations.narrow import Narrow
from kdcore.derivations.pruned import Pruned
from kdcore.inheritance import inherit, kept, wiring
from kdcore.network import Network, macs_of, parameters_of
from kdcore.networks.mlp import MLP
from kdcore.networks.mobile import Mobile
from kdcore.networks.plain import Plain
from kdcore.networks.resnet import ResNet
from kdcore.networks.vgg import VGG
from kdcore.recipe import Pick
from kdcore.registry import discover

DERIVATIONS = discover(derivations, Derivation)  # type: ignore[type-abstract]
SHAPE = (3, 8, 8)


def fx(shape: tuple[int, ...], a: float, b: float) -> Tensor:
    """sin(a k + b) for k = 0, 1, …, row by row."""
    count = int(torch.tensor(shape).prod())
    return torch.sin(a * torch.arange(count, dtype=torch.float64) + b).view(shape)


def matrix() -> Tensor:
    return fx((6, 8), 0.37, 0.2) + fx((6, 8), 1.21, 0.4) ** 3 / 2 + fx((6, 8), 2.3, 0.7) ** 2 / 4


def convolution() -> nn.Conv2d:
    layer = nn.Conv2d(4, 6, 3, padding=1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(fx((6, 4, 3, 3), 0.37, 0.2) + fx((6, 4, 3, 3), 1.21, 0.4) ** 3 / 2)
    return layer


def made(kind: type[Network], **settings: object) -> Network:
    torch.manual_seed(0)
    network = kind(**settings)
    network.build(SHAPE, 5)
    network.train()
    for number in range(3):
        network(torch.randn(16, *SHAPE, generator=torch.Generator().manual_seed(number)))
    return network.eval()


@pytest.mark.parametrize(("rank", "error"), [(1, 1.929158449), (2, 0.6975537434), (3, 0.4951974082), (6, 0.0)])
def test_the_error_of_a_rank_is_what_eckart_and_young_say(rank: int, error: float) -> None:
    left, right = svd_factors(matrix(), rank)
    apart = torch.linalg.matrix_norm(matrix() - left @ right)
    assert float(apart) == pytest.approx(error, rel=1e-8, abs=1e-12)
    assert float(apart) == pytest.approx(float(torch.linalg.svdvals(matrix())[rank:].square().sum().sqrt()), abs=1e-12)


def test_the_rank_that_keeps_99_percent_is_three() -> None:
    assert rank_for(matrix(), 0.99) == 3


@pytest.mark.parametrize(("factors", "rank", "error"), [("channel", 3, 0.007953269123), ("spatial", 4, 0.004220077864)])
def test_a_convolution_in_two_is_off_by_the_golden_numbers(factors: str, rank: int, error: float) -> None:
    layer, images = convolution(), fx((2, 4, 7, 7), 0.19, 0.3)
    with torch.no_grad():
        whole, two = layer(images), split(layer, rank, factors)(images)
    assert float((two - whole).norm() / whole.norm()) == pytest.approx(error, rel=1e-7)


@pytest.mark.parametrize("factors", ["channel", "spatial"])
@pytest.mark.parametrize("stride", [1, 2])
def test_at_full_rank_a_convolution_in_two_is_the_same(factors: str, stride: int) -> None:
    layer = nn.Conv2d(4, 6, 3, stride=stride, padding=1, dtype=torch.float64)
    images = torch.randn(2, 4, 9, 7, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(split(layer, full_rank(layer, factors), factors)(images), layer(images), atol=1e-10)


def test_the_error_of_channel_factors_in_the_weight_is_the_golden_number() -> None:
    first, second = split(convolution(), 3, "channel")
    product = (second.weight.flatten(1) @ first.weight.flatten(1)).view(6, 4, 3, 3)  # type: ignore[operator,union-attr]
    assert float((product - convolution().weight).detach().norm()) == pytest.approx(0.7475247443, rel=1e-8)


def test_low_rank_has_the_share_of_numbers_that_was_asked_for() -> None:
    teacher = made(Plain, width=16, stage_count=2, depth=2)
    for ratio in (0.2, 0.5):
        student = LowRank(ratio=ratio).derive(teacher)
        rows = [row for row in report(LowRank(ratio=ratio), teacher, student, SHAPE) if row.layer != "head"]
        assert 0.8 * ratio < sum(row.parameters[1] for row in rows) / sum(row.parameters[0] for row in rows) <= ratio


def test_separable_filters_are_exact_where_the_teacher_s_are() -> None:
    layer = nn.Conv2d(6, 8, 3, stride=2, padding=1, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(8, 6, 1, 1) * torch.randn(1, 6, 3, 3))
    two = DepthwiseSeparable().instead(layer)
    assert isinstance(two, nn.Sequential)
    assert isinstance(two[0], nn.Conv2d)
    assert two[0].groups == 6
    assert sum(one.numel() for one in two.parameters()) == 9 * 6 + 6 * 8 + 8
    images = torch.randn(2, 6, 9, 9, dtype=torch.float64)
    assert torch.allclose(two(images), layer(images), atol=1e-10)
    assert DepthwiseSeparable().instead(nn.Conv2d(3, 8, 3)) is None


@pytest.mark.parametrize("transform", list(TRANSFORMS))
def test_filters_that_are_images_of_each_other_lose_nothing_and_store_their_share(transform: str) -> None:
    ways = TRANSFORMS[transform]
    layer = nn.Conv2d(3, 2 * len(ways), 3, padding=1, dtype=torch.float64)
    base = torch.randn(2, 3, 3, 3, dtype=torch.float64)
    with torch.no_grad():
        bank = torch.cat([way(base) for way, _ in ways])
        layer.weight.copy_(bank[torch.randperm(len(bank))])
    compact = CompactConvolution(layer, transform)
    assert compact.weight.numel() * len(ways) == layer.weight.numel()
    assert torch.allclose(compact.bank(), layer.weight, atol=1e-12)
    images = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    assert torch.allclose(compact(images), layer(images), atol=1e-10)


def test_turning_the_picture_turns_the_maps_of_rotated_filters_and_passes_them_on() -> None:
    compact = CompactConvolution(nn.Conv2d(3, 8, 3, padding=1, bias=False), "rotations")
    compact.order.copy_(torch.arange(8))
    images = torch.randn(1, 3, 7, 7)
    straight, turned = (compact(one).view(4, 2, 7, 7) for one in (images, images.rot90(1, (-2, -1))))
    assert torch.allclose(turned, straight.rot90(1, (-2, -1)).roll(1, 0), atol=1e-5)


def test_one_transform_that_changes_nothing_stores_every_filter() -> None:
    weight = torch.randn(5, 2, 3, 3)
    assert sorted(grouped(weight, TRANSFORMS["negation"][:1])) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_what_was_pruned_stays_exactly_zero_while_the_rest_learns(optimizer: str) -> None:
    student = Pruned(ratio=0.3).derive(made(Plain, width=8, stage_count=2)).train()
    before = {name: layer.weight.detach().clone() for name, layer in weighted(student)}
    learned = list(student.parameters())
    steps = (
        torch.optim.SGD(learned, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)
        if optimizer == "sgd" else torch.optim.AdamW(learned, lr=0.1, weight_decay=0.1)
    )  # fmt: skip
    for _ in range(4):
        steps.zero_grad()
        student(torch.randn(8, *SHAPE)).square().mean().backward()
        steps.step()
    for name, layer in weighted(student):
        zero = before[name] == 0
        assert bool((layer.weight[zero] == 0).all())
        assert not torch.equal(layer.weight, before[name])
    counted = sum(int((one != 0).sum()) for name, one in before.items() if name != "head")
    assert counted == round(0.3 * sum(one.numel() for name, one in before.items() if name != "head"))


def test_a_pruned_network_is_reported_as_large_and_as_slow_as_it_is() -> None:
    teacher = made(Plain, width=8, stage_count=2)
    student = Pruned(ratio=0.3).derive(teacher)
    rows = report(Pruned(ratio=0.3), teacher, student, SHAPE)
    assert parameters_of(student) == parameters_of(teacher)
    assert all(row.macs[0] == row.macs[1] for row in rows)
    assert sum(row.parameters[1] for row in rows) < 0.4 * sum(row.parameters[0] for row in rows)


WHOLE = [
    (MLP, {"width": 8, "depth": 3}), (Plain, {"width": 8, "depth": 2}), (ResNet, {"blocks": 2, "width": 4}),
    (VGG, {"width": 4}), (Mobile, {"width": 0.2}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "settings"), WHOLE)
def test_a_student_of_the_teacher_s_size_gets_all_of_it(kind: type[Network], settings: dict[str, object]) -> None:
    teacher, student = made(kind, **settings), made(kind, **settings)
    nn.init.normal_(next(student.parameters()))
    assert inherit(teacher, student) == []
    images = torch.randn(4, *SHAPE)
    assert torch.equal(student.eval()(images), teacher(images))


@pytest.mark.parametrize(("kind", "settings"), WHOLE)
def test_channels_that_do_nothing_can_go_without_changing_an_answer(
    kind: type[Network], settings: dict[str, object]
) -> None:
    teacher = made(kind, **settings)
    small = {**settings, "width": settings["width"] * (0.5 if kind is Mobile else 0.75)}  # type: ignore[operator]
    if kind is not Mobile:
        small["width"] = int(small["width"])  # type: ignore[call-overload]
    student = made(kind, **small)
    wires = wiring(teacher)
    lasting = {wires.group(wires.makes[name]): len(layer.weight)
               for name, layer in weighted(student) if name != "head"}  # fmt: skip
    modules = dict(teacher.named_modules())
    with torch.no_grad():  # in every group the channels beyond the student's number fall silent, spread over it
        for name, group in wires.makes.items():
            if name == "head":
                continue
            module, group = modules[name], wires.group(group)
            count = len(module.weight)  # type: ignore[arg-type]
            silent = torch.randperm(count, generator=torch.Generator().manual_seed(count))[lasting[group] :]
            module.weight[silent] = 0.0  # type: ignore[index,operator]
            if module.bias is not None:
                module.bias[silent] = 0.0  # type: ignore[index,operator]
    inherit(teacher, student)
    images = torch.randn(4, *SHAPE)
    assert torch.allclose(student.eval()(images), teacher(images), atol=1e-4)


def test_blocks_that_add_nothing_can_go_without_changing_an_answer() -> None:
    teacher = made(ResNet, blocks=3, width=4)
    student = made(ResNet, blocks=2, width=4)
    stays = kept(3, 2)
    assert stays == [0, 1] or stays == [0, 2]
    with torch.no_grad():
        for stage in teacher.stages:  # type: ignore[union-attr]
            for place in set(range(3)) - set(stays):
                norm = stage[place].residual[2][1]
                norm.weight.zero_()
                norm.bias.zero_()
    inherit(teacher, student)
    images = torch.randn(4, *SHAPE)
    assert torch.allclose(student.eval()(images), teacher(images), atol=1e-5)


def test_of_a_long_row_the_first_and_evenly_spaced_others_stay() -> None:
    assert kept(5, 3) == [0, 1, 4]
    assert kept(4, 4) == [0, 1, 2, 3]
    assert kept(3, 1) == [0]


def test_a_larger_student_is_refused() -> None:
    with pytest.raises(ValueError, match="more than the teacher's 4"):
        inherit(made(Plain, width=4), made(Plain, width=8))
    with pytest.raises(ValueError, match="to the same kind"):
        inherit(made(Plain, width=4), made(MLP))


@pytest.mark.parametrize("key", sorted(DERIVATIONS))
def test_shapes_follow_from_structure_alone_and_the_teacher_is_left_as_it_was(key: str) -> None:
    kind = DERIVATIONS[key]
    derivation = kind()
    teacher, other = made(Plain, width=8, stage_count=2, depth=2), made(Plain, width=8, stage_count=2, depth=2)
    for parameter in other.parameters():
        nn.init.normal_(parameter)
    before = copy.deepcopy(teacher.state_dict())
    pick = Pick("plain", teacher.settings())
    blank = made(Plain, **derivation.pick(pick, pick).settings)
    student, twin = derivation.derive(blank), derivation.derive(made(Plain, **derivation.pick(pick, pick).settings))
    derivation.inherit(teacher, student)
    derivation.inherit(other, twin)
    shapes = [{name: value.shape for name, value in one.state_dict().items()} for one in (student, twin)]
    assert shapes[0] == shapes[1]
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert not all(torch.equal(value, twin.state_dict()[name]) for name, value in student.state_dict().items())


@pytest.mark.parametrize("key", sorted(DERIVATIONS))
def test_the_report_adds_up_to_what_the_networks_are(key: str) -> None:
    derivation = DERIVATIONS[key]()
    teacher = made(Plain, width=8, stage_count=2, depth=2)
    pick = Pick("plain", teacher.settings())
    student = derivation.derive(made(Plain, **derivation.pick(pick, pick).settings))
    derivation.inherit(teacher, student)
    rows = report(derivation, teacher, student, SHAPE)
    assert sum(row.macs[0] for row in rows) == macs_of(teacher, SHAPE)
    assert sum(row.macs[1] for row in rows) == macs_of(student, SHAPE)
    assert sum(row.parameters[0] for row in rows) < parameters_of(teacher)  # norms are not in it
    found = errors(derivation, teacher, student, torch.randn(4, *SHAPE))
    assert all(0.0 <= value < 1.5 for value in found.values())
    assert bool(found) == (key in ("lowrank", "depthwise_separable", "compact_filters", "pruned"))


def test_norms_are_measured_over_full_batches_and_go_on_as_before() -> None:
    network = made(Plain, width=4, stage_count=1)
    images = torch.randn(300, *SHAPE) * 3 + 1
    norm = network.stem[0][1]  # type: ignore[index]
    settle(network, images, batch=100)
    seen = network.stem[0][0](images)  # type: ignore[index]
    assert torch.allclose(norm.running_mean, seen.mean(dim=(0, 2, 3)), atol=1e-4)
    assert norm.momentum == 0.1
    assert not network.training


def test_nothing_to_leave_out_is_said() -> None:
    with pytest.raises(ValueError, match="no layer that Compact filters"):
        DERIVATIONS["compact_filters"]().derive(made(MLP))
    pick = Pick("plain", {"width": 8, "depth": 1, "stage_count": 1})
    with pytest.raises(ValueError, match="no blocks to leave out"):
        DERIVATIONS["shallow"]().pick(pick, pick)
    with pytest.raises(ValueError, match="has no width"):
        Narrow().pick(Pick("vit", {}), Pick("vit", {}))
