"""The one picture that a probe is asked about: of the data set, or one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from kdcore.dataset import Split
from kdcore.fitting import fitted
from kdcore.own_pictures import NAME, OwnPictureError, find
from kdcore.probe import ProbeError
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived


def own_knob() -> str:
    """The knob by which a probe is told of a picture of one's own."""
    return knob("", help="Name of a picture of one's own that is kept with the run; it takes the place of the other.")


@dataclass(frozen=True)
class Asked:
    """One picture, ready to be looked at."""

    split: Split
    """Of one row; the truth of one's own picture is -1."""
    name: str
    """"validation picture 3", or "your picture"."""
    truth: int | None
    """Its class, None where nobody knows it."""
    says: str
    """What was done to one's own picture, a sentence; "" for one of the data set."""

    def truth_says(self, class_names: tuple[str, ...]) -> str:
        """Its class in words."""
        return "unknown" if self.truth is None else str(class_names[self.truth])


def asked_picture(revived: Revived, split: str, number: int, own: str) -> Asked:
    """The picture of that number in a split of the data, or one's own where one is named, in the data's shape.

    Raises ProbeError for a number or name that is not there, and for one's own where inputs are no pictures or the
    teacher sees them through another sensor.
    """
    data = revived.data
    if not own:
        part: Split = getattr(data, split)
        kind = "pictures" if data.images_of_plane else "inputs"
        if number >= len(part):
            raise ProbeError(f"picture={number}: there are {len(part)} {split} {kind}, 0 to {len(part) - 1}")
        row = part.of(torch.tensor([number], device=part.truth.device))
        return Asked(row, f"{split} {kind[:-1]} {number}", int(row.truth), "")
    if not NAME.match(own):
        raise ProbeError(f"own={own[:40]!r} is no name of a picture of one's own: sixteen of 0-9 a-f")
    if not data.images_of_plane:
        raise ProbeError("this run learned from points in a plane; a picture of one's own has no place there")
    if data.partner_mean is not None:
        raise ProbeError(
            "this run's teacher sees every scene through another sensor than the student, and a picture of one's own "
            "comes through one only; choose a picture of the data set"
        )
    if revived.kept is None:
        raise ProbeError("this run is not kept anywhere, so no picture of one's own is either")
    try:
        picture = find(revived.kept, own)
    except OwnPictureError as error:
        raise ProbeError(str(error)) from error
    pixels, says = fitted(picture, data)
    like = data.validation.images
    images = ((pixels.to(data.mean.device) - data.mean) / data.std).to(like)
    unknown = torch.full((1,), -1, dtype=torch.long, device=like.device)
    return Asked(Split(images, unknown, unknown, unknown), "your picture", None, says)
