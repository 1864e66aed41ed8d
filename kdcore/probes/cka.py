"""How alike each layer of the student is to each layer of the teacher."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy
import torch
from torch import Tensor

from kdcore.answers.matrix import Matrix
from kdcore.beside import sides
from kdcore.probe import Probe, ProbeError
from kdcore.recalled import Key, network_key, recalled, tensors_key
from kdcore.similarity import LEAST, batch_grams, cka_matrix, directions, mean_correlation
from kdcore.spec import knob
from kdcore.vocabulary import Seen

if TYPE_CHECKING:
    from kdcore.revive import Revived

Made = TypeVar("Made")
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
    ahead = 6
    measure: str = knob(
        "cka",
        choices=("cka", "svcca", "both"),
        help="CKA, the mean canonical correlation of 99 %, or one beside the other.",
    )
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
        wanted: list[str] = ["teacher"] if self.of == "teacher" else [part for part in seen if part != "teacher"]
        if not all(seen[part].maps for part in ["teacher", *wanted]):
            raise ProbeError("one of the networks has no layer inside that could be compared")
        found, says = {}, []
        shown = who.shown(revived.data.validation, self.inputs)
        keys = {part: (*network_key(revived, view), tensors_key(shown[part])) for part, view in who.views().items()}
        for measure in ("cka", "svcca") if self.measure == "both" else (self.measure,):
            name, values, said = self._measured(measure, seen, keys, wanted, count)
            found[name] = values
            says.append(said)
        names = {part: who.layer_names(part, len(one.maps)) for part, one in seen.items()}
        first = wanted[0]
        alone = len(found) == 1
        measures = " and ".join(found)
        return Matrix(
            title=f"{_upper(measures)} of layers ({count:,} validation inputs, {'; '.join(says)})",
            says=_sentence(found, names),
            nearness={
                part: max(0.0, float(next(iter(found.values()))[part][-1, -1])) for part in wanted if part != "teacher"
            },
            nearness_of=f"{next(iter(found))} of the last layers",
            panels={
                f"{NAMES[part]} × teacher" if alone else f"{_upper(name)}: {NAMES[part].lower()} × teacher": values[
                    part
                ]
                for part in wanted
                for name, values in found.items()
            },
            rows=names[first],
            columns=names["teacher"],
            row_axis=f"layer of the {'teacher' if first == 'teacher' else 'student'}",
            column_axis="layer of the teacher",
            value_axis=measures if alone else "similarity",
            low=0.0,
            high=1.0,
            spread={},
            centre={},
        )

    def _measured(
        self, measure: str, seen: dict[str, Seen], keys: dict[str, Key], wanted: list[str], count: int
    ) -> tuple[str, dict[str, numpy.ndarray], str]:
        """(the measure's name, part -> (R, K), how it was taken). What each network gives to it is kept."""
        way = self.features if self.features != "auto" else "flatten" if measure == "cka" else "average"
        planes = "whole maps" if way == "flatten" else "the mean of each channel"

        def of_each(what: tuple[object, ...], make: Callable[[list[Tensor]], Made]) -> dict[str, Made]:
            def made(part: str) -> Made:
                return make([as_rows(layer, way) for layer in seen[part].maps])

            return {part: recalled((*what, way, *keys[part]), partial(made, part)) for part in {"teacher", *wanted}}

        if measure == "svcca":
            bases = of_each(("svcca",), lambda rows: [directions(layer) for layer in rows])
            found, extra = _svcca(bases, wanted, count)
            name = "SVCCA"
        else:
            batches = max(1, count // self.batch)
            grams = of_each(
                ("cka", self.kernel, batches), lambda rows: batch_grams(rows, kernel=self.kernel, batches=batches)
            )
            found = {part: cka_matrix(grams[part], grams["teacher"]).float().cpu().numpy() for part in wanted}
            extra = f"{batches} {'batch' if batches == 1 else 'batches'}"
            name = f"{'RBF' if self.kernel == 'rbf' else 'linear'} CKA"
        return name, found, f"{extra}; {planes}" if self.measure != "both" else f"{name}: {extra}, {planes}"


def as_rows(layer: Tensor, way: str) -> Tensor:
    """A layer's maps as one row an input, (N, c, h, w) -> (N, c·h·w) for "flatten", in any order, or (N, c)."""
    if way != "flatten":
        return layer.flatten(2).mean(dim=2)
    return (layer.permute(0, 2, 3, 1) if layer.is_contiguous(memory_format=torch.channels_last) else layer).flatten(1)


def _svcca(bases: dict[str, list[Tensor]], wanted: list[str], count: int) -> tuple[dict[str, numpy.ndarray], str]:
    """part -> (R, K), and how many directions of the layers that takes."""
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


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _sentence(found: dict[str, dict[str, numpy.ndarray]], names: dict[str, list[str]]) -> str:
    measure = next(iter(found))
    values = {part: one.copy() for part, one in found[measure].items()}
    if "teacher" in values:
        own = values["teacher"]
        if len(own) < 2:
            return f"The teacher has 1 layer, which is like itself ({measure} {own[0, 0]:.2f})."
        numpy.fill_diagonal(own, -numpy.inf)
        row, column = divmod(int(own.argmax()), own.shape[1])
        pair = f"{names['teacher'][row]} and {names['teacher'][column]}"
        return f"Of different layers of the teacher, {pair} are most alike ({_numbers(found, 'teacher', row, column)})."
    says = f"The last layers of student and teacher are alike with {_numbers(found, 'student', -1, -1)}"
    means = f"over all pairs of layers {measure} is {values['student'].mean():.2f} on average"
    if "baseline" in values:
        alone = _numbers(found, "baseline", -1, -1)
        says += f", those of the student alone (no teacher) and the teacher with {alone}"
        means += f", with the student alone {values['baseline'].mean():.2f}"
    return f"{says}; {means}."


def _numbers(found: dict[str, dict[str, numpy.ndarray]], part: str, row: int, column: int) -> str:
    """ "linear CKA 0.93 and SVCCA 0.88"."""
    return " and ".join(f"{measure} {values[part][row, column]:.2f}" for measure, values in found.items())
