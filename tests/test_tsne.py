"""t-SNE against scikit-learn's, and its neighbourhoods against a slow search for each row's width."""

from __future__ import annotations

import math

import numpy
import pytest
import torch
from scipy.optimize import brentq
from sklearn.manifold import TSNE, trustworthiness
from torch import Tensor

from kdcore.gap import principal_plane
from kdcore.patience import Way, told
from kdcore.tsne import PERPLEXITY, STEPS, neighbour_shares, tsne


def clusters(count: int = 150) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    middles = 4.0 * torch.randn(5, 12, generator=generator)
    return middles[torch.arange(count) % 5] + torch.randn(count, 12, generator=generator)


def slow_shares(rows: numpy.ndarray, perplexity: float) -> numpy.ndarray:
    shares = numpy.zeros((len(rows), len(rows)))
    for place, row in enumerate(rows):
        apart = ((rows - row) ** 2).sum(axis=1)
        others = numpy.delete(numpy.arange(len(rows)), place)

        def of(log_precision: float, apart: numpy.ndarray = apart, others: numpy.ndarray = others) -> numpy.ndarray:
            weights = numpy.exp(-math.exp(log_precision) * (apart[others] - apart[others].min()))
            return weights / weights.sum()

        def excess(log_precision: float, of=of) -> float:  # type: ignore[no-untyped-def]
            found = of(log_precision)
            return float(-(found * numpy.log(found + 1e-300)).sum() - math.log(perplexity))

        shares[place, others] = of(brentq(excess, -20.0, 10.0, xtol=1e-12))
    return (shares + shares.T) / (2 * len(rows))


def divergence(shares: numpy.ndarray, places: numpy.ndarray) -> float:
    near = 1.0 / (1.0 + ((places[:, None] - places[None]) ** 2).sum(axis=2))
    numpy.fill_diagonal(near, 0.0)
    near /= near.sum()
    there = shares > 1e-14
    return float((shares[there] * numpy.log(shares[there] / near[there])).sum())


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_each_rows_neighbourhood_is_as_wide_as_the_perplexity(scale: float) -> None:
    rows = clusters(60)
    found = neighbour_shares(scale * rows, 12.0)
    assert float(found.sum()) == pytest.approx(1.0)
    numpy.testing.assert_allclose(found.numpy(), slow_shares(rows.double().numpy(), 12.0), atol=1e-8)


def test_it_comes_as_near_as_scikit_learn() -> None:
    rows = clusters()
    shares = slow_shares(rows.double().numpy(), PERPLEXITY)
    plane = principal_plane(rows)
    start = (plane / plane[:, 0].std() * 1e-4).float().numpy()
    theirs = TSNE(
        perplexity=PERPLEXITY, init=start, learning_rate="auto", random_state=0, max_iter=STEPS, method="exact"
    ).fit_transform(rows.numpy())
    ours = tsne(rows).numpy()
    assert divergence(shares, ours) < 1.05 * divergence(shares, theirs)
    assert trustworthiness(rows, ours, n_neighbors=10) > trustworthiness(rows, theirs, n_neighbors=10) - 0.02


def test_it_lays_out_the_same_again_and_bears_equal_rows() -> None:
    rows = clusters(40)
    rows[5] = rows[6] = rows[7]
    first = tsne(rows)
    assert bool(first.isfinite().all())
    assert torch.equal(first, tsne(rows))
    assert bool(tsne(torch.zeros(20, 3)).isfinite().all()), "nothing tells them apart"


def test_it_says_how_far_it_is() -> None:
    shares: list[float] = []
    with told(shares.append):
        tsne(clusters(30), way=Way(STEPS))
    assert shares[-1] == 1.0
    assert len(shares) > 10
