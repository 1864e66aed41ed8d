"""Fast forms against the slow ones that are written as the formula reads: values and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.geometry import gram, root, unit
from kdcore.methods.nst import discrepancy, patterns
from kdcore.methods.rkd import angles, differences, distances
from kdcore.methods.semckd import sorted_rows

from .fixture import batch_of, loss, made, saw

DRAW = torch.Generator().manual_seed(0)
MAPS = torch.randn(3, 4, 3, 3, generator=DRAW), torch.randn(3, 5, 3, 3, generator=DRAW)
VECTORS = torch.randn(5, 4, generator=DRAW), torch.randn(5, 6, generator=DRAW)


def check_same(fast, slow, inputs: Tensor) -> None:
    leaf, other = inputs.clone().requires_grad_(), inputs.clone().requires_grad_()
    found, right = fast(leaf), slow(other)
    torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-6)
    weights = torch.linspace(0.5, 1.5, found.numel()).view_as(found)
    (found * weights).sum().backward()
    (right * weights).sum().backward()
    torch.testing.assert_close(leaf.grad, other.grad, rtol=1e-5, atol=1e-6)


def broadcast_discrepancy(student: Tensor, teacher: Tensor, kernel: str) -> Tensor:
    s = F.normalize(student.flatten(2), dim=2)
    t = F.normalize(teacher.flatten(2), dim=2)
    apart = (s.unsqueeze(2) - t.unsqueeze(1)).square().sum(dim=3).mean()

    def mean_kernel(x: Tensor, y: Tensor) -> Tensor:
        left, right = x.unsqueeze(2), y.unsqueeze(1)
        if kernel == "gaussian":
            values = (-(left - right).square().sum(dim=3) / (2 * apart)).exp()
        else:
            values = (left * right).sum(dim=3) ** (2 if kernel == "poly2" else 1)
        return values.mean(dim=(1, 2))

    return mean_kernel(t, t) + mean_kernel(s, s) - 2 * mean_kernel(s, t)


@pytest.mark.parametrize("kernel", ["poly2", "linear", "gaussian"])
def test_nst_by_matrix_product_is_nst_by_broadcasting(kernel):
    theirs = MAPS[1]
    check_same(
        lambda ours: discrepancy(patterns(ours), patterns(theirs), kernel),
        lambda ours: broadcast_discrepancy(ours, theirs, kernel),
        MAPS[0],
    )


def slow_distances(embedding: Tensor) -> Tensor:
    number = len(embedding)
    rows = [
        [(embedding[i] - embedding[j]).norm() if i != j else embedding.new_zeros(()) for j in range(number)]
        for i in range(number)
    ]
    found = torch.stack([torch.stack(row) for row in rows])
    return found / (found.sum() / (number * (number - 1)))


def slow_angles(embedding: Tensor) -> Tensor:
    number = len(embedding)
    cosines = []
    for i in range(number):
        for j in range(number):
            for k in range(number):
                a, b = embedding[j] - embedding[i], embedding[k] - embedding[i]
                apart = i not in (j, k)
                cosines.append((a @ b) / (a.norm() * b.norm()) if apart else embedding.new_zeros(()))
    return torch.stack(cosines).view(number, number, number)


def test_rkd_by_matrix_products_is_rkd_by_loops():
    check_same(lambda x: distances(differences(x)), slow_distances, VECTORS[0])
    check_same(lambda x: angles(differences(x)), slow_angles, VECTORS[0])


def test_the_loss_of_rkd_is_that_of_the_loops():
    ours, theirs = VECTORS
    found = loss(
        made("rkd", saw(logits=ours), saw())(saw(embedding=ours), saw(embedding=theirs), batch_of(torch.arange(5)))
    )
    right = 25 * F.smooth_l1_loss(slow_distances(ours), slow_distances(theirs)) + 50 * F.smooth_l1_loss(
        slow_angles(ours), slow_angles(theirs)
    )
    torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-6)


def test_unit_vectors_are_the_frameworks_and_dead_ones_get_no_gradient():
    check_same(lambda x: unit(x), lambda x: F.normalize(x, dim=1), VECTORS[0])
    dead = torch.zeros(2, 3, requires_grad=True)
    unit(dead).sum().backward()
    assert dead.grad.tolist() == [[0.0] * 3] * 2


def test_a_root_at_zero_has_no_slope():
    values = torch.tensor([0.0, 4.0], requires_grad=True)
    found = root(values)
    found.sum().backward()
    assert found.tolist() == [0.0, 2.0]
    assert values.grad.tolist() == [0.0, 0.25]


def test_a_gram_matrix_is_all_inner_products():
    features = MAPS[0]
    right = torch.stack([torch.stack([(one * other).sum() for other in features]) for one in features])
    torch.testing.assert_close(gram(features), right)


@pytest.mark.parametrize("number", [1, 2, 5, 9])
def test_sorted_rows_run_from_the_largest_to_the_smallest(number):
    rows = torch.randn(number, number, generator=torch.Generator().manual_seed(number))
    found = sorted_rows(rows, 5)
    assert found.shape == (number, 5)
    torch.testing.assert_close(found[:, 0], rows.max(dim=1).values)
    torch.testing.assert_close(found[:, -1], rows.min(dim=1).values)
    assert (found.diff(dim=1) <= 1e-6).all()
    if number == 5:
        torch.testing.assert_close(found, rows.sort(dim=1, descending=True).values)
