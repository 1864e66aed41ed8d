"""Augmentation can be replayed: nothing counts but seed, epoch and the picture's place."""

from __future__ import annotations

import pytest
import torch

from kdcore.augmentation import augment, replayable

KINDS = ("none", "shift", "flip", "crop_flip")


def pictures(count: int = 40, *, height: int = 16, width: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", KINDS)
def test_order_and_size_of_the_batch_change_nothing(kind):
    images, index = pictures(), torch.arange(40) * 7
    whole = augment(images, index, kind=kind, seed=3, epoch=2)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    for batch in order.split(9):
        assert torch.equal(augment(images[batch], index[batch], kind=kind, seed=3, epoch=2), whole[batch])


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("other", [{"seed": 3, "epoch": 3}, {"seed": 4, "epoch": 2}])
def test_another_epoch_or_seed_draws_anew(kind, other):
    images, index = pictures(), torch.arange(40)
    first, second = augment(images, index, kind=kind, seed=3, epoch=2), augment(images, index, kind=kind, **other)
    changed = (first != second).flatten(1).any(1).double().mean()
    assert changed > 0.25


def test_none_gives_the_pictures_back():
    images = pictures()
    assert augment(images, torch.arange(40), kind="none", seed=0, epoch=0) is images


@pytest.mark.parametrize(("height", "width"), [(8, 8), (32, 32), (16, 40)])
def test_moves_reach_an_eighth_of_the_side_and_every_step_is_as_likely(height, width):
    count = 4000
    ramp = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).float()
    moved = augment(ramp.expand(count, 2, height, width), torch.arange(count), kind="shift", seed=0, epoch=0)
    middle = moved[:, :, height // 2, width // 2] - torch.tensor([height // 2, width // 2])
    for offsets, reach in ((middle[:, 0], height // 8), (middle[:, 1], width // 8)):
        values, counts = offsets.long().unique(return_counts=True)
        assert values.tolist() == list(range(-reach, reach + 1))
        expected = count / (2 * reach + 1)
        assert (counts - expected).abs().max() < 5 * expected**0.5
    assert abs(torch.corrcoef(middle.T)[0, 1]) < 0.06


def test_uncovered_pixels_repeat_the_edge():
    ramp = torch.arange(16.0).expand(200, 1, 16, 16)
    moved = augment(ramp, torch.arange(200), kind="shift", seed=0, epoch=0)
    right = moved[(moved[:, 0, 0, 8] == 10)][0, 0, 0]
    assert right.tolist() == [*range(2, 16), 15, 15]


def test_half_of_the_pictures_are_mirrored_and_the_others_left_alone():
    images = pictures(2000, height=8, width=8)
    seen = augment(images, torch.arange(2000), kind="flip", seed=0, epoch=0)
    same = (seen == images).flatten(1).all(1)
    mirrored = (seen == images.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 0.45 < mirrored.double().mean() < 0.55


def test_crop_flip_is_a_shift_then_a_mirror():
    images, index = pictures(100), torch.arange(100)
    shifted = augment(images, index, kind="shift", seed=1, epoch=1)
    both = augment(images, index, kind="crop_flip", seed=1, epoch=1)
    same = (both == shifted).flatten(1).all(1)
    mirrored = (both == shifted.flip(3)).flatten(1).all(1)
    assert (same | mirrored).all()
    assert same.any()
    assert mirrored.any()


@pytest.mark.parametrize("salt", [1, 2, 3])
def test_draws_are_evenly_spread_over_pictures_and_over_epochs(salt):
    over_pictures = replayable(0, 0, torch.arange(10_000), salt)
    over_epochs = torch.cat([replayable(0, epoch, torch.tensor([5]), salt) for epoch in range(10_000)])
    for draws in (over_pictures, over_epochs):
        assert draws.min() >= 0
        assert draws.max() < 1
        counts = torch.histc(draws, 20, 0, 1)
        chi_squared = ((counts - 500) ** 2 / 500).sum().item()
        assert chi_squared < 43.8  # the 99.9th percentile at 19 degrees of freedom
        neighbours = torch.corrcoef(torch.stack([draws[:-1], draws[1:]]))[0, 1]
        assert abs(neighbours) < 0.04


def test_draws_of_different_purposes_are_unrelated():
    index = torch.arange(5000)
    rows = torch.stack([replayable(*key[:2], index, key[2]) for key in ((0, 0, 1), (0, 0, 2), (0, 1, 1), (1, 0, 1))])
    off = torch.corrcoef(rows) - torch.eye(4)
    assert off.abs().max() < 0.06


def test_extreme_seeds_and_places_stay_in_range():
    draws = replayable(2**31 - 1, 10**6, torch.tensor([0, 2**31, 2**40]), 3)
    assert ((draws >= 0) & (draws < 1)).all()
