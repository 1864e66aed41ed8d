"""Which layers a method with attention lets teach which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.answer import Matrix
from kdcore.beside import Sides, see, sides
from kdcore.dataset import Split
from kdcore.probe import Probe, ProbeError, percent
from kdcore.spec import knob
from kdcore.vocabulary import Seen

if TYPE_CHECKING:
    from kdcore.revive import Revived

_DIRECTIONS = {
    "student": "each row adds up to 1, a student layer shares out its attention over the teacher's",
    "teacher": "each column adds up to 1, a teacher layer shares out its attention over the student's",
}


class LayerAssignment(Probe):
    """Which teacher layers teach which student layers?

    Methods with attention learn it, picture by picture. The mean over pictures is drawn, with its standard deviation;
    the colour turns at an even share, which is where attention starts.
    """

    title = "Layer assignment"
    answers = "Matrix"
    needs = ("attention",)
    inputs: int = knob(256, 8, 2048, help="How many validation inputs are looked at, in batches as in training.")

    def ask(self, revived: Revived) -> Matrix:
        who = sides(revived)
        found = [
            (name, share)
            for name, share in who.matched()
            if hasattr(who.objective.methods[name], "attends")  # type: ignore[union-attr]
        ]
        if not found:
            methods = ", ".join(part.method.key for part in revived.recipe.methods)
            when = "" if revived.lessons else ", or nobody was taught at this moment"
            raise ProbeError(
                f"{methods}: no method with attention over layers in this run{when}; "
                "semckd and afd_attn learn which layers to match"
            )
        seen = dict(_layers(who, revived, self.inputs))
        panels, spread, centre, says = {}, {}, {}, []
        names = {part: who.layer_names(part, len(values[0].maps)) for part, values in seen.items()}
        for name, share in found:
            assert who.objective is not None
            method = who.objective.methods[name]
            weights = []
            for ours, theirs in zip(seen["student"], seen["teacher"], strict=True):
                with torch.no_grad():
                    weights.append(method.attention(*share.narrow("all", ours, theirs)))  # type: ignore[operator]
            attention = torch.cat(weights).float()
            rows, columns = list(share.pairing.student_layers), list(share.pairing.teacher_layers)
            direction = str(method.attends)
            if direction == "teacher":
                attention = attention.transpose(1, 2)
            title = f"{method.title}: {_DIRECTIONS[direction]}"
            panels[title] = attention.mean(dim=0).numpy()
            spread[title] = (
                attention.std(dim=0).numpy() if len(attention) > 1 else torch.zeros(attention.shape[1:]).numpy()
            )
            rows_named = [names["student"][row] for row in rows]
            columns_named = [names["teacher"][column] for column in columns]
            centre[title] = 1.0 / (len(columns) if direction == "student" else len(rows))
            says.append(_sentence(panels[title], rows_named, columns_named, direction))
        return Matrix(
            title="Which layers teach which",
            says=" ".join(says),
            panels=panels,
            rows=rows_named,
            columns=columns_named,
            row_axis="layer of the student",
            column_axis="layer of the teacher",
            value_axis="share of attention",
            low=0.0,
            high=1.0,
            spread=spread,
            centre=centre,
        )


def _layers(who: Sides, revived: Revived, inputs: int) -> list[tuple[str, list[Seen]]]:
    """(part, what it saw) in batches as large as in training: SemCKD describes a picture by the others of its batch."""
    split, size = revived.data.validation, revived.recipe.budget().batch
    split = split.of(torch.arange(min(max(inputs, size), len(split))))
    if len(split) < 2:
        raise ProbeError(f"{len(split)} validation inputs are too few for attention; 2 or more are needed")
    starts = range(0, max(1, len(split) - size + 1), size)
    batches = [split.of(torch.arange(start, min(start + size, len(split)))) for start in starts]

    def images(batch: Split, part: str) -> Tensor:
        return batch.partner if part == "teacher" and batch.partner is not None else batch.images

    return [
        (part, [see(revived, view, images(batch, part)) for batch in batches])
        for part, view in who.views().items()
        if part != "baseline"
    ]


def _sentence(mean: numpy.ndarray, rows: list[str], columns: list[str], direction: str) -> str:
    row, column = divmod(int(mean.argmax()), len(columns))
    others = len(columns) if direction == "student" else len(rows)
    share = f"{percent(mean[row, column])}, where an even share is {percent(1 / others)}"
    if direction == "student":
        return f"The student's {rows[row]} follows the teacher's {columns[column]} most ({share})."
    return f"The teacher's {columns[column]} teaches the student's {rows[row]} most ({share})."
