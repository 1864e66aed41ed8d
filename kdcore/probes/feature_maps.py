"""What one picture looks like to a layer of the teacher, of the student and of the student alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.answers.map_grid import MapGrid
from kdcore.asked_picture import asked_picture, own_knob
from kdcore.attention import energy
from kdcore.beside import Connected, Sides, connected, explained, sides
from kdcore.probe import Probe, ProbeError, percent
from kdcore.spec import knob
from kdcore.vocabulary import Seen

if TYPE_CHECKING:
    from kdcore.revive import Revived

FITTED = 256
"""Validation pictures for the number in the sentence."""
NAMES = {"teacher": "Teacher", "student": "Student", "baseline": "Student alone"}


class FeatureMaps(Probe):
    """What does each network see in one picture?

    The maps of a student layer stand beside those of the teacher layer it was matched with, after the learned connector
    where the run has one, with their difference; below them the student's own maps and those of the student alone.
    """

    title = "Feature maps"
    answers = "MapGrid"
    needs = ("images", "maps")
    split: str = knob("validation", choices=("validation", "test"), help="From which pictures.")
    picture: int = knob(0, 0, 99_999, help="Which picture of the split, counted from 0.")
    own: str = own_knob()
    student_layer: int = knob(-1, -1, 999, help="The student's layer, counted from 0. -1: the one the run matched.")
    teacher_layer: int = knob(-1, -1, 999, help="The teacher's layer, counted from 0. -1: the one the run matched.")
    channels: int = knob(16, 1, 64, help="How many channels of each layer are shown.", unit="channels")

    def ask(self, revived: Revived) -> MapGrid:
        data = revived.data
        if not data.images_of_plane:
            raise ProbeError(
                f"{revived.recipe.data.key} gives points, not pictures: points have no feature maps; "
                "see their activation boundaries instead"
            )
        asked = asked_picture(revived, self.split, self.picture, self.own)
        who = sides(revived)
        first = asked.split
        several = data.validation.of(torch.arange(min(FITTED, len(data.validation))))
        one, many = who.look(first), who.look(several)
        s, t, why = who.pair(one, self.student_layer, self.teacher_layer)
        layers = {"teacher": t, "student": s, "baseline": s}
        names = {part: who.layer_names(part, len(seen.maps))[layers[part]] for part, seen in one.items()}
        joined = connected(who, one["student"], one["teacher"], (s, t))
        grid = self._rows(who, one, many, layers, names, joined)
        shares = {
            part: explained(many[part].maps[layers[part]], many["teacher"].maps[t]) for part in one if part != "teacher"
        } if len(several) >= 4 else {}  # fmt: skip
        said = {part: int(seen.logits.argmax()) for part, seen in one.items()}
        words = data.class_names
        what = "your own" if asked.truth is None else f"a {words[asked.truth]}"
        return MapGrid(
            title=f"What {names['student']} of the student and {names['teacher']} of the teacher see ({why})"
            + ("" if joined else "; without a learned connector their channels do not go together one by one"),
            says=_sentence(shares, names["teacher"]),
            nearness=shares,
            nearness_of="variance of the teacher's layer that can be read off theirs",
            picture=data.pixels(first.images)[0].permute(1, 2, 0).float().cpu().numpy(),
            picture_says=f"{what}; "
            + ", ".join(f"{NAMES[part].lower()} says {words[label]}" for part, label in said.items()),
            looks=_looks({part: seen.maps[layers[part]] for part, seen in one.items()}),
            **grid,
        )

    def _rows(
        self, who: Sides, one: dict[str, Seen], many: dict[str, Seen], layers: dict[str, int], names: dict[str, str],
        joined: Connected | None,
    ) -> dict:  # fmt: skip
        """The rows of the grid with what belongs to them."""
        rows: dict[str, Tensor] = {}
        parts: dict[str, str] = {}
        notes: dict[str, str] = {}
        scales: dict[str, list[float]] = {}
        channels: dict[str, list[int]] = {}
        diverging: list[str] = []

        def add(title: str, part: str, values: Tensor, note: str, kept: Tensor) -> None:
            rows[title] = values[0, kept].float()
            parts[title], notes[title], channels[title] = part, note, kept.tolist()

        theirs = one["teacher"].maps[layers["teacher"]] if joined is None else joined.teacher
        strongest = energy_of_channels(many["teacher"].maps[layers["teacher"]])
        kept = strongest.argsort(descending=True)[: self.channels].sort().values
        moment = ", before the activation" if joined is not None and joined.before_activation else ""
        add("Teacher", "teacher", theirs, f"{names['teacher']}, {_shape(theirs)}{moment}", kept)
        if joined is not None:
            add(
                "Student after the connector", "student", joined.student,
                f"{names['student']} through {joined.method}", kept,
            )  # fmt: skip
            add(
                "Difference",
                "difference",
                joined.student - joined.teacher,
                "student after the connector − teacher",
                kept,
            )
        for part in ("student", "baseline"):
            if part in one:
                own = one[part].maps[layers[part]]
                add(
                    NAMES[part],
                    part,
                    own,
                    f"{names[part]}, {_shape(own)}",
                    torch.arange(min(self.channels, own.shape[1])),
                )
        for group in (("Teacher", "Student after the connector"), ("Difference",), ("Student", "Student alone")):
            values = torch.cat([rows[title].flatten() for title in group if title in rows] or [torch.zeros(1)])
            low, high = min(0.0, float(values.min())), max(float(values.max()), 1e-6)
            signed = low < -0.01 * high
            for title in group:
                if title in rows:
                    scales[title] = [low, high]
                    diverging += [title] if signed else []
        return {
            "rows": {title: values.numpy() for title, values in rows.items()},
            "parts": parts, "notes": notes, "scales": scales, "channels": channels, "diverging": diverging,
        }  # fmt: skip


def energy_of_channels(maps: Tensor) -> Tensor:
    """Mean squared activation of each channel, (N, c, h, w) -> (c,)."""
    return maps.float().square().mean(dim=(0, 2, 3))


def _looks(maps: dict[str, Tensor]) -> dict[str, numpy.ndarray]:
    """Where each network looks, on its own plane, the sum being 1; nothing for layers without a plane."""
    found = {}
    for part, layer in maps.items():
        if layer.shape[2] * layer.shape[3] > 1:
            where = energy(layer)[0, 0]
            found[part] = (where / where.sum().clamp(min=1e-12)).float().numpy()
    return found


def _shape(maps: Tensor) -> str:
    _, channels, height, width = maps.shape
    return f"{channels} neurons, no plane" if height * width == 1 else f"{channels} channels of {height}×{width}"


def _sentence(shares: dict[str, float], layer: str) -> str:
    if not shares:
        return f"Too few validation pictures to say how much of the teacher's {layer} can be read off the student."
    share = percent(shares["student"])
    said = f"{share} of the variance of the teacher's {layer} can be read linearly off the student's layer"
    if "baseline" in shares:
        said += f", {percent(shares['baseline'])} off the student alone (no teacher)"
    return said + "."
