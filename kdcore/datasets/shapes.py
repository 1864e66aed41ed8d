"""Shapes drawn on the spot, with every difficulty on a knob and other sensors' views of the same scenes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.dataset import Dataset, Raw
from kdcore.signed_distance import FIGURES, box
from kdcore.spec import knob

SIDE = 32
MOST_CLUTTER = 8
PIECE = 500
"""Pictures drawn at once: their planes stay in the processor's cache."""
SENSORS = ("rgb", "grey", "edges", "depth")


@dataclass(frozen=True)
class Scenes:
    """What is in N pictures, before any of it is drawn. All lengths are in pixels, angles in radians."""

    labels: Tensor
    """(N,) place in FIGURES."""
    pose: Tensor
    """(N, 4): centre x and y, radius, angle."""
    hues: Tensor
    """(N, 3, 3) in [0, 1): for background, shape and bar, each red, green, blue."""
    waves: Tensor
    """(N, 2, 3): for background and shape, the texture's two wave numbers and its phase."""
    clutter: Tensor
    """(N, MOST_CLUTTER, 8) in [0, 1): centre x and y, angle, length, distance, red, green, blue."""
    bar: Tensor
    """(N, 2): direction and offset in [-1, 1) of what stands in front."""

    def piece(self, rows: slice | Tensor) -> Scenes:
        return Scenes(*(value[rows] for value in vars(self).values()))


def scenes(count: int, classes: int, generator: torch.Generator) -> Scenes:
    """Balanced classes, everything else drawn evenly. Nothing but the label follows from the label."""

    def even(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    labels = torch.randperm(count, generator=generator) % classes
    pose = even(4) * torch.tensor([8.0, 8.0, 4.0, 2 * math.pi]) + torch.tensor([-4.0, -4.0, 7.0, 0.0])
    speed, direction, phase = even(2) * 0.7 + 0.5, even(2) * math.pi, even(2) * 2 * math.pi
    waves = torch.stack([speed * direction.cos(), speed * direction.sin(), phase], dim=2)
    bar = even(2) * torch.tensor([math.pi, 2.0]) - torch.tensor([0.0, 1.0])
    return Scenes(labels, pose, even(3, 3), waves, even(MOST_CLUTTER, 8), bar)


class Shapes(Dataset):
    """Geometric shapes, 32x32 RGB, drawn on the spot: one shape a picture, anywhere, at any angle, in any colour.

    How hard it is can be set: colours, texture, clutter behind and a bar in front. Teacher and student may look at the
    same scenes through different sensors (colour, grey, edges, depth), each repeated to three channels, for cross-modal
    distillation. The test pictures are scenes of their own.
    """

    title = "Shapes 32×32"
    where = "made on the spot"

    classes: int = knob(6, 2, len(FIGURES), help=f"How many of {', '.join(FIGURES)}, in this order.", unit="classes")
    size: int = knob(
        4000,
        100,
        50_000,
        help="Pictures to train on, before validation is taken out. The test set is a fifth of it, at least 500.",
        unit="pictures",
    )
    colours: float = knob(0.8, 0.0, 1.0, help="Variety of colours. At 0 every shape and every background is alike.")
    texture: float = knob(0.1, 0.0, 1.0, help="Strength of the stripes on shape and background.")
    clutter: int = knob(2, 0, MOST_CLUTTER, help="Small bars that lie about behind the shape.", unit="bars")
    occlusion: float = knob(0.0, 0.0, 0.8, help="Width of a bar in front, as a share of the shape's diameter. 0: none.")
    student_sees: str = knob("rgb", choices=SENSORS, help="The sensor that the student's pictures come from.")
    teacher_sees: str = knob("rgb", choices=SENSORS, help="The sensor that the teacher's pictures come from.")

    def load(self, seed: int) -> Raw:
        train, train_partner, labels = self._split(self.size, 2 * seed)
        test, test_partner, test_labels = self._split(max(500, self.size // 5), 2 * seed + 1)
        return Raw(train, labels, test, test_labels, tuple(FIGURES)[: self.classes], train_partner, test_partner)

    def _split(self, count: int, seed: int) -> tuple[Tensor, Tensor | None, Tensor]:
        found = scenes(count, self.classes, torch.Generator().manual_seed(seed))
        both = self.student_sees != self.teacher_sees
        images = torch.empty(count, 3, SIDE, SIDE, dtype=torch.uint8)
        partner = torch.empty_like(images) if both else None
        for start in range(0, count, PIECE):
            rows = slice(start, start + PIECE)
            rgb, depth = self.draw(found.piece(rows))
            images[rows] = _bytes(sense(self.student_sees, rgb, depth))
            if partner is not None:
                partner[rows] = _bytes(sense(self.teacher_sees, rgb, depth))
        return images, partner, found.labels

    def draw(self, scene: Scenes) -> tuple[Tensor, Tensor]:
        """Colours (N, 3, 32, 32) and nearness (N, 32, 32), 1 nearest, of these scenes; back to front."""
        x, y = _pixels()
        background, shape, bar = ((scene.hues[:, part] - 0.5) * self.colours for part in range(3))

        stripes, own_stripes = (
            torch.sin(wave[:, 0, None, None] * x + wave[:, 1, None, None] * y + wave[:, 2, None, None])
            for wave in scene.waves.unbind(1)
        )
        rgb = (0.28 + 0.5 * background)[:, :, None, None] + (0.2 * self.texture * stripes)[:, None]
        depth = (0.15 + y / SIDE * -0.2).expand(len(scene.labels), SIDE, SIDE).clone()

        for bit in scene.clutter[:, : self.clutter].unbind(1):
            across, along = _turned(x, y, (bit[:, 0] - 0.5) * SIDE, (bit[:, 1] - 0.5) * SIDE, bit[:, 2] * math.pi)
            middle = 1.0 + 3.0 * bit[:, 3, None, None]  # the straight part, whose ends are the halves of a small box
            cover = _cover(box((across.abs() - middle).clamp(min=0.0), along, 0.6, 0.9))
            colour = 0.5 + 0.35 * self.colours * (2.0 * bit[:, 5:] - 1.0)
            _paint(rgb, depth, cover, colour[:, :, None, None], 0.3 + 0.2 * bit[:, 4, None, None])

        radius, distance = scene.pose[:, 2, None, None], self._distance(scene)
        inside = (-distance).clamp(min=0.0)
        colour = (0.72 + 0.5 * shape)[:, :, None, None] + (0.2 * self.texture * own_stripes)[:, None]
        _paint(rgb, depth, _cover(distance * radius), colour, 0.6 + 0.25 * inside)

        if self.occlusion > 0:
            cover = self._in_front(scene)
            _paint(rgb, depth, cover, (0.5 + 0.6 * bar)[:, :, None, None], torch.tensor(0.95))
        return rgb.clamp_(0.0, 1.0), depth

    def masks(self, seed: int, places: Tensor) -> Tensor:
        """How much of each pixel belongs to the shape, (N, 32, 32) in [0, 1], what a bar hides left out.

        For the pictures at these places of the training set that `load(seed)` makes; validation pictures are of it too.
        """
        found = scenes(self.size, self.classes, torch.Generator().manual_seed(2 * seed)).piece(places)
        cover = _cover(self._distance(found) * found.pose[:, 2, None, None])
        return cover * (1.0 - self._in_front(found)) if self.occlusion > 0 else cover

    def _distance(self, scene: Scenes) -> Tensor:
        """From each pixel to the shape's outline, (N, 32, 32) in radii, negative inside."""
        radius = scene.pose[:, 2, None, None]
        across, along = _turned(*_pixels(), *scene.pose[:, [0, 1, 3]].unbind(1))
        distance = torch.empty_like(across)
        for label, figure in enumerate(list(FIGURES.values())[: self.classes]):
            rows = (scene.labels == label).nonzero().flatten()
            distance[rows] = figure(across[rows] / radius[rows], along[rows] / radius[rows])
        return distance

    def _in_front(self, scene: Scenes) -> Tensor:
        """How much of each pixel the bar in front covers, (N, 32, 32)."""
        radius = scene.pose[:, 2, None, None]
        turn = scene.bar[:, 0] + scene.pose[:, 3]
        across, _ = _turned(*_pixels(), scene.pose[:, 0], scene.pose[:, 1], turn)
        offset = scene.bar[:, 1, None, None] * (1.0 - self.occlusion) * radius
        return _cover((across - offset).abs() - self.occlusion * radius)


def sense(sensor: str, rgb: Tensor, depth: Tensor) -> Tensor:
    """The scene as a sensor shows it, (N, 3, h, w) in [0, 1], from colours (N, 3, h, w) and nearness (N, h, w).

    'edges' is the length of Sobel's gradient of the grey picture.
    """
    if sensor == "rgb":
        return rgb
    if sensor == "depth":
        return depth[:, None].expand_as(rgb)
    grey = (rgb * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True)
    if sensor == "edges":
        sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
        kernels = torch.stack([sobel, sobel.T])[:, None]
        slopes = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), kernels)
        grey = (torch.hypot(slopes[:, :1], slopes[:, 1:]) / 2.0).clamp(max=1.0)
    return grey.expand_as(rgb)


def _pixels() -> tuple[Tensor, Tensor]:
    """The pixels' coordinates from the middle, x (1, 1, 32) to the right and y (1, 32, 1) upwards."""
    place = torch.arange(SIDE, dtype=torch.float32) - (SIDE - 1) / 2
    return place[None, None, :], -place[None, :, None]


def _turned(x: Tensor, y: Tensor, centre_x: Tensor, centre_y: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates of all pixels as a thing at that centre (N,), turned by that angle (N,), has them: (N, h, w) each."""
    east, north = x - centre_x[:, None, None], y - centre_y[:, None, None]
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return east * cosine + north * sine, north * cosine - east * sine


def _cover(distance: Tensor) -> Tensor:
    """How much of each pixel a thing covers, from the distance to its outline in pixels."""
    return (0.5 - distance).clamp(0.0, 1.0)


def _paint(rgb: Tensor, depth: Tensor, cover: Tensor, colour: Tensor, near: Tensor) -> None:
    """Put a thing over the picture, in place."""
    rgb.lerp_(colour.expand_as(rgb), cover[:, None].expand_as(rgb))
    depth.lerp_(near.expand_as(depth), cover)


def _bytes(images: Tensor) -> Tensor:
    return images.mul(255.0).round_().to(torch.uint8)
