"""The student is made from the teacher: its structure, and its first weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy
import torch
from torch import Tensor, nn

from kdcore import derivations
from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.derivation import Derivation, Row, errors, report, settle, weighted
from kdcore.network import Network, macs_of, parameters_of
from kdcore.preview import Foretold
from kdcore.recipe import Pick, RecipeError
from kdcore.registry import discover
from kdcore.scheme import Between, Casting, Phase, Scheme, alone, taught, taught_by_labels
from kdcore.scoring import logits_of
from kdcore.spec import knob
from kdcore.vocabulary import Seen

DERIVATIONS = discover(derivations, Derivation)  # type: ignore[type-abstract]
LOOKED = 1024
"""Training pictures over which norms are measured anew."""
COMPARED = 256
"""Training pictures on which layers and answers are compared, and validation pictures of what is said before."""


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
    foretells = "How far each layer is off, and what the student scores before it has learned,"
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

    def dress(self, role: str, network: Network, look: Callable[[], Seen]) -> Network:
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
            found, whole = cut(derivation, teacher, student, between)
            values = [found.get(name, -1.0) for name, _ in weighted(teacher)]
            kept.errors.copy_(torch.tensor(values))
            kept.whole.fill_(whole)
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
            values = zip(names, kept.errors.tolist(), strict=True)
            found.append(off({name: one for name, one in values if one >= 0.0}, float(kept.whole)))
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

    def foretell(self, cast: Mapping[str, Network], between: Between, trained: Collection[str]) -> Foretold:
        derivation, teacher, student = self._derivation(), cast["teacher"], cast["student"]
        shape = between.data().shape
        size, whole = (parameters_of(one) for one in (student, teacher))
        macs, most = (macs_of(one, shape) for one in (student, teacher))
        says = (
            f"The student has {size:,} of the teacher's {whole:,} parameters ({100 * size / whole:.0f} %) "
            f"and needs {macs:,} of its {most:,} multiply-accumulates ({100 * macs / most:.0f} %)."
        )
        if self.derivation == "pruned":
            says += f" Outside the classifier {100 * self.ratio:.0f} % of the weights stay; the zeros are stored too."
        if "teacher" not in trained:
            return Foretold(says)
        layers, answers = cut(derivation, teacher, student, between)
        first, best = (100 * _accuracy(one, between, most=COMPARED) for one in (student, teacher))
        count = min(COMPARED, len(between.data().validation))
        says += (
            f" Before it has learned it is right for {first:.0f} % of {count} validation pictures, "
            f"the teacher for {best:.0f} %."
        )
        return Foretold(says, [off(layers, answers)])


def cut(derivation: Derivation, teacher: Network, student: Network, between: Between) -> tuple[dict[str, float], float]:
    """Give the student the teacher's weights and measure its norms anew; how far layers and answers are off then.

    Layers as in `derivation.errors`; the answers by |student's - teacher's| / |teacher's| logits, norms and all.
    """
    images = between.data().train.images[:LOOKED]
    derivation.inherit(teacher, student)
    settle(student, images)
    ours, theirs = (logits_of(one, images[:COMPARED]).float() for one in (student, teacher))
    whole = torch.linalg.vector_norm(ours - theirs) / torch.linalg.vector_norm(theirs).clamp(min=1e-12)
    found = errors(derivation, teacher, student, images[:COMPARED])
    return {name: found[name] for name, _ in weighted(teacher) if name in found}, float(whole)


class AtFirst(nn.Module):
    """What was measured before the student learned."""

    errors: Tensor
    """(teacher's layers,), -1 where nothing can be compared."""
    whole: Tensor
    """() of the answers."""
    accuracy: Tensor
    """() in [0, 1]."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.register_buffer("errors", torch.full((layers,), -1.0))
        self.register_buffer("whole", torch.zeros(()))
        self.register_buffer("accuracy", torch.zeros(()))


def _accuracy(network: Network, between: Between, *, most: int | None = None) -> float:
    split = between.data().validation
    return float((logits_of(network, split.images[:most]).argmax(dim=1) == split.truth[:most]).float().mean())


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


def off(layers: Mapping[str, float], whole: float) -> Bars:
    """How far each of these layers is off on the teacher's own inputs to it, and how far the student's answers are."""
    values = {**layers, "the answers": whole}
    says = f"The student's answers are off by {100 * whole:.0f} % of the length of the teacher's."
    if layers:
        worst = max(layers, key=layers.__getitem__)
        says = (
            f"{worst} is off most on the teacher's inputs, by {100 * layers[worst]:.0f} % of its output's length. "
            + says
        )
    return Bars(
        "How far each layer is off before learning", says,
        {"student": numpy.array(list(values.values()), dtype=numpy.float32)}, list(values), "layer of the teacher",
        "relative error of the output", 0.0,
        max(1.0, max(values.values()) * 1.15), {"student": "student"}, None, "",
    )  # fmt: skip
