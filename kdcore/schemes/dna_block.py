"""Block-wise distillation: candidates for each stage learn the teacher's stage, and the best ones are put together."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy
import torch
from torch import Tensor, nn

from kdcore.answer import Answer
from kdcore.answers.matrix import Matrix
from kdcore.blocks import KINDS, Assembly, best
from kdcore.network import Network
from kdcore.recipe import RecipeError
from kdcore.scheme import Between, Moment, Phase, Scheme, Turn, alone, taught, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Seen, Terms

LOOKED_AT = 512
"""Validation pictures at most on which candidates are ranked."""


class BlockSearch(Scheme):
    """Candidate blocks learn to do what one stage of the teacher does, are ranked, and the best are put together.

    Every candidate is fed the teacher's map before its stage and is to give the teacher's map after it, so stages
    learn apart and an architecture is judged by the sum of its blocks' losses, without training it as a whole. The
    choice with the least sum that fits a budget of parameters goes on as the student. The student alone is the same
    assembly, from random weights and labels. The recipe's student network plays no part: blocks have the teacher's
    widths.
    """

    title = "Architecture search: block by block (DNA)"
    kind = "architecture search"
    paper = Paper(
        "Li, Peng, Yuan, Wang, Liang, Lin, Chang", 2020, "https://arxiv.org/abs/1911.13053",
        "Block-wisely Supervised Neural Architecture Search with Knowledge Distillation",
    )  # fmt: skip
    provenance = (
        "Paper and the authors' code: one random candidate a stage and step, the stem with the first stage, the sum of "
        "losses under a budget. Own decisions: three candidates, exhaustive search, losses divided by the variance of "
        "the teacher's map, a teacher in evaluation mode, and a student that keeps the weights of its blocks."
    )
    pitfalls = (
        "Losses of stages differ in scale: without division by the variance a few stages decide alone.",
        "The authors' code runs the teacher in training mode.",
        "Each step trains one candidate of each stage, so each has a third of the steps.",
    )
    example = {
        "data": {"is": "digits", "label_noise": 0.6},
        "teacher": {"is": "plain", "width": 16, "stage_count": 3},
        "student": {"is": "plain", "width": 8, "stage_count": 3},
        "methods": [{"is": "kd", "temperature": 2.0}],
        "training": {"epochs": 40},
    }
    blocks: float = knob(0.3, 0.1, 0.9, help="Share of the student's epochs in which the blocks learn.")
    room: float = knob(
        0.5, 0.0, 1.0, help="Budget of parameters: 0 leaves room for the smallest assembly alone, 1 for the largest."
    )

    def dress(self, role: str, network: Network, look: Callable[[], Seen]) -> Network:
        if role == "teacher":
            seen = look()
            first = next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None)
            if first is None or len(seen.maps) < 2:
                raise RecipeError(
                    "teacher",
                    "block by block needs a teacher of convolutions in 2 or more stages; "
                    f"{type(network).title} has {len(seen.maps)} {'stages' if first else 'layers without a plane'}",
                )
            self._seen, self._channels = seen, first.in_channels
            return network
        if role == "student":
            self._first = Assembly(self._seen, self._channels)
            return self._first
        return copy.deepcopy(self._first)

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        student = cast["student"]
        assert isinstance(student, Assembly)
        sizes = student.sizes()
        smallest, largest = (sum(measure(stage) for stage in sizes) for measure in (min, max))
        budget = smallest + round(self.room * (largest - smallest))

        def own(moment: Moment) -> Terms:
            said = moment.see("teacher")
            terms: dict[str, Tensor] = {}
            before = moment.batch.images
            kinds = torch.randint(len(KINDS), (len(student.stages),), generator=moment.generator).tolist()
            for stage, kind in enumerate(kinds):
                terms[student.layers[stage]] = _error(student.block(stage, kind, before), said.maps[stage])
                before = said.maps[stage]
            return terms

        def losses() -> list[list[float]]:
            return ranked(student, cast["teacher"], between)

        def choose(role: str) -> None:
            assembly = cast[role]
            assert isinstance(assembly, Assembly)
            assembly.choice.copy_(torch.tensor(best(losses(), sizes, budget)))

        def shows() -> Sequence[Answer]:
            found = losses()
            return [picture(found, student, best(found, sizes, budget), budget, title="Which block fits which stage?")]

        def standing() -> Sequence[Answer]:
            title = "The chosen blocks, still fed the teacher's maps"
            return [picture(losses(), student, student.choice.tolist(), budget, title=title)]

        yield taught_by_labels(between)
        turn = Turn("student", own=own, told_by=("teacher",), hears=("maps",))
        yield Phase("blocks", "Candidate blocks learn the teacher's stages", (turn,), share=self.blocks, shows=shows)
        if self.baseline:
            title = "The chosen assembly alone learns from the labels"
            yield replace(alone(between, title=title), begins=lambda: choose("baseline"))
        together = taught("student", "The chosen blocks learn together from the teacher", "student", "teacher", between)
        for number, phase in enumerate(together):
            begins = (lambda: choose("student")) if number == 0 else None
            yield replace(phase, share=phase.share * (1.0 - self.blocks), shows=standing, begins=begins)


def _error(made: Tensor, wanted: Tensor) -> Tensor:
    """(N,) mean squared error as a share of the variance of what is wanted."""
    return (made - wanted).square().flatten(1).mean(dim=1) / wanted.var().clamp(min=1e-12)


def ranked(student: Assembly, teacher: Network, between: Between) -> list[list[float]]:
    """stage -> candidate -> its error on validation pictures, as a share of the variance of the teacher's map."""
    images = between.data().validation
    pictures, theirs = images.images[:LOOKED_AT], images.images if images.partner is None else images.partner
    student.eval()
    teacher.eval()
    with torch.no_grad():
        maps = teacher.look(theirs[:LOOKED_AT]).maps
        return [
            [
                float(_error(student.block(stage, kind, maps[stage - 1] if stage else pictures), wanted).mean())
                for kind in range(len(KINDS))
            ]
            for stage, wanted in enumerate(maps)
        ]


def picture(losses: list[list[float]], student: Assembly, way: Sequence[int], budget: int, *, title: str) -> Matrix:
    """The candidates' errors, and which of them stand in the student or would by now."""
    sizes = student.sizes()
    total = sum(sizes[stage][kind] for stage, kind in enumerate(way))
    values = numpy.array(losses, dtype=numpy.float32).T
    return Matrix(
        title=title,
        says=f"Chosen: {', '.join(f'{KINDS[kind]} at stage {stage + 1}' for stage, kind in enumerate(way))}; "
        f"{total:,} parameters in blocks, {budget:,} allowed.",
        panels={"candidates": values},
        rows=list(KINDS),
        columns=list(student.layers),
        row_axis="candidate block",
        column_axis="stage of the teacher",
        value_axis="error, share of the variance of the teacher's map",
        low=0.0,
        high=float(max(values.max(), 1e-6)),
        spread={},
        centre={},
    )
