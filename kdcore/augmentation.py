"""Shifts and flips that depend on nothing but (seed, epoch, index), so that any epoch can be replayed anywhere."""

from __future__ import annotations

import torch
from torch import Tensor


def replayable(seed: int, epoch: int, index: Tensor, salt: int) -> Tensor:
    """Evenly spread numbers in [0, 1) that depend on nothing but (seed, epoch, index, salt), shape of `index`.

    A counter-based generator (the splitmix64 finaliser), so any epoch can be replayed on any device in any order.
    """
    start = _mixed(_mixed(_mixed(seed) + epoch) + salt)
    state = index.long() * -7046029254386353131 + start  # wraps, as intended
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        state = (state ^ ((state >> shift) & ((1 << (64 - shift)) - 1))) * factor
    state = state ^ ((state >> 31) & ((1 << 33) - 1))
    return ((state >> 11) & ((1 << 53) - 1)).double().mul(2.0**-53).float().clamp(max=1 - 2.0**-24)


def _mixed(number: int) -> int:
    """A Python integer mixed into a signed 64-bit one."""
    number = (number + 0x9E3779B97F4A7C15) & (2**64 - 1)
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    number ^= number >> 31
    return number - 2**64 if number >= 2**63 else number


def augment(images: Tensor, index: Tensor, *, kind: str, seed: int, epoch: int) -> Tensor:
    """Shift and flip (N, c, h, w) on their device, each picture by its own replayable draw; 'none' gives them back.

    'shift' moves by up to an eighth of the side each way, 'flip' mirrors half of them left to right, 'crop_flip' does
    both. Uncovered pixels repeat the edge. `index` is (N,): the pictures' places in the data set.
    """
    if kind == "none":
        return images
    count, _, height, width = images.shape
    rows = torch.arange(height, device=images.device).expand(count, height)
    columns = torch.arange(width, device=images.device).expand(count, width)
    if kind in ("shift", "crop_flip"):
        rows = (rows + _moves(seed, epoch, index, salt=1, side=height)).clamp(0, height - 1)
        columns = (columns + _moves(seed, epoch, index, salt=2, side=width)).clamp(0, width - 1)
    if kind in ("flip", "crop_flip"):
        mirrored = replayable(seed, epoch, index, 3) < 0.5
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    places = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, -1)
    return images.flatten(2).gather(2, places.expand(-1, images.shape[1], -1)).view_as(images)


def _moves(seed: int, epoch: int, index: Tensor, *, salt: int, side: int) -> Tensor:
    """Whole pixels, (N, 1), each from -reach to reach alike, where reach is an eighth of the side, at least 1."""
    reach = max(1, side // 8)
    return (replayable(seed, epoch, index, salt) * (2 * reach + 1)).long()[:, None] - reach


def stronger(images: Tensor, index: Tensor, *, seed: int, epoch: int) -> Tensor:
    """A second, harder view of normalised (N, c, h, w): moved, fainter or stronger, with a square of the mean on it.

    Points (N, 2) are moved by up to a tenth of their standard deviation. Replayable as `augment` is.
    """
    if images.ndim == 2:
        moves = torch.stack([replayable(seed, epoch, index, salt) for salt in (11, 12)], dim=1)
        return images + 0.2 * (moves - 0.5)
    count, _, height, width = images.shape
    moved = augment(images, index, kind="shift", seed=seed + 1, epoch=epoch)
    contrast = 0.6 + 0.8 * replayable(seed, epoch, index, 13)
    side = max(1, min(height, width) // 3)
    top = (replayable(seed, epoch, index, 14) * (height - side + 1)).long()[:, None]
    left = (replayable(seed, epoch, index, 15) * (width - side + 1)).long()[:, None]
    rows = torch.arange(height, device=images.device).expand(count, height)
    columns = torch.arange(width, device=images.device).expand(count, width)
    hidden = ((rows >= top) & (rows < top + side))[:, :, None] & ((columns >= left) & (columns < left + side))[:, None]
    return (moved * contrast[:, None, None, None]).masked_fill(hidden[:, None], 0.0)
