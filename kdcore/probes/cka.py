"""How alike each layer of the student is to each layer of the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
from torch import Tensor

from kdcore.answer import Matrix
from kdcore.beside import sides
from kdcore.probe import Probe, ProbeError
from kdcore.similarity import LEAST, batch_grams, cka_matrix, directions, mean_correlation
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived

NAMES = {"teacher": "Teacher", "student": "Student", "baseline": "Student alone"}
ENOUGH = 5
"""Inputs for each direction, below which canonical correlations read high."""


class Cka(Probe):
    """Which layers of student and teacher hold alike representations of the same inputs?

    CKA compares how two layers arrange the inputs, whatever their widths: 1 is the same arrangement up to rotation and
    scale, 0 none in common. It is estimated without bias batch by batch, so it may fall a little below 0. SVCCA asks
    instead which directions go together under any linear map.
    """

    title = "Similarity of layers"
    answers = "Matrix"
    needs = ("maps",)
    measure: str = knob("cka", choices=("cka", "svcca"), help="CKA, or the mean canonical correlation of 99 %.")
    kernel: str = knob("linear", choices=("linear", "rbf"), help="Of CKA. rbf looks at near neighbours.")
    features: str = knob(
        "auto", choices=("auto", "flatten", "average"),
        help="A layer's maps as they are, or each channel's mean. auto: as they are for CKA, means for SVCCA.",
    )  # fmt: skip
    of: str = knob("student", choices=("student", "teacher"), help="Whose layers stand against the teacher's.")
    inputs: int = knob(256, LEAST, 2048, help="How many validation inputs are looked at.", unit="inputs")
    batch: int = knob(64, LEAST, 512, help="Inputs in one batch of CKA.", unit="inputs")

    def ask(self, revived: Revived) -> Matrix:
        who = sides(revived)
        seen = who.look(revived.data.validation, self.inputs)
        count = len(seen["teacher"].logits)
        if count < LEAST:
            raise ProbeError(f"{count} validation inputs are too few for similarity; {LEAST} or more are needed")
        way = self.features if self.features != "auto" else "flatten" if self.measure == "cka" else "average"
        rows = {part: [as_rows(layer, way) for layer in found.maps] for part, found in seen.items()}
        wanted: list[str] = ["teacher"] if self.of == "teacher" else [part for part in rows if part != "teacher"]
        if not all(rows[part] for part in ["teacher", *wanted]):
            raise ProbeError("one of the networks has no layer inside that could be compared")
        batches = max(1, count // self.batch)
        if self.measure == "cka":
            found, extra = self._cka(rows, wanted, batches), f"{batches} {'batch' if batches == 1 else 'batches'}"
        else:
            found, extra = _svcca(rows, wanted, count)
        names = {part: who.layer_names(part, len(layers)) for part, layers in rows.items()}
        first = wanted[0]
        measure = "SVCCA" if self.measure == "svcca" else f"{'RBF' if self.kernel == 'rbf' else 'linear'} CKA"
        planes = "whole maps" if way == "flatten" else "the mean of each channel"
        return Matrix(
            title=f"{measure[0].upper()}{measure[1:]} of layers ({count:,} validation inputs, {extra}; {planes})",
            says=_sentence(found, names, measure),
            panels={f"{NAMES[part]} × teacher": values for part, values in found.items()},
            rows=names[first],
            columns=names["teacher"],
            row_axis=f"layer of the {'teacher' if first == 'teacher' else 'student'}",
            column_axis="layer of the teacher",
            value_axis=measure,
            low=0.0,
            high=1.0,
            spread={},
            centre={},
        )

    def _cka(self, rows: dict[str, list[Tensor]], wanted: list[str], batches: int) -> dict[str, numpy.ndarray]:
        grams = {
            part: batch_grams(layers, kernel=self.kernel, batches=batches)
            for part, layers in rows.items()
            if part in {"teacher", *wanted}
        }
        return {part: cka_matrix(grams[part], grams["teacher"]).float().cpu().numpy() for part in wanted}


def as_rows(layer: Tensor, way: str) -> Tensor:
    """A layer's maps as one row an input, (N, c, h, w) -> (N, c·h·w) for "flatten", (N, c) for "average"."""
    return layer.flatten(1) if way == "flatten" else layer.flatten(2).mean(dim=2)


def _svcca(rows: dict[str, list[Tensor]], wanted: list[str], count: int) -> tuple[dict[str, numpy.ndarray], str]:
    """part -> (R, K), and how many directions of the layers that takes."""
    bases = {part: [directions(layer) for layer in rows[part]] for part in {"teacher", *wanted}}
    most = max(basis.shape[1] for layers in bases.values() for basis in layers)
    found = {
        part: numpy.array(
            [[mean_correlation(ours, theirs) for theirs in bases["teacher"]] for ours in bases[part]],
            dtype=numpy.float32,
        )
        for part in wanted
    }
    few = "" if count >= ENOUGH * most else ", too few inputs for so many: it reads high"
    return found, f"up to {most} directions{few}"


def _sentence(found: dict[str, numpy.ndarray], names: dict[str, list[str]], measure: str) -> str:
    if "teacher" in found:
        values = found["teacher"].copy()
        if len(values) < 2:
            return f"The teacher has 1 layer, which is like itself ({measure} {values[0, 0]:.2f})."
        numpy.fill_diagonal(values, -numpy.inf)
        row, column = divmod(int(values.argmax()), values.shape[1])
        pair = f"{names['teacher'][row]} and {names['teacher'][column]}"
        return f"Of different layers of the teacher, {pair} are most alike ({measure} {values[row, column]:.2f})."
    says = f"The last layers of student and teacher are alike with {measure} {found['student'][-1, -1]:.2f}"
    means = f"over all pairs of layers {found['student'].mean():.2f} on average"
    if "baseline" in found:
        alone = found["baseline"]
        says += f", those of the student alone (no teacher) and the teacher with {alone[-1, -1]:.2f}"
        means += f", with the student alone {alone.mean():.2f}"
    return f"{says}; {means}."
