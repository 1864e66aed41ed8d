"""Where networks decide and where their neurons switch, in a two-dimensional input plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kdcore.answers.plane import Plane
from kdcore.beside import sides, view_logits
from kdcore.counterparts import counterparts
from kdcore.glances import Points, glances, points_of
from kdcore.planes import draw_plane
from kdcore.probe import Probe, ProbeError, percent
from kdcore.recalled import tensors_key
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived

MOST_POINTS = 250
SHADES = ("decisions", "signs")
"""What lies under the zero lines: the classes, or how many of the teacher's neurons are switched the same way."""


class Boundaries(Probe):
    """Where does each network decide, and where do its neurons switch on and off?

    Colours are the decision regions over the whole input plane, thin lines the zero lines of a layer's neurons, from
    which the network builds its boundary. Dark shade marks where a network decides otherwise than the teacher. Shaded
    by signs, the plane shows how many of the teacher's neurons each network switches the same way: through the run's
    connector where it learned one for signs, else each by the neuron that agrees with it best on validation points.
    """

    title = "Activation boundaries"
    answers = "Plane"
    turned = ("shade",)
    needs = ("points",)
    student_layer: int = knob(-1, -1, 999, help="The student's layer, counted from 0. -1: the one the run matched.")
    teacher_layer: int = knob(-1, -1, 999, help="The teacher's layer, counted from 0. -1: the one the run matched.")
    grid: int = knob(80, 8, 200, help="Points along each side of the plane.", unit="points")
    shade: str = knob("decisions", choices=SHADES, help="Colour by decisions, or by equal signs of neurons.")

    def ask(self, revived: Revived) -> Plane:
        data = revived.data
        if data.images_of_plane:
            raise ProbeError(
                f"{revived.recipe.data.key} gives pictures, whose input has more than two dimensions; the plane "
                "through three of them (picture_plane) can be drawn"
            )
        who = sides(revived)
        seen = who.look(data.validation, 2)
        s, t, why = who.pair(seen, self.student_layer, self.teacher_layer)
        stand_ins = {}
        if self.shade == "signs":
            stand_ins = counterparts(who, seen, glances(who, points_of(who, data.validation, 256), seen), (s, t))

        points = data.test.images[:MOST_POINTS] * data.std + data.mean
        low, high = points.min(dim=0).values, points.max(dim=0).values
        margin = 0.08 * (high - low).clamp(min=1e-3)
        x, y = (
            torch.linspace(float(low[axis] - margin[axis]), float(high[axis] + margin[axis]), self.grid)
            for axis in (0, 1)
        )
        columns, rows = x.repeat(self.grid), y.repeat_interleave(self.grid)
        plane = (torch.stack([columns, rows], dim=1).to(data.mean.device) - data.mean) / data.std
        drawn = draw_plane(
            who, dict.fromkeys(who.views(), Points(("plane", tensors_key(plane)), len(plane), plane.__getitem__)), seen,
            x=x.numpy(), y=y.numpy(), layers={"teacher": t, "student": s, "baseline": s}, stand_ins=stand_ins,
        )  # fmt: skip
        on_points: dict[str, Tensor] = {
            part: view_logits(revived, view, data.test.images).argmax(dim=1) for part, view in who.views().items()
        }
        agreement = {
            part: float((said == on_points["teacher"]).float().mean())
            for part, said in on_points.items()
            if part != "teacher"
        }
        signs_mean = {part: float(shares.mean()) for part, shares in drawn.signs.items()}
        alike = percent(agreement["student"], digits=1)
        said = f"The student decides as the teacher on {alike} of {len(data.test):,} test points"
        if "baseline" in agreement:
            said += f", the student alone on {percent(agreement['baseline'], digits=1)}"
        if signs_mean:
            said = says_of_signs(signs_mean)
        title = "Decision regions" if not stand_ins else f"Neurons switched as in the teacher ({ways(stand_ins)})"
        return Plane(
            title=f"{title} and zero lines, layers {why}",
            says=said + ".",
            nearness=others(signs_mean or agreement),
            nearness_of="neurons switched alike over the plane" if signs_mean else "test points decided alike",
            x=x.numpy(),
            y=y.numpy(),
            decisions=drawn.decisions,
            lines=drawn.lines,
            disagreement=drawn.disagreement(),
            agreement=agreement,
            points=points.float().cpu().numpy(),
            labels=data.test.truth[:MOST_POINTS].short().cpu().numpy(),
            class_names=list(data.class_names),
            layers=drawn.layers,
            x_axis="first input",
            y_axis="second input",
            signs=drawn.signs,
            signs_mean=signs_mean,
        )


def others(means: dict[str, float]) -> dict[str, float]:
    """Without the teacher, which is as near to itself as can be."""
    return {part: value for part, value in means.items() if part != "teacher"}


def says_of_signs(means: dict[str, float]) -> str:
    """On the mean over the plane, without a full stop."""
    said = (
        f"On average over the plane the student switches {percent(means['student'], digits=1)} of the layer's neurons "
        "as the teacher does"
    )
    if "baseline" in means:
        said += f", the student alone {percent(means['baseline'], digits=1)}"
    return said


def ways(stand_ins: dict) -> str:
    """How the teacher's neurons were found in the others, in words."""
    found = {part: stand_in.way for part, stand_in in stand_ins.items()}
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return f"student {found['student']}, student alone {found['baseline']}"
