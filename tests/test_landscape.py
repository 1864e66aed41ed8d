"""Lines and planes through weights, against what they must be."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kdcore import landscape
from kdcore.landscape import (
    Sample,
    View,
    Weights,
    barrier,
    between,
    direction,
    distance,
    logits_along,
    logits_at,
    losses_along,
    measured,
    re_estimated,
    steps_along,
    uncertain,
    walk_around,
    walk_between,
    weights_of,
)
from kdcore.network import Network
from kdcore.networks.plain import Plain
from kdcore.patience import Way
from kdcore.vocabulary import Seen


def moved(weights: Weights, *steps: tuple[Weights, float]) -> Weights:
    """The weights plus each direction times its amount."""
    found = dict(weights)
    for along, amount in steps:
        if amount:
            for name, value in along.items():
                found[name] = found[name] + amount * value
    return found


class Straight(Network):
    """Logits that are a linear map of the inputs, so that a squared error is a quadratic in the weights."""

    title = "Straight"
    takes = ("points",)

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        self.map = torch.nn.Linear(shape[0], classes, bias=True)
        self.layers = ()

    def look(self, images: Tensor) -> Seen:
        return Seen(self.map(images), (), (), images)


def squares(logits: Tensor, sample: Sample) -> Tensor:
    return (logits - sample.teacher).double().square().sum(dim=1)


@pytest.fixture
def straight() -> tuple[View, Sample]:
    torch.manual_seed(0)
    network = Straight()
    network.build((2,), 3)
    images = torch.randn(40, 2)
    return View(network), Sample(images, torch.zeros(40, dtype=torch.long), torch.randn(40, 3))


def conv(width: int = 4) -> Plain:
    network = Plain(width=width, stage_count=2)
    network.build((1, 8, 8), 3)
    return network


def test_a_quadratic_loss_along_a_line_is_the_parabola_through_three_of_its_points(
    straight: tuple[View, Sample],
) -> None:
    view, sample = straight
    start = weights_of(view)
    end = {name: value + torch.randn_like(value) for name, value in start.items()}
    at = steps_along(11, beyond=0.2)
    found = [measured(view, between(start, end, place), sample, squares)[0] for place in at]
    residual = (sample.images @ start["network.map.weight"].T + start["network.map.bias"] - sample.teacher).double()
    slope = (
        sample.images @ (end["network.map.weight"] - start["network.map.weight"]).T
        + end["network.map.bias"] - start["network.map.bias"]
    ).double()  # fmt: skip
    a, b, c = (float(value.sum(dim=1).mean()) for value in (slope.square(), 2 * slope * residual, residual.square()))
    for place, value in zip(at, found, strict=True):
        assert value == pytest.approx(a * place**2 + b * place + c, rel=1e-4)
    rise, _ = barrier(at, found)
    assert rise == pytest.approx(0.0, abs=1e-6), "a parabola that opens upwards stays below its chord"


def test_a_quadratic_loss_rises_by_the_square_of_the_step_along_a_direction(straight: tuple[View, Sample]) -> None:
    view, sample = straight
    centre = weights_of(view)
    perfect = Sample(sample.images, sample.labels, view(sample.images).detach())
    way = direction(view, torch.Generator().manual_seed(1))
    one = float((sample.images @ way["network.map.weight"].T).double().square().sum(dim=1).mean())
    for step in (-0.5, 0.0, 0.25, 2.0):
        assert measured(view, moved(centre, (way, step)), perfect, squares)[0] == pytest.approx(
            step**2 * one, rel=1e-4, abs=1e-12
        )


def test_filters_of_a_direction_are_as_long_as_the_networks_and_nothing_else_moves() -> None:
    torch.manual_seed(1)
    view = View(conv())
    way = direction(view, torch.Generator().manual_seed(3))
    own = dict(view.named_parameters())
    assert set(way) == {name for name, value in own.items() if value.ndim > 1}
    for name, value in way.items():
        torch.testing.assert_close(value.flatten(1).norm(dim=1), own[name].detach().flatten(1).norm(dim=1))
    again = direction(view, torch.Generator().manual_seed(3))
    assert all(torch.equal(again[name], value) for name, value in way.items())
    other = direction(view, torch.Generator().manual_seed(4))
    assert not any(torch.equal(other[name], value) for name, value in way.items())


def test_both_ends_of_a_line_are_the_networks_to_the_bit() -> None:
    torch.manual_seed(2)
    first, second = weights_of(View(conv())), weights_of(View(conv()))
    for share, expected in ((0.0, first), (1.0, second)):
        found = between(first, second, share)
        assert all(torch.equal(found[name], value) for name, value in expected.items() if value.is_floating_point())
    beyond = between(first, {**second, "network.stem.0.1.running_var": torch.zeros(4)}, 1.5)
    assert float(beyond["network.stem.0.1.running_var"].min()) == 0.0, "no variance is negative"


def test_statistics_estimated_again_are_those_of_a_pass_in_training_mode() -> None:
    torch.manual_seed(3)
    network = conv()
    view = View(network)
    images = torch.randn(30, 1, 8, 8) * 2 + 1
    before = weights_of(view)
    found = re_estimated(view, before, images)
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # torch's own running mean over all batches; there is one
    with torch.no_grad():
        network(images)
    for name, value in network.named_buffers():
        if value.is_floating_point():
            torch.testing.assert_close(found[f"network.{name}"], value)
    after = weights_of(view)
    assert all(torch.equal(after[name], value) for name, value in before.items()), "the view itself stays as it was"
    assert not view.training
    assert not any(module.training for module in view.modules())


def test_places_on_the_line_hold_both_ends_and_distances_are_relative() -> None:
    assert steps_along(5, beyond=0.25) == [-0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
    first = {"a": torch.tensor([3.0, 4.0])}
    assert distance(first, {"a": torch.tensor([3.0, 5.0])}, ["a"]) == pytest.approx(0.2)
    assert barrier([-0.5, 0.0, 0.5, 1.0], [9.0, 1.0, 4.0, 2.0]) == (2.5, 0.5)


def test_a_loss_that_is_no_number_counts_as_the_ceiling(straight: tuple[View, Sample]) -> None:
    view, sample = straight
    loss, _ = measured(view, weights_of(view), sample, lambda logits, _: logits[:, 0] * math.nan)
    assert loss == 1e6


def test_how_uncertain_a_mean_loss_is_goes_down_with_the_root_of_the_inputs(straight: tuple[View, Sample]) -> None:
    view, sample = straight
    losses = squares(view(sample.images).detach(), sample)
    assert uncertain(view, sample, squares) == pytest.approx(float(losses.std() / 40**0.5), rel=1e-6)
    four = Sample(*(torch.cat([one] * 4) for one in (sample.images, sample.labels, sample.teacher)))
    assert uncertain(view, four, squares) == pytest.approx(uncertain(view, sample, squares) / 2, rel=0.02)
    one = Sample(sample.images[:1], sample.labels[:1], sample.teacher[:1])
    assert uncertain(view, one, squares) == 0.0


@pytest.mark.parametrize("room", [landscape.ROOM, 2_000, 1])
@pytest.mark.parametrize("again", [False, True])
def test_places_looked_at_together_say_what_each_says_alone(
    room: int, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landscape, "ROOM", room)
    torch.manual_seed(1)
    view, other = View(conv()), weights_of(View(conv()))
    centre = weights_of(view)
    centre["network.stem.0.1.running_var"] += 0.5
    images, fewer, statistics = torch.randn(12, 1, 8, 8), torch.randn(5, 1, 8, 8), torch.randn(9, 1, 8, 8)
    ways = [direction(view, torch.Generator().manual_seed(number)) for number in (0, 1)]
    amounts = [(0.0, 0.3), (0.5, -1.0), (-0.2, 0.0), (1.0, 1.0), (0.0, 0.0)]
    shares = [-0.25, 0.0, 0.3, 1.0, 1.25]
    walks = {
        "around": (
            walk_around(centre, (ways[0], [a for a, _ in amounts]), (ways[1], [b for _, b in amounts])),
            [moved(centre, (ways[0], a), (ways[1], b)) for a, b in amounts],
        ),
        "between": (walk_between(centre, other, shares), [between(centre, other, share) for share in shares]),
    }
    for walk, places in walks.values():
        assert len(walk) == len(places)
        found = logits_along(
            view, walk, [images, fewer], statistics=statistics if again else None, way=Way(len(places))
        )  # fmt: skip
        for number, weights in enumerate(places):
            assert all(torch.equal(walk.at(number)[name], value) for name, value in weights.items())
            weights = re_estimated(view, weights, statistics) if again else weights
            for lot, given in zip(found, (images, fewer), strict=True):
                torch.testing.assert_close(lot[number], logits_at(view, weights, given), rtol=1e-4, atol=1e-5)


def test_a_network_that_cannot_be_stacked_is_looked_at_place_by_place() -> None:
    class Odd(Straight):
        def look(self, images: Tensor) -> Seen:
            found = self.map(images)
            return Seen(found if float(found.sum()) < 1e9 else -found, (), (), images)

    torch.manual_seed(0)
    network = Odd()
    network.build((2,), 3)
    view, images = View(network), torch.randn(6, 2)
    start = weights_of(view)
    end = {name: value + 1.0 for name, value in start.items()}
    (found,) = logits_along(view, walk_between(start, end, [0.0, 0.5, 1.0]), [images], way=Way(3))
    for number, share in enumerate((0.0, 0.5, 1.0)):
        torch.testing.assert_close(found[number], logits_at(view, between(start, end, share), images))


def test_losses_of_many_places_are_those_of_each(straight: tuple[View, Sample]) -> None:
    _, sample = straight
    logits = torch.randn(4, 40, 3)
    logits[1, 0] = math.nan
    means, right = losses_along(logits, sample, squares)
    for number in range(4):
        mean, share = landscape.measured_of(logits[number], sample, squares)
        assert float(means[number]) == pytest.approx(mean)
        assert float(right[number]) == share
