"""Channel partners: correlations against numpy, assignment against every permutation, fits against a fit by hand."""

from __future__ import annotations

from itertools import permutations

import numpy
import pytest
import torch

from kdcore.alignment import one_plane
from kdcore.beside import RIDGE, explained, explained_channels, halves
from kdcore.partners import assigned, channels, correlated
from kdcore.probe import ProbeError


def maps(count: int, channels: int, side: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def correlations(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    return correlated(*map(channels, one_plane(ours, theirs)))


def test_correlations_are_those_of_numpy_over_pictures_and_places() -> None:
    ours, theirs = maps(6, 3, 4), maps(6, 2, 4, seed=1)
    rows = [side.permute(1, 0, 2, 3).reshape(side.shape[1], -1).numpy() for side in (ours, theirs)]
    expected = numpy.corrcoef(*rows)[:3, 3:]
    numpy.testing.assert_allclose(correlations(ours, theirs).numpy(), expected, atol=1e-6)


def test_the_larger_plane_is_averaged_down_first() -> None:
    ours, theirs = maps(6, 3, 4), maps(6, 2, 2, seed=1)
    pooled = torch.nn.functional.avg_pool2d(ours, 2)
    torch.testing.assert_close(correlations(ours, theirs), correlations(pooled, theirs))


def test_scale_and_shift_of_a_channel_do_not_matter_but_its_sign_does() -> None:
    ours = maps(6, 2, 3)
    found = correlations(ours, 7.0 * ours + 3.0)
    torch.testing.assert_close(found.diagonal(), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(correlations(ours, -ours).diagonal(), -torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("value", [0.0, 0.3, 1e6])
def test_a_channel_that_is_the_same_everywhere_goes_with_none(value: float) -> None:
    ours = maps(6, 2, 3)
    ours[:, 1] = value
    assert (correlations(ours, maps(6, 3, 3, seed=1))[1] == 0).all()


def test_layers_without_a_plane_are_correlated_over_pictures() -> None:
    ours, theirs = maps(40, 3, 1), maps(40, 3, 1, seed=1)
    expected = numpy.corrcoef(ours.flatten(1).T.numpy(), theirs.flatten(1).T.numpy())[:3, 3:]
    numpy.testing.assert_allclose(correlations(ours, theirs).numpy(), expected, atol=1e-6)


def test_permuted_channels_are_found_again_exactly() -> None:
    theirs = maps(8, 6, 3)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    found = assigned(correlations(2.0 * theirs[:, order] + 1.0, theirs))
    assert {pair.ours: pair.theirs for pair in found} == dict(enumerate(order.tolist()))
    assert all(pair.correlation == pytest.approx(1.0, abs=1e-6) for pair in found)


def test_no_assignment_has_a_larger_sum() -> None:
    correlation = correlations(maps(5, 4, 2), maps(5, 6, 2, seed=3))
    best = max(sum(float(correlation[row, column]) for row, column in enumerate(columns))
               for columns in permutations(range(6), 4))  # fmt: skip
    found = assigned(correlation)
    assert sum(pair.correlation for pair in found) == pytest.approx(best)
    assert len({pair.theirs for pair in found}) == len({pair.ours for pair in found}) == 4
    assert [pair.correlation for pair in found] == sorted((pair.correlation for pair in found), reverse=True)


def test_each_channel_is_explained_as_a_fit_by_hand_says() -> None:
    ours, theirs = maps(40, 3, 2), maps(40, 2, 2, seed=1)
    theirs[:, 0] += 2.0 * ours[:, 1] - ours[:, 2]

    def rows(side: torch.Tensor, start: int) -> numpy.ndarray:
        flat = side[start::2].permute(0, 2, 3, 1).reshape(-1, side.shape[1]).double().numpy()
        return flat

    inputs, target = rows(ours, 0), rows(theirs, 0)
    middle, middles = inputs.mean(axis=0), target.mean(axis=0)
    ridge = numpy.sqrt(RIDGE * ((inputs - middle) ** 2).sum(axis=0).mean())  # as three further rows of least squares
    weights, *_ = numpy.linalg.lstsq(
        numpy.vstack([inputs - middle, ridge * numpy.eye(3)]),
        numpy.vstack([target - middles, numpy.zeros((3, 2))]),
        rcond=None,
    )
    target = rows(theirs, 1)
    left = (((rows(ours, 1) - middle) @ weights + middles - target) ** 2).sum(axis=0)
    whole = ((target - target.mean(axis=0)) ** 2).sum(axis=0)
    numpy.testing.assert_allclose(
        explained_channels(halves(ours), halves(theirs)), (1 - left / whole).clip(0, 1), atol=1e-6
    )
    assert explained(ours, theirs) == pytest.approx(1 - left.sum() / whole.sum(), abs=1e-6)


def test_a_neuron_that_fires_once_does_not_undo_the_fit_of_the_others() -> None:
    ours = torch.cat([maps(200, 3, 1), torch.zeros(200, 1, 1, 1)], dim=1)
    theirs = ours[:, :2] + 0.3 * maps(200, 2, 1, seed=1)
    without = explained(ours[:, :3], theirs)
    ours[10, 3], ours[11, 3] = 0.01, 5.0  # one of the pictures fitted, and harder on one of those scored
    assert explained(ours, theirs) == pytest.approx(without, abs=0.01)


def test_what_is_a_linear_image_is_explained_in_full_and_a_constant_channel_not_at_all() -> None:
    ours = maps(40, 3, 2)
    theirs = torch.stack([ours[:, 0] + ours[:, 1], torch.full((40, 2, 2), 2.0)], dim=1)
    shares = explained_channels(halves(ours), halves(theirs))
    assert shares[0] > 0.999
    assert shares[1] == 0


def test_three_pictures_are_too_few_for_a_fit() -> None:
    with pytest.raises(ProbeError, match="3 pictures are too few"):
        halves(maps(3, 2, 2))
