"""Formulas of the gap against goldens, the hand example of calibration, and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from kdcore import gap
from tests.methods.fixture import ZS, ZT, Y


def test_goldens_of_fidelity_and_calibration() -> None:
    assert float(gap.agreement(ZS, ZT).double().mean()) == 0.0
    assert float(gap.divergence(ZT, ZS).mean()) == pytest.approx(2.655129304, rel=1e-9)
    assert gap.reliability_of(ZS, Y, bins=15).ece == pytest.approx(0.6206926572, rel=1e-9)
    assert gap.reliability_of(ZS, Y, bins=10).ece == pytest.approx(0.6206926572, rel=1e-9)
    assert gap.brier(ZS, Y) == pytest.approx(1.249277506, rel=1e-9)
    assert gap.wins(ZT, ZS, Y)[[0, 1]].tolist() == [0, 0], "the student has none of the four right"


def test_the_hand_example_of_calibration() -> None:
    """Sure 95 % and right, 95 % and wrong, 65 % and right, 25 % and wrong, in ten bins: 0.375."""
    sure, right = torch.tensor([0.95, 0.95, 0.65, 0.25]), torch.tensor([True, False, True, False])
    found = gap.reliability(sure, right, bins=10)
    assert found.ece == pytest.approx(0.375, abs=1e-6)
    assert found.count.tolist() == [0, 0, 1, 0, 0, 0, 1, 0, 0, 2]


def test_bins_hold_their_upper_edge_and_every_input() -> None:
    sure = torch.tensor([0.0, 0.25, 0.250001, 0.5, 1.0], dtype=torch.float64)
    found = gap.reliability(sure, torch.ones(5, dtype=torch.bool), bins=4)
    assert found.count.tolist() == [2, 2, 0, 1]


def test_agreement_and_divergence_are_as_their_definitions_say() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(50, 7), torch.randn(50, 7)
    assert gap.agreement(first, first).all()
    assert torch.equal(gap.agreement(first, second), gap.agreement(3 * first + 1, second.exp()))
    slow = F.kl_div(second.log_softmax(1), first.log_softmax(1), log_target=True, reduction="none").sum(dim=1)
    torch.testing.assert_close(gap.divergence(first, second).float(), slow)
    assert float(gap.divergence(first, first + 5.0).abs().max()) < 1e-6


def test_wins_count_each_input_once() -> None:
    one_hot = F.one_hot(torch.tensor([0, 0, 1, 1, 0]), 2).float()
    other = F.one_hot(torch.tensor([0, 1, 0, 1, 0]), 2).float()
    truth = torch.tensor([0, 0, 0, 0, 1])
    assert gap.wins(one_hot, other, truth).tolist() == [1, 1, 1, 2]


def test_the_temperature_that_fits_is_the_one_that_the_labels_were_drawn_at() -> None:
    torch.manual_seed(0)
    logits = 2 * torch.randn(20_000, 5, dtype=torch.float64)
    truth = torch.multinomial(logits.softmax(1), 1).flatten()
    assert gap.fit_temperature(logits, truth) == pytest.approx(1.0, abs=0.03)
    assert gap.fit_temperature(4 * logits, truth) == pytest.approx(4.0, abs=0.12)
    warm = gap.fit_temperature(4 * logits, truth)
    loss = [float(F.cross_entropy(4 * logits / t, truth)) for t in (warm, 0.98 * warm, 1.02 * warm)]
    assert min(loss) == loss[0]
    before, after = (gap.reliability_of(4 * logits, truth, bins=15, temperature=t).ece for t in (1.0, warm))
    assert after < 0.02 < before
    assert torch.equal(gap.soft_labels(logits, warm).argmax(1), logits.argmax(1)), "it never changes what is said"


def test_a_network_that_is_always_right_is_made_as_sure_as_allowed() -> None:
    assert gap.fit_temperature(torch.eye(3), torch.arange(3)) == pytest.approx(gap.COLDEST, rel=1e-3)


def test_class_means_add_up_to_one_and_heat_makes_all_alike() -> None:
    torch.manual_seed(0)
    logits, truth = torch.randn(40, 4), torch.arange(40) % 3
    means = gap.by_class(gap.soft_labels(logits, 2.0), truth, 4)
    torch.testing.assert_close(means.sum(dim=1), torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(means[1], (logits[truth == 1].double() / 2).softmax(1).mean(dim=0))
    hot = gap.by_class(gap.soft_labels(logits, 1e6), truth, 4)[:3]
    torch.testing.assert_close(hot, torch.full_like(hot, 0.25), atol=1e-5, rtol=0)


def test_confusions_count_what_each_class_is_taken_for() -> None:
    logits = F.one_hot(torch.tensor([0, 1, 1, 1]), 3).float()
    expected = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(gap.confusion(logits, torch.tensor([0, 0, 1, 1])), expected)


def test_likeness_is_a_correlation_beside_the_diagonal() -> None:
    torch.manual_seed(0)
    matrix = torch.rand(5, 5, dtype=torch.float64)
    assert gap.likeness(matrix, 3 * matrix + torch.eye(5) * 9) == pytest.approx(1.0)
    assert gap.likeness(matrix, -matrix) == pytest.approx(-1.0)
    assert gap.likeness(matrix, torch.ones_like(matrix)) == 0.0


def test_an_overlap_is_one_less_the_total_variation() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(30, 6).softmax(dim=1).double(), torch.randn(30, 6).softmax(dim=1).double()
    torch.testing.assert_close(
        gap.overlap(first, second), 1.0 - 0.5 * (first - second).abs().sum(dim=1), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(gap.overlap(first, first), torch.ones(30, dtype=torch.float64), atol=1e-6, rtol=0)
    assert gap.overlap(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])).tolist() == [0.0]


def test_diagrams_share_the_inputs_that_are_equally_sure_and_right() -> None:
    """Two bins, eight inputs: of the four sure ones of the first diagram three are right, of the second's six five."""
    first = gap.Reliability(torch.tensor([0.5, 0.75]), torch.tensor([0.4, 0.9]), torch.tensor([4.0, 4.0]))
    second = gap.Reliability(torch.tensor([0.5, 5 / 6]), torch.tensor([0.4, 0.9]), torch.tensor([2.0, 6.0]))
    assert gap.shared_bins(first, second) == pytest.approx((1 + 1 + 3 + 1) / 8)
    assert gap.shared_bins(first, first) == pytest.approx(1.0)
    sure, doubtful = torch.full((5,), 0.9), torch.full((5,), 0.3)
    right = torch.ones(5, dtype=torch.bool)
    found = [gap.reliability(confidence, right, bins=4) for confidence in (sure, doubtful)]
    assert gap.shared_bins(*found) == 0.0
    assert gap.shared_bins(found[0], gap.reliability(sure, ~right, bins=4)) == 0.0, "as sure, but wrong"


def test_neighbours_are_shared_whatever_way_a_space_is_turned() -> None:
    torch.manual_seed(0)
    first = torch.randn(60, 6, dtype=torch.float64)
    turned = 3 * first @ torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0] + 1
    theirs, ours, others = (gap.neighbours(one, 10) for one in (first, turned, torch.randn(60, 9)))
    assert gap.shared_neighbours(theirs, ours) == 1.0
    assert gap.shared_neighbours(theirs, others) == pytest.approx(10 / 59, abs=0.06)
    line = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert gap.neighbours(line, 1).nonzero().tolist() == [[0, 1], [1, 0], [2, 1], [3, 2]]


def test_of_equally_near_ones_the_first_are_neighbours() -> None:
    """As a stable sort has it, where many inputs lie in one place."""
    torch.manual_seed(0)
    crowded = torch.randint(0, 3, (40, 2)).double()
    distance = torch.cdist(crowded, crowded).fill_diagonal_(float("inf"))
    first = distance.argsort(dim=1, stable=True)[:, :7]
    expected = torch.zeros(40, 40, dtype=torch.bool).scatter_(1, first, True)
    assert torch.equal(gap.neighbours(crowded, 7), expected)
    assert gap.shared_neighbours(expected, expected) == 1.0


def test_the_principal_plane_has_the_greatest_variances() -> None:
    torch.manual_seed(0)
    values = torch.randn(100, 5, dtype=torch.float64) * torch.tensor([1.0, 9.0, 0.1, 4.0, 0.2])
    plane = gap.principal_plane(values)
    expected = torch.linalg.eigvalsh(torch.cov(values.T)).flip(0)[:2]
    torch.testing.assert_close(plane.var(dim=0), expected)
    assert gap.principal_plane(torch.randn(9, 1)).shape == (9, 2)


def test_a_plane_is_laid_over_another_without_being_stretched() -> None:
    torch.manual_seed(0)
    theirs = torch.randn(30, 2, dtype=torch.float64)
    turn = torch.tensor([[math.cos(2), math.sin(2)], [math.sin(2), -math.cos(2)]], dtype=torch.float64)
    torch.testing.assert_close(gap.laid_over(theirs, theirs @ turn + 3), theirs)
    twice = gap.laid_over(theirs, 2 * theirs @ turn)
    torch.testing.assert_close(twice.var(dim=0).sum(), 4 * theirs.var(dim=0).sum())
