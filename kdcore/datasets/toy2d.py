"""Points in the plane: the whole input space can be drawn, and with it what each network makes of it."""

from __future__ import annotations

import math

import numpy as np
import torch

from kdcore.dataset import Dataset, Raw
from kdcore.spec import KnobError, knob

TEST_POINTS = 1000


def spirals(count: int, classes: int, noise: float, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Arms of one and a half turns around the origin, out to radius 1: points (count, 2), labels (count,)."""
    labels = np.arange(count) % classes
    along = np.sqrt(random.uniform(0.01, 1.0, count))
    angle = 3.0 * math.pi * along + 2.0 * math.pi * labels / classes
    points = along[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points + random.normal(0.0, 1.0, points.shape) * noise, labels


def gaussians(count: int, classes: int, noise: float, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Round clouds, evenly spaced on the unit circle: points (count, 2), labels (count,)."""
    labels = np.arange(count) % classes
    angle = 2.0 * math.pi * labels / classes
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points + random.normal(0.0, 1.0, points.shape) * noise, labels


class Toy2D(Dataset):
    """Points in the plane in a figure of your choice, so that decision regions can be seen whole.

    Two moons and two circles come from scikit-learn; spirals and gaussians take two to eight classes. A test set of
    1,000 points is drawn apart from the training points. Made on the spot from the seed.
    """

    title = "Toy points 2D"
    gives = "points"
    where = "made on the spot"

    figure: str = knob(
        "moons", choices=("moons", "spirals", "circles", "gaussians"), help="How the classes lie in the plane."
    )
    classes: int = knob(2, 2, 8, help="Arms or clouds. Moons and circles are two classes.", unit="classes")
    noise: float = knob(
        0.15, 0.0, 1.0, help="Standard deviation of each point's place. The figures have a radius of about 1."
    )
    size: int = knob(1000, 50, 50_000, help="Points to train on, before validation is taken out.", unit="points")

    def load(self, seed: int) -> Raw:
        from sklearn.datasets import make_circles, make_moons  # costs a second, so not on import

        if self.figure in ("moons", "circles") and self.classes != 2:
            raise KnobError(
                "classes", f"classes={self.classes}: {self.figure} are 2; spirals and gaussians take 2 to 8"
            )
        random = np.random.RandomState(seed)

        def draw(count: int) -> tuple[torch.Tensor, torch.Tensor]:
            if self.figure == "moons":
                points, labels = make_moons(count, noise=self.noise, random_state=random)
            elif self.figure == "circles":
                points, labels = make_circles(count, noise=self.noise, factor=0.5, random_state=random)
            elif self.figure == "spirals":
                points, labels = spirals(count, self.classes, self.noise, random)
            else:
                points, labels = gaussians(count, self.classes, self.noise, random)
            return torch.tensor(points, dtype=torch.float32), torch.tensor(labels)

        test_points, test_labels = draw(TEST_POINTS)  # first, so that it stays the same as size is moved
        points, labels = draw(self.size)
        return Raw(points, labels, test_points, test_labels, tuple(f"class {place}" for place in range(self.classes)))
