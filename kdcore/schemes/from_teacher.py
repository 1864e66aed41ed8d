"""The student is made from the teacher: its structure, and its first weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy
import torch
from torch import Tensor, nn

from kdcore import derivations
from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.derivation import Derivation, Row, errors, report, settle, weighted
from kdcore.network import Network, parameters_of
from kdcore.recipe import Pick, RecipeError
from kdcore.registry import discover
from kdcore.scheme import Between, Casting, Phase, Scheme, alone, taught, taught_by_labels
from kdcore.scoring import logits_of
from kdcore.spec import knob
from kdcore.vocabulary import Seen

DERIVATIONS = discover(derivations, Derivation)  # type: ignore[type-abstract]
LOOKED = 1024
"""Training pictures over which norms are measured anew and layers compared."""


class FromTeacher(Scheme):
    """The student is cut out of the trained teacher, layer by layer, and then taught by it.

    A network that was factorised, narrowed or pruned is worse than its teacher at first, and a few epochs of
    distillation bring most of it back. Twins of the same structure begin at random: one is taught by the same teacher,
    one (the student alone) learns from labels. So what the teacher's weights are worth and what its teaching is worth
    can be told apart. The recipe's own student plays a role only where weights are inherited by it.
    """

    title = "Student from the teacher"
    kind = "offline"
    provenance = "Each derivation says its own; batch norms are measured anew after each, as is usual after pruning."
    pitfalls = (
        "Zeros of a pruned network are stored and multiplied: neither file nor arithmetic gets smaller.",
        "With a long training the head start of the teacher's weights wears off.",
    )
    example = {
        "data": {"is": "digits", "labelled": 0.05},
        "teacher": {"is": "plain", "width": 16, "stage_count": 2, "depth": 2},
        "methods": [{"is": "kd", "temperature": 2.0}],
        "scheme": {"is": "from_teacher", "derivation": "lowrank", "ratio": 0.3},
        "training": {"epochs": 5},
    }
    derivation: str = knob("lowrank", choices=tuple(DERIVATIONS), help="How the student is made from the teacher.")
    ratio: float = knob(
        0.5,
        0.02,
        1.0,
        help="Share of the teacher that is kept: of each layer's numbers, of the weights, of the blocks.",
    )
    factors: str = knob(
        "channel", choices=("channel", "spatial"),
        help="lowrank: a k x k and a 1 x 1 convolution, or a k x 1 and a 1 x k one.",
    )  # fmt: skip
    transform: str = knob(
        "negation", choices=("negation", "rotations", "rotations and mirrors"),
        help="compact_filters: what the other filters are to those stored.",
    )  # fmt: skip
    random: bool = knob(True, help="Also teach a twin of the same structure that begins at random.")

    def _derivation(self) -> Derivation:
        kind = DERIVATIONS[self.derivation]
        return kind(**{name: getattr(self, name) for name in kind.knobs})

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        try:
            derived = self._derivation().pick(teacher, student)
        except ValueError as error:
            raise RecipeError("scheme.derivation", f"{self.derivation}: {error}") from error
        roles = {"teacher": Casting(teacher, "teacher"), "student": Casting(derived, "student")}
        if self.random:
            roles["random"] = Casting(derived, "peer", twin_of="student")
        if self.baseline:
            roles["baseline"] = Casting(derived, "baseline", twin_of="student")
        return roles

    def dress(self, role: str, network: Network, seen: Seen) -> Network:
        if role == "teacher":
            return network
        try:
            return self._derivation().derive(network)
        except ValueError as error:
            raise RecipeError("scheme.derivation", f"{self.derivation}: {error}") from error

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        derivation, teacher = self._derivation(), cast["teacher"]
        student = getattr(cast["student"], "base", cast["student"])  # what a method may have dressed it with stays
        try:
            derivation.refuse(teacher, student)
        except ValueError as error:
            raise RecipeError("scheme.derivation", f"{self.derivation}: {error}") from error
        yield taught_by_labels(between)
        if self.baseline:
            yield alone(between, title="The same structure, begun at random, learns from the labels")
        if self.random:
            title = "The same structure, begun at random, learns from the teacher"
            yield from taught("random", title, "random", "teacher", between)

        kept = AtFirst(len(weighted(teacher))).to(between.device())

        def begins() -> None:
            images = between.data().train.images[:LOOKED]
            derivation.inherit(teacher, student)
            settle(student, images)
            found = errors(derivation, teacher, student, images[:256])
            values = [found.get(name, -1.0) for name, _ in weighted(teacher)]
            kept.errors.copy_(torch.tensor(values))
            kept.accuracy.fill_(_accuracy(student, between))

        @cache  # the structure stays the same
        def rows() -> list[Row]:
            return report(derivation, teacher, student, between.data().shape)

        def shows() -> Sequence[Answer]:
            partners = derivation.partners(teacher, student)
            names = [row.layer if row.layer in partners else f"{row.layer} (dropped)" for row in rows()]
            found = [
                _by_layer(rows(), names, "parameters", "Numbers in each layer", "numbers that are not zero"),
                _by_layer(rows(), names, "macs", "Arithmetic in each layer", "multiply-accumulates for a picture"),
            ]
            if self.derivation == "pruned":
                found[0] = replace(found[0], says=f"{found[0].says} All {parameters_of(student):,} are stored.")
            measured = kept.errors >= 0.0
            if measured.any():
                found.append(_errors([name for name, one in zip(names, measured.tolist(), strict=True) if one],
                                     kept.errors[measured]))  # fmt: skip
            now, whole = _accuracy(student, between), _accuracy(teacher, between)
            first = float(kept.accuracy)
            said = f"{100 * first:.1f} % right after the cut, {100 * now:.1f} % now; the teacher {100 * whole:.1f} %."
            found.append(Bars(
                "Right after the cut, and after learning", said,
                {"student": numpy.array([first, now], dtype=numpy.float32)},
                ["right after the cut", "now"], "", "accuracy on validation pictures", 0.0, 1.0, {"student": "student"},
                whole, f"teacher {100 * whole:.1f} %",
            ))  # fmt: skip
            return found

        title = "The student, cut out of the teacher, learns from it"
        for number, phase in enumerate(taught("student", title, "student", "teacher", between)):
            yield replace(phase, begins=None if number else begins, keeps={"at first": kept}, shows=shows)


class AtFirst(nn.Module):
    """What was measured before the student learned."""

    errors: Tensor
    """(teacher's layers,), -1 where nothing can be compared."""
    accuracy: Tensor
    """() in [0, 1]."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.register_buffer("errors", torch.full((layers,), -1.0))
        self.register_buffer("accuracy", torch.zeros(()))


def _accuracy(network: Network, between: Between) -> float:
    split = between.data().validation
    return float((logits_of(network, split.images).argmax(dim=1) == split.truth).float().mean())


def _by_layer(rows: Sequence[Row], names: list[str], what: str, title: str, unit: str) -> Bars:
    counts = numpy.array([getattr(row, what) for row in rows], dtype=numpy.float64)
    whole, left = counts.sum(axis=0)
    shares = (counts / max(whole, 1.0)).astype(numpy.float32)
    share = f"{100 * left / whole:.0f} %"
    return Bars(
        title, f"The teacher's layers have {int(whole):,} {unit}, the student's {int(left):,} ({share}).",
        {"teacher": shares[:, 0], "student": shares[:, 1]}, names, "layer of the teacher",
        f"{unit}, of all the teacher's", 0.0, float(shares.max()) * 1.15, {"teacher": "teacher", "student": "student"},
        None, "",
    )  # fmt: skip


def _errors(names: list[str], values: Tensor) -> Bars:
    worst = int(values.argmax())
    return Bars(
        "How far each layer was off before learning",
        f"{names[worst]} was off most, by {100 * float(values[worst]):.0f} % of its output's length.",
        {"student": values.float().cpu().numpy()}, names, "layer of the teacher",
        "error of the layer's output on the teacher's inputs", 0.0, max(1.0, float(values.max()) * 1.15),
        {"student": "student"}, None, "",
    )  # fmt: skip
