"""CKA and SVCCA against worked-out values, slow formulas and their invariances."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kdcore.similarity import (
    cka_matrix,
    directions,
    linear_cka,
    linear_gram,
    mean_correlation,
    rbf_cka,
    rbf_gram,
    svcca,
    unbiased_hsic,
)  # fmt: skip
from tests.methods.fixture import fx

X, Y = fx((12, 5), 0.31, 0.2), fx((12, 7), 0.77, 0.4)
MEASURES = {"linear": linear_cka, "rbf": rbf_cka, "svcca": svcca}


def minibatch(x: Tensor, y: Tensor, *, size: int, gram=linear_gram) -> float:
    cuts = list(zip(x.split(size), y.split(size), strict=True))
    return float(cka_matrix([[gram(a)] for a, _ in cuts], [[gram(b)] for _, b in cuts])[0, 0])


def test_worked_out_values() -> None:
    assert linear_cka(X, Y) == pytest.approx(0.04940486499, rel=1e-7)
    assert minibatch(X, Y, size=12) == pytest.approx(-0.116345642, rel=1e-7)
    assert rbf_cka(X, Y) == pytest.approx(0.09048398062, rel=1e-7)
    assert minibatch(X, Y, size=6) == pytest.approx(0.1717881465, rel=1e-7)
    assert svcca(X, Y) == pytest.approx(0.1804104249, rel=1e-7)


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_both_ways_of_linear_cka_agree() -> None:
    x, y = some(9, 4), some(9, 5, seed=1)
    wide = torch.cat([x, torch.zeros(9, 20, dtype=x.dtype)], dim=1)
    assert linear_cka(x, y) == pytest.approx(linear_cka(wide, y), rel=1e-10)


def test_unbiased_hsic_is_its_formula_written_out() -> None:
    n = 7
    k, ell = rbf_gram(some(n, 3)), linear_gram(some(n, 4, seed=1))
    a, b = k - torch.diag(k.diagonal()), ell - torch.diag(ell.diagonal())
    slow = sum(a[i, j] * b[j, i] for i in range(n) for j in range(n))
    slow = slow + a.sum() * b.sum() / ((n - 1) * (n - 2))
    slow = slow - 2 / (n - 2) * sum(a[i, j] * b[j, m] for i in range(n) for j in range(n) for m in range(n))
    assert unbiased_hsic(k, ell) == pytest.approx(float(slow) / (n * (n - 3)), rel=1e-10)


@pytest.mark.parametrize("name", MEASURES)
def test_one_with_itself_symmetric_and_blind_to_rotation_scale_and_shift(name: str) -> None:
    measure = MEASURES[name]
    x, y = some(40, 5), some(40, 6, seed=1) + 0.4 * some(40, 5).sum(dim=1, keepdim=True)
    turn = torch.linalg.qr(some(5, 5, seed=2)).Q
    assert measure(x, x) == pytest.approx(1.0, abs=1e-10)
    assert measure(x, y) == pytest.approx(measure(y, x), rel=1e-9)
    assert measure(3.0 * x @ turn + 7.0, y) == pytest.approx(measure(x, y), rel=1e-8)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    assert measure(x[order], y[order]) == pytest.approx(measure(x, y), rel=1e-9)


def test_only_canonical_correlation_is_blind_to_any_invertible_map() -> None:
    x, y = some(40, 5), some(40, 6, seed=1) + some(40, 5).sum(dim=1, keepdim=True)
    bent = x @ torch.diag(torch.tensor([1.0, 3.0, 9.0, 0.3, 0.1], dtype=x.dtype))
    assert svcca(bent, y, kept=1.0) == pytest.approx(svcca(x, y, kept=1.0), rel=1e-8)
    assert abs(linear_cka(bent, y) - linear_cka(x, y)) > 0.01


def test_unrelated_wide_layers_look_alike_to_the_biased_measure_only() -> None:
    x, y = some(16, 500), some(16, 500, seed=1)
    assert linear_cka(x, y) > 0.8
    assert abs(minibatch(x, y, size=16)) < 0.3


def test_batches_are_added_up_before_the_division() -> None:
    x, y = some(24, 5), some(24, 5, seed=1) + some(24, 5)
    crossed = own = other = 0.0
    for a, b in zip(x.split(8), y.split(8), strict=True):
        k, ell = linear_gram(a), linear_gram(b)
        crossed, own, other = (
            crossed + unbiased_hsic(k, ell),
            own + unbiased_hsic(k, k),
            other + unbiased_hsic(ell, ell),
        )
    assert minibatch(x, y, size=8) == pytest.approx(crossed / (own * other) ** 0.5, rel=1e-10)
    assert minibatch(x, 5 * x, size=8) == pytest.approx(1.0, abs=1e-10)


def test_every_layer_meets_every_layer() -> None:
    ours, theirs = [some(12, 3), some(12, 4, seed=1)], [some(12, 5, seed=2), some(12, 3), some(12, 2, seed=3)]
    found = cka_matrix([[linear_gram(x) for x in ours]], [[linear_gram(y) for y in theirs]])
    assert found.shape == (2, 3)
    assert float(found[0, 1]) == pytest.approx(1.0, abs=1e-10)
    assert float(found[1, 2]) == pytest.approx(minibatch(ours[1], theirs[2], size=12), rel=1e-10)


def test_a_layer_that_never_changes_is_like_nothing() -> None:
    still, x = torch.ones(8, 3, dtype=torch.float64), some(8, 3)
    assert linear_cka(still, x) == rbf_cka(still, x) == svcca(still, x) == minibatch(still, x, size=8) == 0.0


def test_svcca_keeps_the_fewest_directions_and_needs_as_many_inputs_on_both_sides() -> None:
    strong = torch.cat([100 * some(30, 2), 0.01 * some(30, 8, seed=1)], dim=1)
    assert directions(strong).shape == (30, 2)
    assert directions(strong, kept=1.0).shape == (30, 10)
    with pytest.raises(ValueError, match="30 rows stand beside 12"):
        mean_correlation(directions(strong), directions(Y))


def test_three_inputs_are_too_few() -> None:
    with pytest.raises(ValueError, match="3 inputs are too few"):
        unbiased_hsic(torch.eye(3), torch.eye(3))
