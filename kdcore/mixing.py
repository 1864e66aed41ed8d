"""Mixup and CutMix: two pictures in one, with shares drawn evenly, which is Beta(1, 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from kdcore.augmentation import replayable
from kdcore.vocabulary import Batch, Seen, Terms

MIXES = ("none", "mixup", "cutmix")


def shares(index: Tensor, *, kind: str, seed: int, epoch: int, shape: tuple[int, ...]) -> Tensor:
    """How much of each mixed picture is its own, (N,) in [0.5, 1]; the rest belongs to the one before it in the batch.

    Drawn evenly and turned so that the own part is the larger. For CutMix it is the area that is really left, in whole
    pixels. `index` (N,): the pictures' places in the data set; `shape`: of one picture.
    """
    drawn = replayable(seed, epoch, index, 21)
    own = torch.maximum(drawn, 1.0 - drawn)
    return _left(own, shape) if kind == "cutmix" else own


def mixed(images: Tensor, index: Tensor, *, kind: str, seed: int, epoch: int) -> Tensor:
    """(N, *shape) with a share of each picture taken from the one before it in the batch; 'none' gives them back.

    It depends on nothing but (seed, epoch, index) and the batch, so student and teacher see the same.
    """
    if kind == "none":
        return images
    own = shares(index, kind="mixup", seed=seed, epoch=epoch, shape=tuple(images.shape[1:]))
    if kind == "mixup":
        return _blended(images, own)
    return _pasted(images, own, replayable(seed, epoch, index, 22), replayable(seed, epoch, index, 23))


def mixup(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """With shares from a generator on the CPU: mixed pictures, and how much of each is its own, (N,) in [0, 1].

    Zhang et al., ICLR 2018, https://arxiv.org/abs/1710.09412.
    """
    own = torch.rand(len(images), generator=generator).to(images.device)
    return _blended(images, own), own


def cutmix(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A box of another picture in each of (N, c, h, w), and how much of each is left, (N,) in [0, 1].

    The box lies wholly inside, so that its area is exact; in the paper it may be cut off at the edge. Yun et al., ICCV
    2019, https://arxiv.org/abs/1905.04899.
    """
    own, top, left = torch.rand(3, len(images), generator=generator).to(images.device)
    return _pasted(images, own, top, left), _left(own, tuple(images.shape[1:]))


def of_both(terms: Callable[[Seen, Seen, Batch], Terms], student: Seen, teacher: Seen, batch: Batch) -> Terms:
    """Label terms of a mixed batch: those with the own labels and those with the others', each with its share.

    Every term has one number for each picture, so this is right for any of them. For a batch that is not mixed these
    are the terms as they are.
    """
    found = terms(student, teacher, batch)
    if batch.other is None or batch.share is None:
        return found
    theirs = terms(student, teacher, replace(batch, labels=batch.other))
    return {name: torch.lerp(theirs[name], values, batch.share) for name, values in found.items()}


def _blended(images: Tensor, own: Tensor) -> Tensor:
    return torch.lerp(images.roll(1, dims=0), images, own.view(-1, *[1] * (images.ndim - 1)).to(images.dtype))


def _pasted(images: Tensor, own: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """A box of the picture before each; top and left, (N,) in [0, 1), say where."""
    height, width = images.shape[2:]
    tall, wide = _sides(own, height, width)
    first = (top * (height - tall + 1)).long()[:, None], (left * (width - wide + 1)).long()[:, None]
    rows = torch.arange(height, device=images.device)[None]
    columns = torch.arange(width, device=images.device)[None]
    down = ((rows >= first[0]) & (rows < first[0] + tall[:, None]))[:, None, :, None]
    across = ((columns >= first[1]) & (columns < first[1] + wide[:, None]))[:, None, None, :]
    return torch.where(down & across, images.roll(1, dims=0), images)


def _left(own: Tensor, shape: tuple[int, ...]) -> Tensor:
    height, width = shape[-2:]
    tall, wide = _sides(own, height, width)
    return 1.0 - (tall * wide).to(own.dtype) / (height * width)


def _sides(own: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Height and width of the box of the other picture, in whole pixels, (N,) each."""
    side = (1.0 - own).sqrt()
    return (side * height).long(), (side * width).long()
