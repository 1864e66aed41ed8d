"""Relation methods: the numbers of their sources' code, invariances and slow oracles."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.methods.cc import neighbours, resemblance
from kdcore.methods.fsp import flow
from kdcore.methods.hkd import by_angle, by_distance, jeffreys
from kdcore.methods.irg import change, edges
from kdcore.pairwise import squared_distances

from .fixture import FS, FT, VS, VS8, VT, Y, batch_of, both, fx, loss, made, saw, with_maps

ROTATION = torch.linalg.qr(fx((6, 6), 1.1, 0.3) + fx((6, 6), 2.3, 0.1) ** 3 + torch.eye(6, dtype=torch.float64)).Q
CHANNELS = torch.tensor([4, 2, 0, 5, 1, 3])

FLOWING = saw(maps=(fx((2, 3, 8, 8), 0.21, 0.2), fx((2, 5, 4, 4), 0.33, 0.4)))
TEACHING = saw(maps=(fx((2, 3, 8, 8), 0.47, 0.5), fx((2, 5, 4, 4), 0.59, 0.8)))
VECTORS = saw(embedding=VS), saw(embedding=VT)

GOLDENS = [
    ("fsp", {}, (FLOWING, TEACHING), 0.005127240614),
    ("cc", {}, VECTORS, 0.1790206936),
    ("cc", {"variant": "pairs"}, (saw(embedding=VS8), saw(embedding=VT)), 6.377826321),
]


def value(key, student, teacher, **settings):
    number = len(student.maps[0] if student.maps else student.embedding)
    return loss(made(key, student, teacher, **settings)(student, teacher, batch_of(Y[:number])))


@pytest.mark.parametrize(("key", "settings", "sides", "golden"), GOLDENS)
def test_the_mean_of_the_terms_is_the_golden(key, settings, sides, golden):
    assert value(key, *sides, **settings).item() == pytest.approx(golden, rel=1e-7)


# flows


def test_flows_are_products_of_the_two_layers():
    shallow, deep = FLOWING.maps
    before = flow(shallow, deep, "average")
    torch.testing.assert_close(flow(3.0 * shallow, -2.0 * deep, "average"), -6.0 * before)
    pooled = F.avg_pool2d(shallow, 2)
    right = torch.einsum("nixy,njxy->nij", pooled, deep) / 16
    torch.testing.assert_close(before, right)
    right = torch.einsum("nixy,njxy->nij", F.max_pool2d(shallow, 2), deep) / 16
    torch.testing.assert_close(flow(shallow, deep, "max"), right)


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_flows_between_planes_of_any_size(pooling):
    found = flow(torch.rand(2, 3, 5, 7), torch.rand(2, 4, 3, 2), pooling)
    assert found.shape == (2, 3, 4)
    assert found.isfinite().all()


def test_fsp_sees_the_order_of_channels():
    flipped = saw(maps=(FLOWING.maps[0].flip(1), FLOWING.maps[1]))
    assert (value("fsp", flipped, TEACHING) - value("fsp", FLOWING, TEACHING)).abs() > 1e-5


def test_fsp_needs_two_layers_and_says_so():
    one = saw(maps=(FS,))
    with pytest.raises(ValueError, match=r"1 student layers stand beside 1 teacher.*two pairs of layers or more"):
        value("fsp", one, one)


def test_fsp_learns_connectors_only_where_channels_differ():
    student, teacher, _ = both("fsp", 3)
    assert len(list(made("fsp", student, teacher).parameters())) == 4
    assert not list(made("fsp", teacher, teacher).parameters())


# congruence


def test_resemblance_is_the_gaussian_kernel_at_an_endless_order():
    apart = torch.cdist(F.normalize(VS), F.normalize(VS)).square()
    torch.testing.assert_close(resemblance(VS, gamma=0.4, order=20), (-0.4 * apart).exp())
    assert (resemblance(VS, gamma=0.4, order=2) - (-0.4 * apart).exp()).abs().max() > 1e-3


def test_cc_sees_neither_rotation_nor_order_of_features_nor_scale():
    before = value("cc", *VECTORS)
    for changed in (VS @ ROTATION, VS[:, CHANNELS], VS * torch.tensor([[0.1], [3.0], [50.0], [1.0]])):
        torch.testing.assert_close(value("cc", saw(embedding=changed), VECTORS[1]), before, rtol=1e-9, atol=0)
    stretched = saw(embedding=VS * torch.arange(1, 7))
    assert (value("cc", stretched, VECTORS[1]) - before).abs() > 1e-4


def test_a_pair_of_neighbours_is_shared_between_its_two_images():
    errors = torch.tensor([[1.0], [2.0], [5.0]])
    shares = neighbours(errors, torch.zeros(3, 1))
    assert shares.tolist() == pytest.approx([1.0 * 1.5, 6.0 * 1.5, 5.0 * 1.5])
    assert shares.mean().item() == pytest.approx((2.0 + 10.0) / 2)
    assert neighbours(errors[:1], torch.zeros(1, 1)).tolist() == [0.0]


def test_pairs_of_cc_learn_a_map_to_the_teachers_width():
    student, teacher, batch = both("cc", 5)
    method = made("cc", student, teacher, variant="pairs")
    loss(method(student, teacher, batch)).backward()
    assert all(part.grad.abs().max() > 0 for part in method.parameters())
    assert [tensor.shape for side in method.view(student, teacher) for tensor in side] == [(5, 8), (5, 8)]
    assert not list(made("cc", student, teacher).parameters())


# graphs


def slow_edges(features: Tensor) -> Tensor:
    rows = features.flatten(1)
    found = torch.stack([torch.stack([(one - other).square().sum() for other in rows]) for one in rows])
    return found / found.max()


def test_distances_by_matrix_product_are_distances_by_loops():
    features = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(0)) + 30.0
    leaf, other = (features.clone().requires_grad_() for _ in range(2))
    weights = torch.linspace(0.5, 1.5, 25).view(5, 5)
    (edges(leaf) * weights).sum().backward()
    (slow_edges(other) * weights).sum().backward()
    torch.testing.assert_close(edges(leaf), slow_edges(other), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(leaf.grad, other.grad, rtol=1e-5, atol=1e-6)
    right = torch.cdist(features.flatten(1).double(), features.flatten(1).double()).square()
    torch.testing.assert_close(squared_distances(features).double(), right, rtol=1e-5, atol=1e-4)


def test_irg_is_its_formula():
    student, teacher, batch = both("irg", 5, dtype=torch.float64)
    terms = made("irg", student, teacher)(student, teacher, batch)
    ours, theirs = ([slow_edges(layer) for layer in side.maps] for side in (student, teacher))
    assert terms["vertex"].mean().item() == pytest.approx(0.1 * F.mse_loss(student.logits, teacher.logits).item())
    edge = [F.mse_loss(one, other) for one, other in zip(ours, theirs, strict=True)]
    assert terms["edge"].mean().item() == pytest.approx(5 * sum(edge).item() / 2)
    moved, right = ((side[0] - side[1]).square().mean(dim=1) for side in (ours, theirs))
    assert terms["transformation"].mean().item() == pytest.approx(5 * F.mse_loss(moved, right).item())
    whole = (moved.mean() - right.mean()).square()
    assert terms["transformation"].mean() / 5 >= whole


def test_relations_of_irg_see_neither_rotation_nor_shift_nor_scale():
    turned = 3.0 * torch.einsum("nchw,cd->ndhw", FS, ROTATION) + 5.0
    torch.testing.assert_close(edges(turned), edges(FS))
    torch.testing.assert_close(change(edges(turned), edges(FT)), change(edges(FS), edges(FT)))
    assert (edges(FS * torch.arange(1, 7).view(6, 1, 1)) - edges(FS)).abs().max() > 1e-3


@pytest.mark.parametrize("key", ["irg", "hkd"])
def test_the_order_of_channels_is_not_seen(key):
    student, teacher = saw(maps=(FS, FS[:, :, :2])), saw(maps=(FT, FT[:, :, :2]))
    changed = saw(maps=tuple(layer[:, CHANNELS] for layer in student.maps))
    torch.testing.assert_close(value(key, changed, teacher), value(key, student, teacher), rtol=1e-9, atol=0)


def test_one_layer_has_no_change_to_compare():
    student, teacher = saw(maps=(FS,)), saw(maps=(FT,))
    assert list(made("irg", student, teacher)(student, teacher, batch_of(Y))) == ["vertex", "edge"]


@pytest.mark.parametrize("key", ["irg", "hkd", "fsp"])
def test_unequal_numbers_of_layers_are_refused(key):
    student, teacher, batch = both(key, 2)
    method = made(key, student, teacher)
    with pytest.raises(ValueError, match="1 student layers stand beside 2 teacher layers"):
        method(with_maps(student, student.maps[0]), teacher, batch)


# information flow


def test_neighbourhoods_sum_to_one_and_jeffreys_is_both_divergences():
    for kernel in (by_angle, by_distance):
        ours, theirs = kernel(FS), kernel(FT)
        torch.testing.assert_close(ours.sum(dim=1), torch.ones(4).double())
        both_ways = F.kl_div(ours.log(), theirs, reduction="none") + F.kl_div(theirs.log(), ours, reduction="none")
        torch.testing.assert_close(jeffreys(ours, theirs), both_ways.mean(dim=1))


def test_neighbourhoods_are_those_of_the_two_kernels():
    rows = FS.flatten(1)
    cosines = (F.cosine_similarity(rows.unsqueeze(1), rows.unsqueeze(0), dim=2) + 1) / 2
    torch.testing.assert_close(by_angle(FS), cosines / cosines.sum(dim=1, keepdim=True))
    kernel = 1 / (1 + torch.cdist(rows, rows))
    torch.testing.assert_close(by_distance(FS), kernel / kernel.sum(dim=1, keepdim=True), rtol=1e-6, atol=1e-9)


def test_opposite_images_have_finite_neighbourhoods():
    leaf = torch.tensor([[1.0, 2.0], [-1.0, -2.0], [1.0, 2.0]], requires_grad=True)
    jeffreys(by_angle(leaf), by_angle(torch.eye(3))).sum().backward()
    assert by_angle(leaf).log().isfinite().all()
    assert leaf.grad.isfinite().all()


def test_by_angle_sees_no_scale_and_by_distance_no_shift():
    scales = torch.tensor([0.1, 3.0, 5.0, 1.0]).view(4, 1, 1, 1)
    torch.testing.assert_close(by_angle(FS * scales), by_angle(FS))
    torch.testing.assert_close(by_distance(FS + 9.0), by_distance(FS))
    assert (by_distance(FS * scales) - by_distance(FS)).abs().max() > 1e-3


def test_early_layers_of_hkd_count_only_early():
    def at(progress: float, *layers: Tensor) -> float:
        student, teacher = saw(maps=layers), saw(maps=(FT,) * len(layers))
        batch = replace(batch_of(Y), progress=progress)
        return loss(made("hkd", student, teacher, decays=10.0)(student, teacher, batch)).item()

    last, early = at(0.5, FS), at(0.5, FS.flip(0))
    assert at(0.0, FS.flip(0), FS) == pytest.approx(10.0 * early + last)
    assert at(0.3, FS.flip(0), FS) == pytest.approx(10.0 * 0.7**3 * early + last)
    assert at(1.0, FS) == pytest.approx(last)
