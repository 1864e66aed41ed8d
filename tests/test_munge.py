"""MUNGE: made points lie where the given ones do."""

from __future__ import annotations

import pytest
import torch

from kdcore.munge import munge


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def circle(count: int = 200) -> torch.Tensor:
    angle = torch.rand(count, generator=generator()) * 6.283
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def test_there_are_as_many_as_asked_for_and_they_lie_along_the_figure() -> None:
    made = munge(circle(), 3, 0.5, 5.0, generator())
    assert made.shape == (600, 2)
    assert float((made.norm(dim=1) - 1).abs().mean()) < 0.05
    assert not torch.equal(made[:200], made[200:400])


def test_with_probability_zero_the_points_come_back() -> None:
    assert torch.equal(munge(circle(), 2, 0.0, 1.0, generator()), circle().repeat(2, 1))


def test_the_less_local_variance_divides_the_wider_it_draws() -> None:
    tight, wide = (munge(circle(), 1, 1.0, s, generator()) for s in (100.0, 0.1))
    near = [float(torch.cdist(made, circle()).amin(1).mean()) for made in (tight, wide)]
    assert near[0] < 0.1 * near[1]


def test_two_points_that_are_neighbours_change_places_where_nothing_is_drawn_wide() -> None:
    pair = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert torch.allclose(munge(pair, 1, 1.0, 1e9, generator()), pair, atol=1e-6)  # each is met twice: there and back


@pytest.mark.parametrize(
    ("points", "size", "probability", "variance", "word"),
    [
        (torch.zeros(1, 2), 1, 0.5, 1.0, "two or more"), (torch.zeros(3, 2), 0, 0.5, 1.0, "size_multiplier"),
        (torch.zeros(3, 2), 1, 1.5, 1.0, "probability"), (torch.zeros(3, 2), 1, 0.5, 0.0, "local_variance"),
    ],
)  # fmt: skip
def test_what_it_cannot_take_is_named(
    points: torch.Tensor, size: int, probability: float, variance: float, word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        munge(points, size, probability, variance, generator())
