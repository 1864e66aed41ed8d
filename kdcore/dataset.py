"""The contract of a data set, and how one is prepared: three splits, noisy and withheld labels, one normalisation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from kdcore.augmentation import augment, replayable
from kdcore.data import Data, DataError, Raw, Split, check
from kdcore.mixing import MIXES
from kdcore.sensors import SENSORS, seen_by
from kdcore.spec import KnobError, Spec, knob

__all__ = ["Data", "DataError", "Dataset", "Raw", "Split", "augment", "replayable"]


class Dataset(Spec, ABC):
    """A data set with knobs. The docstring is its card. `load` reads or makes it, `prepare` splits it."""

    title: ClassVar[str]
    gives: ClassVar[Literal["images", "points"]] = "images"
    where: ClassVar[str] = ""
    """How it comes to this machine, one sentence."""

    train_size: int = knob(
        0, 0, 100_000, help="Pictures to train on, drawn by seed before validation is taken out. 0 takes all.",
        unit="pictures",
    )  # fmt: skip
    validation: float = knob(0.15, 0.02, 0.5, help="Share of the training pictures kept for validation.")
    labelled: float = knob(
        1.0, 0.0, 1.0, help="Share of the student's pictures that keep their label; the teacher keeps all."
    )
    label_noise: float = knob(0.0, 0.0, 1.0, help="Chance that a training label is redrawn at random, for everyone.")
    hidden_class: int = knob(-1, -1, 999, help="A class never shown to the student, as Hinton tried it. -1: none.")
    augmentation: str = knob(
        "none", choices=("none", "shift", "flip", "crop_flip"), help="What is done to a picture each time it is seen."
    )
    views: int = knob(
        0, 0, 100,
        help="In how many ways augmentation shows each picture; epochs take turns. With few, a teacher has soon seen "
        "all and need not look again, which saves time; with many, pictures are harder to learn by heart. "
        "0: a new way in every epoch.",
        unit="views",
    )  # fmt: skip
    mix: str = knob(
        "none", choices=MIXES,
        help="Two pictures in one whenever one is seen, for student and teacher alike. mixup adds them up, cutmix puts "
        "a box of one into the other; labels count by their shares.",
    )  # fmt: skip
    sensor: str = knob(
        "same", choices=SENSORS,
        help="What the student sees of the pictures; the teacher sees them clearly.",
    )  # fmt: skip

    @abstractmethod
    def load(self, seed: int) -> Raw:
        """Read or make the pictures. Raises DataError with what was found and what would be right."""

    def prepare(self, seed: int) -> Data:
        """Split, add noise, withhold labels, normalise; the same seed gives the same data.

        Raises DataError or KnobError.
        """
        if self.gives == "points" and self.augmentation != "none":
            raise KnobError("augmentation", f"augmentation={self.augmentation!r} is for pictures; points take 'none'")
        if self.views and self.augmentation == "none":
            raise KnobError(
                "views",
                f"views={self.views}: without augmentation there is one view of each; views=0 is right, or an "
                "augmentation of pictures",
            )
        if self.gives == "points" and self.mix == "cutmix":
            raise KnobError("mix", "mix='cutmix' cuts boxes out of pictures; points take 'none' or 'mixup'")
        if self.gives == "points" and self.sensor != "same":
            raise KnobError("sensor", f"sensor={self.sensor!r} is for pictures; points take 'same'")
        raw = self.load(seed)
        check(raw, gives=self.gives)
        raw = seen_by(self.sensor, raw, seed)
        classes = len(raw.class_names)
        if self.hidden_class >= classes:
            raise KnobError("hidden_class", f"hidden_class={self.hidden_class}: the classes are 0 to {classes - 1}")
        generator = torch.Generator().manual_seed(seed + 7919)
        order = torch.randperm(len(raw.labels), generator=generator)
        if 0 < self.train_size < len(order):
            order = order[: self.train_size]
        held = max(classes, round(self.validation * len(order)))
        if len(order) - held < classes:
            raise DataError(
                f"{len(order)} training pictures less {held} for validation leave {len(order) - held}; "
                f"{classes} classes need at least one each"
            )
        validation_places, train_places = order[:held], order[held:]

        truth = raw.labels.long()
        noisy = truth.clone()
        if self.label_noise > 0:
            redrawn = torch.rand(len(truth), generator=generator) < self.label_noise
            noisy[redrawn] = torch.randint(classes, (len(truth),), generator=generator)[redrawn]

        scale = _normalisation(raw.images, train_places)
        partner_scale = scale if raw.partner is None else _normalisation(raw.partner, train_places)

        def split(labels: Tensor, places: Tensor) -> Split:
            return Split(
                images=_normalised(raw.images[places], scale),
                labels=labels[places],
                truth=truth[places],
                index=places,
                partner=None if raw.partner is None else _normalised(raw.partner[places], partner_scale),
            )

        teacher_train = split(noisy, train_places)
        train = teacher_train
        if self.hidden_class >= 0:
            train = train.of((train.truth != self.hidden_class).nonzero().flatten())
            if len(train) == 0:
                raise DataError(f"all training pictures are of the hidden class {raw.class_names[self.hidden_class]!r}")
        if self.labelled < 1.0:
            train = replace(train, labels=_withhold(train.labels, classes, self.labelled, generator))
        test_truth = raw.test_labels.long()
        return Data(
            train=train,
            teacher_train=teacher_train,
            validation=split(truth, validation_places),
            test=Split(
                images=_normalised(raw.test_images, scale),
                labels=test_truth,
                truth=test_truth,
                index=torch.arange(len(test_truth)),
                partner=None if raw.test_partner is None else _normalised(raw.test_partner, partner_scale),
            ),
            shape=tuple(raw.images.shape[1:]),
            classes=classes,
            class_names=raw.class_names,
            mean=scale[0],
            std=scale[1],
            augmentation=self.augmentation,
            mix=self.mix,
            views=self.views,
            hidden=self.hidden_class,
            partner_mean=None if raw.partner is None else partner_scale[0],
            partner_std=None if raw.partner is None else partner_scale[1],
        )


def _normalisation(images: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel of the pictures there, (c, 1, 1) each, or of points, (2,) each.

    Pixels count from 0 to 1. Summed piece by piece: all 60,000 pictures at once as floats would cost 190 MB more.
    """
    dims, shape = ((0, 2, 3), (-1, 1, 1)) if images.ndim == 4 else ((0,), (-1,))
    total = squares = torch.zeros(images.shape[1], dtype=torch.float64)
    for piece in places.split(1024):
        values = images[piece].float()
        total = total + values.sum(dim=dims, dtype=torch.float64)
        squares = squares + values.square_().sum(dim=dims, dtype=torch.float64)
    count = len(places) * images[0, 0].numel()
    top = 255.0 if images.dtype == torch.uint8 else 1.0
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=0.0).sqrt()
    return (mean / top).float().view(shape), (std / top).clamp(min=1e-3).float().view(shape)


def _normalised(images: Tensor, scale: tuple[Tensor, Tensor]) -> Tensor:
    """(pixels - mean) / std as a new float32 tensor, with no second copy on the way."""
    mean, std = scale
    if images.dtype == torch.uint8:
        return torch.sub(images, mean * 255.0).div_(std * 255.0)
    return torch.sub(images.float(), mean).div_(std)


def _withhold(labels: Tensor, classes: int, share: float, generator: torch.Generator) -> Tensor:
    """Labels with all but a share set to -1, the same number kept for each class, at least one (share 0: none)."""
    kept = torch.full_like(labels, -1)
    if share == 0.0:
        return kept
    for label in range(classes):
        places = (labels == label).nonzero().flatten()
        if len(places) == 0:
            continue
        places = places[torch.randperm(len(places), generator=generator)]
        count = max(1, round(share * len(places)))
        kept[places[:count]] = label
    return kept
