"""Brings a picture of one's own to what a data set's pictures look like: shape, polarity, size and place of ink."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.data import Data
from kdcore.own_pictures import OwnPicture

LOOKED = 512
"""Pictures of the data set that are measured."""
NEAR, INKED = 0.15, 0.25
"""How far from the ground, in grey of [0, 1], still is ground; and the share of the strongest ink that is ink."""
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class InkOnGround:
    """What grey pictures have in common that show one thing on a plain ground, as digits do. Lengths in pixels."""

    ground: float
    """Grey of the ground in [0, 1]."""
    ink: float
    """Grey of the strongest ink."""
    longest: float
    """Median longer side of the box around the ink."""
    middle: tuple[float, float]
    """(y, x) where the things stand."""
    by_mass: bool
    """Whether it is their centre of mass that stands there, or the middle of their box: what varies less."""


def fitted(own: OwnPicture, data: Data) -> tuple[Tensor, str]:
    """The picture in the data's shape, (1, c, h, w) in [0, 1] on the CPU, and a sentence on what was done to it.

    Grey pictures of one thing on a plain ground, such as digits, are swapped to the data's dark and light, and their
    ink is brought to the size and place that it has in the data. All others are cut to their middle square, resized.
    """
    channels, height, width = data.shape
    picture = torch.from_numpy(own.pixels.copy()).permute(2, 0, 1).float() / 255.0
    done = []
    if channels == 1 and len(picture) == 3:
        picture = (picture * torch.tensor(LUMA)[:, None, None]).sum(dim=0, keepdim=True)
        done.append("made grey")
    elif channels == 3 and len(picture) == 1:
        picture = picture.expand(3, -1, -1)
    wide, tall = own.size
    came = f"{own.origin} {'on a canvas of ' if own.origin == 'drawn' else 'with '}{wide:,}×{tall:,} pixels"
    look = ink_on_ground(data) if channels == 1 and own.fit != "as it is" else None
    ground = _ground(picture[0]) if look is not None else None
    if look is not None and ground is not None:
        swap = (ground > 0.5) != (look.ground > 0.5)
        if own.fit == "swapped":
            swap = not swap
        strength = (picture[0] - ground).abs()
        if float(strength.max()) > NEAR:
            if swap:
                done.append("its dark and light swapped")
            done.append("its ink brought to the size and place that it has in the data")
            return _placed(strength, look, height, width, own.fit)[None, None], _sentence(came, done, height, width)
    if own.fit == "swapped":
        picture = 1.0 - picture
        done.append("its dark and light swapped")
    if own.fit == "like the data" and look is not None and ground is None:
        done.append("not centred, since it has no plain ground")
    side = min(picture.shape[1:])
    if picture.shape[1] != picture.shape[2]:
        done.append("cut to its middle square")
    top, left = (picture.shape[1] - side) // 2, (picture.shape[2] - side) // 2
    square = picture[:, top : top + side, left : left + side]
    return _resized(square, height, width)[None], _sentence(came, done, height, width)


def ink_on_ground(data: Data) -> InkOnGround | None:
    """What the data's grey pictures have in common, or None where they have no plain ground (or colours).

    Measured on validation pictures: the ground is what their corners show.
    """
    if data.shape[0] != 1:
        return None
    pictures = data.pixels(data.validation.images[:LOOKED])[:, 0].cpu()
    corners = pictures[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    ground = float(corners.median())
    strength = (pictures - ground).abs()
    strongest = strength.amax(dim=(1, 2))
    if float(((corners - ground).abs() < NEAR).float().mean()) < 0.8 or float(strongest.median()) < 2 * NEAR:
        return None
    boxes = torch.tensor([_box(one) for one in strength]).float()  # (N, 4): top, bottom, left, right
    middles = torch.stack([boxes[:, :2].sum(dim=1), boxes[:, 2:].sum(dim=1)], dim=1) / 2
    masses = torch.tensor([_mass(one) for one in strength])
    by_mass = float(masses.var(dim=0).sum()) < float(middles.var(dim=0).sum())
    middle = (masses if by_mass else middles).median(dim=0).values
    longest = torch.stack([boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]]).amax(dim=0).median()
    top = ground + float(strongest.median()) * (1.0 if float(pictures.mean()) > ground else -1.0)
    return InkOnGround(ground, top, float(longest), (float(middle[0]), float(middle[1])), by_mass)


def _placed(strength: Tensor, look: InkOnGround, height: int, width: int, fit: str) -> Tensor:
    """Ink strengths (h, w) as a picture (height, width) in the data's grey, size and place."""
    top, bottom, left, right = _box(strength)
    ink = strength[top:bottom, left:right] / strength.max()
    scale = min(look.longest / max(ink.shape), height / ink.shape[0], width / ink.shape[1])
    small = _resized(ink[None], *(max(1, round(side * scale)) for side in ink.shape))[0]
    small = small / small.max().clamp(min=1e-6)
    y, x = _mass(small) if look.by_mass else (small.shape[0] / 2, small.shape[1] / 2)
    row = min(max(0, round(look.middle[0] - y)), height - small.shape[0])
    column = min(max(0, round(look.middle[1] - x)), width - small.shape[1])
    placed = torch.zeros(height, width)
    placed[row : row + small.shape[0], column : column + small.shape[1]] = small
    ground, full = (look.ink, look.ground) if fit == "swapped" else (look.ground, look.ink)
    return (ground + (full - ground) * placed).clamp(0.0, 1.0)


def _ground(picture: Tensor) -> float | None:
    """Grey of the plain ground that a picture (h, w) has at its edge, or None where it has none."""
    edge = torch.cat([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    ground = float(edge.median())
    return ground if float(((edge - ground).abs() < NEAR).float().mean()) > 0.75 else None


def _box(strength: Tensor) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the ink in (h, w); the whole plane without any."""
    inked = strength > INKED * strength.max()
    rows, columns = inked.any(dim=1).nonzero().flatten(), inked.any(dim=0).nonzero().flatten()
    if len(rows) == 0:
        return 0, strength.shape[0], 0, strength.shape[1]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _mass(strength: Tensor) -> tuple[float, float]:
    """(y, x) of the centre of the ink's mass in (h, w), in pixels from the upper left corner."""
    total = strength.sum().clamp(min=1e-6)
    y = (strength.sum(dim=1) * (torch.arange(strength.shape[0]) + 0.5)).sum() / total
    x = (strength.sum(dim=0) * (torch.arange(strength.shape[1]) + 0.5)).sum() / total
    return float(y), float(x)


def _resized(picture: Tensor, height: int, width: int) -> Tensor:
    """(c, h, w) at another size, averaged where it shrinks."""
    found = F.interpolate(picture[None], size=(height, width), mode="bilinear", antialias=True, align_corners=False)
    return found[0].clamp(0.0, 1.0)


def _sentence(came: str, done: list[str], height: int, width: int) -> str:
    return f"Your picture was {', '.join([came, *done])}, and resized to {height}×{width}."
