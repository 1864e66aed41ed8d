"""Which layers a method with attention lets teach which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.answers.layer_attention import LayerAttention
from kdcore.beside import Sides, see, sides
from kdcore.dataset import Split
from kdcore.method import Method
from kdcore.objective import Share
from kdcore.probe import Probe, ProbeError, percent
from kdcore.similarity import LEAST, batch_grams, cka_matrix
from kdcore.spec import knob
from kdcore.vocabulary import Seen

if TYPE_CHECKING:
    from kdcore.revive import Revived

CKA_BATCH = 64
"""Inputs in one batch of CKA."""


class LayerAssignment(Probe):
    """Which teacher layers teach which student layers?

    Methods with attention learn it, picture by picture: the mean over pictures with its standard deviation, the same
    for one picture, and how sure each layer is (entropy). Beside it the CKA of the same layers: where both name the
    same partners, the learned attention follows similarity. Weighted by the attention, CKA says how alike the layers
    have become that teach each other; of the student alone, how alike they are without being taught.
    """

    title = "Layer assignment"
    answers = "LayerAttention"
    needs = ("attention",)
    inputs: int = knob(256, 8, 2048, help="How many validation inputs are looked at, in batches as in training.")
    picture: int = knob(0, 0, 99_999, help="Which validation input is shown by itself, counted from 0.")
    kernel: str = knob("linear", choices=("linear", "rbf"), help="Of the CKA beside it.")
    number: int = knob(0, 0, 11, help="Which of the run's methods with attention, counted from 0.")

    def ask(self, revived: Revived) -> LayerAttention:
        who = sides(revived)
        name, share = self._method(who)
        assert who.objective is not None
        method: Method = who.objective.methods[name]  # type: ignore[assignment]
        split = revived.data.validation
        if self.picture >= len(split):
            raise ProbeError(f"picture={self.picture}: there are {len(split)} validation inputs, 0 to {len(split) - 1}")
        if len(split) < LEAST:
            raise ProbeError(f"{len(split)} validation inputs are too few for attention; {LEAST} or more are needed")
        attention, one, layers = self._attention(who, method, share)
        theirs = layers["teacher"]
        attends = str(method.attends)
        over = 2 if attends == "student" else 1
        alike = {part: _similarity(ours, theirs, self.kernel) for part, ours in layers.items() if part != "teacher"}
        mean = attention.mean(dim=0)
        taught = {part: _of_the_taught(mean, found) for part, found in alike.items()}
        unsure = entropy(attention, dim=over)
        names = {part: who.layer_names(part, len(revived.networks[view.split(":")[0]].layers))
                 for part, view in who.views().items()}  # fmt: skip
        rows, columns = list(share.pairing.student_layers), list(share.pairing.teacher_layers)
        strongest = _strongest(mean, attends)
        measure = "RBF CKA" if self.kernel == "rbf" else "linear CKA"
        chosen = split.of(torch.tensor([self.picture]))
        pixels = revived.data.images_of_plane
        found = LayerAttention(
            title=f"Which layers teach which: {method.title}",
            says="",
            method=type(method).__module__.rsplit(".", 1)[-1],
            attends=attends,
            rows=[_named(names["student"], row) for row in rows],
            columns=[_named(names["teacher"], column) for column in columns],
            student_layers=rows,
            teacher_layers=columns,
            count=len(attention),
            mean=_plain(mean),
            spread=_plain(attention.std(dim=0, correction=0)),
            one=_plain(one),
            entropy=_plain(unsure.mean(dim=0)),
            entropy_spread=_plain(unsure.std(dim=0, correction=0)),
            entropy_one=_plain(entropy(one, dim=over - 1)),
            similarity=_plain(alike["student"]),
            similarity_alone=_plain(alike.get("baseline", torch.zeros(0, 0))),
            measure=measure,
            correlation=rank_correlation(_plain(mean), _plain(alike["student"]), attends=attends),
            by_depth=by_depth(len(rows), len(columns), attends=attends),
            strongest=strongest,
            number=self.picture,
            picture=revived.data.pixels(chosen.images)[0].permute(1, 2, 0).float().numpy()
            if pixels
            else numpy.zeros((0, 0, 1), dtype=numpy.float32),
            picture_says=f"a {revived.data.class_names[int(chosen.truth[0])]}",
            nearness={part: min(1.0, max(0.0, share)) for part, share in taught.items()},
            nearness_of=f"{measure} of the layers that teach each other, weighted by attention",
        )
        return LayerAttention(**{**vars(found), "says": _sentence(found, taught)})

    def _method(self, who: Sides) -> tuple[str, Share]:
        revived = who.revived
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
        if self.number >= len(found):
            raise ProbeError(f"number={self.number}: this run has {len(found)} with attention, counted from 0")
        return found[self.number]

    def _attention(self, who: Sides, method: Method, share: Share) -> tuple[Tensor, Tensor, dict[str, list[Tensor]]]:
        """(attention (N, S, T), that of the chosen input (S, T), part -> its layers as (N, p) each).

        In batches as large as in training: SemCKD describes an input by the others of its batch.
        """
        split, size = who.revived.data.validation, who.revived.recipe.budget().batch
        size = min(size, len(split))
        count = min(max(self.inputs, size), len(split))
        starts = range(0, count - size + 1, size)
        weights, layers, chosen = [], [], None
        for start in starts:
            seen = _batch(who, split, start, size)
            weights.append(_weights(method, share, seen))
            layers.append(_layers(share, seen))
            if start <= self.picture < start + size:
                chosen = weights[-1][self.picture - start]
        if chosen is None:
            start = min(self.picture // size * size, len(split) - size)
            chosen = _weights(method, share, _batch(who, split, start, size))[self.picture - start]
        joined = {
            part: [torch.cat(pieces)[: self.inputs] for pieces in zip(*(batch[part] for batch in layers), strict=True)]
            for part in layers[0]
        }
        return torch.cat(weights), chosen, joined


def entropy(attention: Tensor, *, dim: int) -> Tensor:
    """Entropy in nats of shares that sum to 1 along `dim`: 0 for all on one, ln K for an even share of K.

    >>> entropy(torch.tensor([0.5, 0.5, 0.0]), dim=0)
    tensor(0.6931)
    """
    return torch.special.entr(attention).sum(dim=dim)


def rank_correlation(attention: numpy.ndarray, similarity: numpy.ndarray, *, attends: str) -> float | None:
    """Spearman's rank correlation of two (S, T), ranked within each attending layer; None where nothing has ranks.

    Within, because attention sums to 1 there: whether a layer is like all the others says nothing about its choice.
    Without ties it is the mean of the attending layers' own coefficients.
    """
    axis = 1 if attends == "student" else 0
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=axis) for values in (attention, similarity)]
    first, second = (found - found.mean(axis=axis, keepdims=True) for found in ranks)
    whole = float(numpy.square(first).sum() * numpy.square(second).sum()) ** 0.5
    return float((first * second).sum()) / whole if whole > 0 else None


def by_depth(student: int, teacher: int, *, attends: str) -> list[list[int]]:
    """[row, column] of each attending layer and the one at the same share of the other network's depth."""
    if attends == "student":
        return [[row, max(0, round((row + 1) / student * teacher) - 1)] for row in range(student)]
    return [[max(0, round((column + 1) / teacher * student) - 1), column] for column in range(teacher)]


def _batch(who: Sides, split: Split, start: int, size: int) -> dict[str, Seen]:
    batch = split.of(torch.arange(start, start + size))
    return {
        part: see(
            who.revived,
            view,
            batch.partner if part == "teacher" and batch.partner is not None else batch.images,
        )
        for part, view in who.views().items()
    }


def _weights(method: Method, share: Share, seen: dict[str, Seen]) -> Tensor:
    """The method's own attention with the student's layers in rows, (N, S, T) float32."""
    with torch.no_grad():
        found = method.attention(*share.narrow("all", seen["student"], seen["teacher"])).float()  # type: ignore[operator]
    return found.transpose(1, 2) if method.attends == "teacher" else found


def _layers(share: Share, seen: dict[str, Seen]) -> dict[str, list[Tensor]]:
    """part -> the layers that take part, (N, p) each; without the student alone where it has others."""
    found = {}
    for part, saw in seen.items():
        if part == "teacher" or len(saw.maps) != len(seen["student"].maps):
            continue
        ours, theirs = share.narrow("all", saw, seen["teacher"])
        found[part] = [layer.flatten(1) for layer in ours.maps]
        found["teacher"] = [layer.flatten(1) for layer in theirs.maps]
    return found


def _similarity(ours: list[Tensor], theirs: list[Tensor], kernel: str) -> Tensor:
    batches = max(1, len(theirs[0]) // CKA_BATCH)
    return cka_matrix(*(batch_grams(side, kernel=kernel, batches=batches) for side in (ours, theirs)))


def _of_the_taught(mean: Tensor, alike: Tensor) -> float:
    """The similarity of the layers that teach each other: its mean weighted by the attention, both (S, T)."""
    return float((mean * alike.to(mean)).sum() / mean.sum())


def _strongest(mean: Tensor, attends: str) -> list[list[int]]:
    if attends == "student":
        return [[row, int(column)] for row, column in enumerate(mean.argmax(dim=1))]
    return [[int(row), column] for column, row in enumerate(mean.argmax(dim=0))]


def _named(names: list[str], layer: int) -> str:
    return names[layer] if layer < len(names) else f"layer {layer + 1}"


def _plain(values: Tensor) -> numpy.ndarray:
    return values.detach().float().cpu().numpy()


def _sentence(found: LayerAttention, taught: dict[str, float]) -> str:
    row, column = divmod(int(found.mean.argmax()), len(found.columns))
    share = f"{percent(found.mean[row, column])}, where an even share is {percent(found.even)}"
    if found.attends == "student":
        said = f"The student's {found.rows[row]} follows the teacher's {found.columns[column]} most ({share})"
    else:
        said = f"The teacher's {found.columns[column]} teaches the student's {found.rows[row]} most ({share})"
    same = sum(pair in found.by_depth for pair in found.strongest)
    pairs = f"{same} of {len(found.strongest)} strongest pairs are those of like depth"
    close = f"The layers that teach each other are alike at {found.measure} {taught['student']:.2f}"
    if "baseline" in taught:
        close += f", those of the student alone at {taught['baseline']:.2f}"
    close = close.replace(" -", " −")
    if found.correlation is None:
        return f"{said}; {pairs}, and there is nothing to rank against {found.measure}. {close}."
    return (
        f"{said}. Attention ranks layers as {found.measure} does with a correlation of {found.correlation:.2f} "
        f"(1: the same order, −1: the reverse); {pairs}. {close}.".replace("of -", "of −")
    )
