"""What a data set is made of: as it is loaded (Raw), a part of it (Split), and ready to train on (Data)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


class DataError(ValueError):
    """Data that cannot be used; the message says what was found and what would be right."""


@dataclass(frozen=True)
class Raw:
    """What a data set loads, before it is split: pictures in [0, 1] or uint8 (N, c, h, w), or points (N, 2)."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    class_names: tuple[str, ...]
    partner: Tensor | None = None
    """The same training scenes as another sensor shows them, for a teacher that sees those; None: it sees `images`."""
    test_partner: Tensor | None = None


@dataclass(frozen=True)
class Split:
    """Part of a data set, on one device."""

    images: Tensor
    """(N, *shape) float32, normalised."""
    labels: Tensor
    """(N,) what training may see: noisy where the recipe says so, -1 where withheld."""
    truth: Tensor
    """(N,) the labels as the data set has them."""
    index: Tensor
    """(N,) place in the loaded training or test set."""
    partner: Tensor | None = None
    """(N, *shape) the same scenes for the teacher's eyes, or None for the same pictures."""

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Split:
        return self._each(lambda value: value.to(device))

    def of(self, places: Tensor) -> Split:
        """The rows at these places."""
        return self._each(lambda value: value[places])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Split:
        return Split(
            change(self.images),
            change(self.labels),
            change(self.truth),
            change(self.index),
            None if self.partner is None else change(self.partner),
        )


@dataclass(frozen=True)
class Data:
    """A data set ready to train on. Nothing is ever selected on `test`."""

    train: Split
    """What the student learns from: withheld labels are -1, a hidden class is gone."""
    teacher_train: Split
    """What the teacher learns from: all training pictures, with the same noise."""
    validation: Split
    """Taken out of the training pictures, with true labels; live accuracies come from it."""
    test: Split
    shape: tuple[int, ...]
    classes: int
    class_names: tuple[str, ...]
    mean: Tensor
    """(c, 1, 1), or (2,) for points: images = (pixels - mean) / std."""
    std: Tensor
    augmentation: str
    hidden: int
    """The class never shown to the student, or -1."""
    mix: str = "none"
    """Which pictures are mixed in training: none, mixup or cutmix (see `kdcore.mixing`)."""
    views: int = 0
    """In how many views augmentation shows each picture, epoch after epoch in turn; 0: another one in every epoch."""
    partner_mean: Tensor | None = None
    """(c, 1, 1), with `partner_std` what `mean` and `std` are, for the scenes that the teacher sees instead."""
    partner_std: Tensor | None = None

    @property
    def images_of_plane(self) -> bool:
        """Whether inputs are pictures (c, h, w) and not points (2,)."""
        return len(self.shape) == 3

    def view(self, epoch: int) -> int:
        """The view that an epoch shows, by its number: the epoch that shows it first."""
        return epoch % self.views if self.views else epoch

    def to(self, device: torch.device | str) -> Data:
        """The same on that device; pictures that student and teacher share are copied once."""
        teacher_train = self.teacher_train.to(device)
        train = (
            replace(teacher_train, labels=self.train.labels.to(device))
            if self.train.images is self.teacher_train.images
            else self.train.to(device)
        )
        return replace(
            self,
            train=train,
            teacher_train=teacher_train,
            validation=self.validation.to(device),
            test=self.test.to(device),
            mean=self.mean.to(device),
            std=self.std.to(device),
            partner_mean=None if self.partner_mean is None else self.partner_mean.to(device),
            partner_std=None if self.partner_std is None else self.partner_std.to(device),
        )

    def pixels(self, images: Tensor) -> Tensor:
        """Normalised (N, c, h, w) back to pixels in [0, 1]."""
        return (images * self.std + self.mean).clamp(0.0, 1.0)

    def partner_pixels(self, images: Tensor) -> Tensor:
        """What the teacher sees, normalised (N, c, h, w), back to pixels in [0, 1]."""
        if self.partner_mean is None or self.partner_std is None:
            return self.pixels(images)
        return (images * self.partner_std + self.partner_mean).clamp(0.0, 1.0)


def check(raw: Raw, *, gives: str) -> None:
    """Raises DataError for a data set that contradicts itself: corrupt files end here and not in training."""
    classes = len(raw.class_names)
    if classes < 2:
        raise DataError(f"the data has {classes} class; a classifier needs 2 or more")
    dimensions = 4 if gives == "images" else 2
    for which, images, labels in (
        ("training", raw.images, raw.labels),
        ("test", raw.test_images, raw.test_labels),
    ):
        if images.ndim != dimensions or labels.ndim != 1 or len(images) != len(labels):
            raise DataError(
                f"the {which} set has {gives} {tuple(images.shape)} and labels {tuple(labels.shape)}; "
                f"(N, {'c, h, w' if dimensions == 4 else '2'}) and (N,) are right"
            )
        if len(labels) == 0:
            raise DataError(f"the {which} set is empty")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            raise DataError(f"the {which} labels run from {low} to {high}; {classes} classes are 0 to {classes - 1}")
    if raw.images.shape[1:] != raw.test_images.shape[1:]:
        raise DataError(f"training and test differ in shape: {tuple(raw.images.shape)}, {tuple(raw.test_images.shape)}")
    if (raw.partner is None) != (raw.test_partner is None) or (
        raw.partner is not None
        and raw.test_partner is not None
        and (raw.partner.shape != raw.images.shape or raw.test_partner.shape != raw.test_images.shape)
    ):
        raise DataError("what the teacher sees must be there for every training and test picture, in the same shape")
