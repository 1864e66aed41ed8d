"""Where networks decide and where their neurons switch, in the plane through three pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.answers.plane import Plane
from kdcore.beside import sides
from kdcore.chosen_pictures import as_pixels, choose_pictures, sides_images
from kdcore.counterparts import counterparts
from kdcore.glances import Points, glances, points_of
from kdcore.planes import draw_plane
from kdcore.probe import Probe, ProbeError, percent
from kdcore.probes.boundaries import SHADES, others, says_of_signs, ways
from kdcore.recalled import tensors_key
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived

REACH = 1.9
"""Sides of the plane, in sides of the square around the three pictures."""


class PicturePlane(Probe):
    """Where do the networks decide between three pictures, and where do their neurons switch?

    Three pictures lie in one plane of all possible pictures. Its points are mixtures of the three, inside the triangle
    with positive shares, outside it beyond a picture. Colours are decisions, thin lines where a neuron of the layer
    switches, dark shade where a network decides otherwise than the teacher.
    """

    title = "The plane through three pictures"
    answers = "Plane"
    needs = ("images",)
    ahead = 4
    turned = ("picture", "shade")
    picture: int = knob(-1, -1, 999_999, help="A validation picture, counted from 0. -1: the first of a class.")
    second: int = knob(-1, -1, 999_999, help="A validation picture. -1: the first of another class.")
    third: int = knob(-1, -1, 999_999, help="A validation picture. -1: the first of a third class.")
    student_layer: int = knob(-1, -1, 999, help="The student's layer, counted from 0. -1: the one the run matched.")
    teacher_layer: int = knob(-1, -1, 999, help="The teacher's layer, counted from 0. -1: the one the run matched.")
    grid: int = knob(44, 8, 120, help="Points along each side of the plane.", unit="points")
    shade: str = knob("decisions", choices=SHADES, help="Colour by decisions, or by equal signs of neurons.")

    def ask(self, revived: Revived) -> Plane:
        data = revived.data
        if not data.images_of_plane:
            raise ProbeError("points lie in a plane already; it is drawn by the probe boundaries")
        places = choose_pictures(data, (self.picture, self.second, self.third))
        who = sides(revived)
        seen = who.look(data.validation, 2)
        s, t, why = who.pair(seen, self.student_layer, self.teacher_layer)
        stand_ins = {}
        if self.shade == "signs":
            stand_ins = counterparts(who, seen, glances(who, points_of(who, data.validation, 256), seen), (s, t))
        anchors = corners(sides_images(data, places, "student"), places)
        x, y = axes_through(anchors, self.grid)
        mixed = shares_of(anchors, x, y)
        points = {part: points_between(sides_images(data, places, part), mixed) for part in who.views()}
        drawn = draw_plane(
            who, points, seen, x=x, y=y, layers={"teacher": t, "student": s, "baseline": s}, stand_ins=stand_ins
        )
        disagreement = drawn.disagreement()
        agreement = {part: 1.0 - float(found.mean()) for part, found in disagreement.items()}
        signs_mean = {part: float(shares.mean()) for part, shares in drawn.signs.items()}
        said = f"The student decides as the teacher on {percent(agreement['student'], digits=1)} of this plane"
        if "baseline" in agreement:
            said += f", the student alone on {percent(agreement['baseline'], digits=1)}"
        if signs_mean:
            said = says_of_signs(signs_mean)
        title = "Decision regions" if not stand_ins else f"Neurons switched as in the teacher ({ways(stand_ins)})"
        labels = data.validation.truth[places]
        return Plane(
            title=f"{title} between three validation pictures, and zero lines of layers {why}",
            says=said + ".",
            nearness=others(signs_mean or agreement),
            nearness_of="neurons switched alike over the plane" if signs_mean else "share of the plane decided alike",
            x=x.astype(numpy.float32),
            y=y.astype(numpy.float32),
            decisions=drawn.decisions,
            lines=drawn.lines,
            disagreement=disagreement,
            agreement=agreement,
            agreement_of="the plane",
            points=anchors.astype(numpy.float32),
            labels=labels.short().cpu().numpy(),
            class_names=list(data.class_names),
            layers=drawn.layers,
            x_axis="distance towards the second picture",
            y_axis="distance towards the third",
            signs=drawn.signs,
            signs_mean=signs_mean,
            pictures=as_pixels(data, places),
            picture_names=[
                f"{data.class_names[label]} (#{place})" for label, place in zip(labels.tolist(), places, strict=True)
            ],
        )


def corners(pictures: Tensor, places: list[int]) -> numpy.ndarray:
    """Where three pictures (3, *shape) lie in their plane, (3, 2) float64, distances kept; the first at (0, 0), the
    second to its right. Raises ProbeError where two are equal or all lie on one line."""
    first, second, third = pictures.double().flatten(1).cpu()
    side, other = second - first, third - first
    length = float(side.norm())
    along = float(other @ side) / length if length > 0 else 0.0
    rest = other - along / length * side if length > 0 else other
    height = float(rest.norm())
    if length == 0 or height <= 1e-6 * length:
        raise ProbeError(
            f"pictures {', '.join(map(str, places))} lie on one line or two of them are equal, so no plane goes "
            "through them alone; choose three pictures that differ"
        )
    return numpy.array([[0.0, 0.0], [length, 0.0], [along, height]])


def axes_through(anchors: numpy.ndarray, count: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Grid coordinates x (count,), y (count,) of a square around three anchors (3, 2), which lie on the grid: of each
    axis the lines nearest to an anchor are moved onto it."""
    low, high = anchors.min(axis=0), anchors.max(axis=0)
    half = REACH * float((high - low).max()) / 2
    axes = []
    for middle, values in zip((low + high) / 2, anchors.T, strict=True):
        axis = numpy.linspace(middle - half, middle + half, count)
        free = numpy.ones(count, dtype=bool)
        for value in numpy.unique(values):
            nearest = int(numpy.where(free, numpy.abs(axis - value), numpy.inf).argmin())
            axis[nearest], free[nearest] = value, False
        axes.append(numpy.sort(axis))
    return axes[0], axes[1]


def shares_of(anchors: numpy.ndarray, x: numpy.ndarray, y: numpy.ndarray) -> numpy.ndarray:
    """Of each point of the grid the shares of the three pictures in it, (H W, 3), adding up to 1."""
    (_, _), (length, _), (along, height) = anchors
    third = numpy.repeat(y, len(x)) / height
    second = (numpy.tile(x, len(y)) - third * along) / length
    return numpy.stack([1.0 - second - third, second, third], axis=1)


def points_between(pictures: Tensor, shares: numpy.ndarray) -> Points:
    """The points of a plane through pictures (3, *shape), made of (G, 3) shares of them as they are looked at."""
    key = ("mixtures", shares.tobytes(), tensors_key(pictures))
    return Points(key, len(shares), lambda rows: mixtures(shares[rows], pictures))


def mixtures(shares: numpy.ndarray, pictures: Tensor) -> Tensor:
    """(G, 3) shares of pictures (3, *shape) -> (G, *shape)."""
    weights = torch.as_tensor(shares, dtype=torch.float64, device=pictures.device)
    return (weights @ pictures.double().flatten(1)).view(-1, *pictures.shape[1:]).to(pictures.dtype)
