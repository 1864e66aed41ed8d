"""Where networks decide and where their neurons switch, in a two-dimensional input plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.answer import Plane
from kdcore.beside import see, sides
from kdcore.contours import zero_lines
from kdcore.probe import Probe, ProbeError, percent
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived

MOST_NEURONS = 48
MOST_POINTS = 250


class Boundaries(Probe):
    """Where does each network decide, and where do its neurons switch on and off?

    Colours are the decision regions over the whole input plane, thin lines the zero lines of a layer's neurons, from
    which the network builds its boundary. Dark shade marks where a network decides otherwise than the teacher.
    """

    title = "Activation boundaries"
    answers = "Plane"
    needs = ("points",)
    student_layer: int = knob(-1, -1, 999, help="The student's layer, counted from 0. -1: the one the run matched.")
    teacher_layer: int = knob(-1, -1, 999, help="The teacher's layer, counted from 0. -1: the one the run matched.")
    grid: int = knob(80, 8, 200, help="Points along each side of the plane.", unit="points")

    def ask(self, revived: Revived) -> Plane:
        data = revived.data
        if data.images_of_plane:
            raise ProbeError(
                f"{revived.recipe.data.key} gives pictures, whose input has more than two dimensions; "
                "its activation boundaries are compared as shares of equal signs"
            )
        who = sides(revived)
        normal = who.look(data.test, 2)
        s, t, why = who.pair(normal, self.student_layer, self.teacher_layer)
        layers = {"teacher": t, "student": s, "baseline": s}

        points = data.test.images[:MOST_POINTS] * data.std + data.mean
        low, high = points.min(dim=0).values, points.max(dim=0).values
        margin = 0.08 * (high - low).clamp(min=1e-3)
        x, y = (
            torch.linspace(float(low[axis] - margin[axis]), float(high[axis] + margin[axis]), self.grid)
            for axis in (0, 1)
        )
        columns, rows = x.repeat(self.grid), y.repeat_interleave(self.grid)
        plane = (torch.stack([columns, rows], dim=1) - data.mean) / data.std

        decisions: dict[str, numpy.ndarray] = {}
        lines: dict[str, numpy.ndarray] = {}
        drawn: dict[str, str] = {}
        on_points: dict[str, Tensor] = {}
        for part, view in who.views().items():
            seen = see(revived, view, plane)
            preacts = seen.preacts[layers[part]].flatten(1)
            decisions[part] = seen.logits.argmax(dim=1).view(self.grid, self.grid).short().numpy()
            fields = preacts[:, :MOST_NEURONS].T.reshape(-1, self.grid, self.grid)
            lines[part] = zero_lines(fields.numpy(), x=x.numpy(), y=y.numpy())
            name = who.layer_names(part, len(seen.preacts))[layers[part]]
            drawn[part] = f"{name}, {min(MOST_NEURONS, preacts.shape[1])} of {preacts.shape[1]} neurons"
            on_points[part] = see(revived, view, data.test.images).logits.argmax(dim=1)
        agreement = {
            part: float((said == on_points["teacher"]).float().mean())
            for part, said in on_points.items()
            if part != "teacher"
        }
        alike = percent(agreement["student"], digits=1)
        said = f"The student decides as the teacher on {alike} of {len(data.test):,} test points"
        if "baseline" in agreement:
            said += f", the student alone on {percent(agreement['baseline'], digits=1)}"
        return Plane(
            title=f"Decision regions and zero lines, layers {why}",
            says=said + ".",
            x=x.numpy(),
            y=y.numpy(),
            decisions=decisions,
            lines=lines,
            disagreement={
                part: (found != decisions["teacher"]).astype(numpy.int16)
                for part, found in decisions.items()
                if part != "teacher"
            },
            agreement=agreement,
            points=points.float().numpy(),
            labels=data.test.truth[:MOST_POINTS].short().numpy(),
            class_names=list(data.class_names),
            layers=drawn,
            x_axis="first input",
            y_axis="second input",
        )
