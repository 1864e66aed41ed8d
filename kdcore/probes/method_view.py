"""What the methods of a run really compare: attention maps, Gram matrices, relations, distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy
import torch
from torch import Tensor

from kdcore.answers.method_view import MethodView as Answered
from kdcore.beside import Sides, sides
from kdcore.data import Data, Split
from kdcore.method import Method
from kdcore.objective import Share
from kdcore.outputs import some
from kdcore.probe import Probe, ProbeError, percent
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.views import TOGETHER, distances, has_view, laid, layers_compared, methods_of, named, same_for_all

if TYPE_CHECKING:
    from kdcore.revive import Revived

MOST_PARTS = 3
"""Tensors of a view that are drawn together."""
MOST_CHANNELS = 9
MOST_SIDE = 64
"""Rows and columns of a matrix; of more, evenly spread ones."""
NUMBERS, FEWEST = 4_000_000, 6
"""Numbers that a distance is taken over, and inputs at least."""
MOST_CLASSES = 20
"""Classes among the inputs that are compared with one another."""


class MethodView(Probe):
    """What does the method look at, and how near does the student come to it?

    Drawn with the method's own function: what attention transfer, say, takes for attention, of both networks on the
    same picture, or how alike a relation method finds the pictures of a batch. The nearer the student's picture comes
    to the teacher's, the lower the loss.
    """

    title = "What the method compares"
    answers = "MethodView"
    method: str = knob("", help="Which of the run's methods, by its name there. Empty: the first that can be shown.")
    part: int = knob(-1, -1, 999, help="Which of what it compares, counted from 0. -1: up to three of them.")
    picture: int = knob(0, 0, 99_999, help="Which validation picture, counted from 0.")
    inputs: int = knob(60, 8, 256, help="How many validation inputs are compared with one another.", unit="inputs")

    def ask(self, revived: Revived) -> Answered:
        data, who = revived.data, sides(revived)
        if self.picture >= len(data.validation):
            raise ProbeError(
                f"picture={self.picture}: there are {len(data.validation)} validation inputs, "
                f"0 to {len(data.validation) - 1}"
            )
        name, method, share, titles, without = self._chosen(who)
        places = _by_class(data, self.picture, self.inputs)
        batch, one = data.validation.of(places), data.validation.of(torch.tensor([self.picture]))
        try:
            told = laid(who, method, share, one)
            if not told:
                raise ProbeError(f"{method.title} laid nothing side by side on this run")
            shown = named(method, told[0], images=1, classes=data.classes)
            together = not method.shows or any(thing.kind in TOGETHER for thing in shown)
            if together:
                told = laid(who, method, share, batch)
                shown = named(method, told[0], images=len(batch), classes=data.classes)
            counted = batch if together else some(batch, _affordable(told[0].ours))
            apart = distances(who, method, share, counted, together=together)
        except ProbeError:
            raise
        except ValueError as error:
            raise ProbeError(f"{method.title}: {error}") from error
        names = {part: who.layer_names(part, count) for part, count in _layers(who, one).items()}
        parts = layers_compared(who, share, method, shown, names)
        if self.part >= len(parts):
            raise ProbeError(f"part={self.part}: {method.title} compares {len(parts)} things, 0 to {len(parts) - 1}")
        chosen = [self.part] if self.part >= 0 else _spread(len(parts), MOST_PARTS)
        row = int((places == self.picture).nonzero()[0]) if together else 0
        drawn: list[dict[str, Any]] = []
        values: dict[str, numpy.ndarray] = {}
        for number, place in enumerate(chosen):
            sides_of = {"teacher": told[0].theirs[place], **{side.part: side.ours[place] for side in told}}
            about, arrays = _of_picture(shown[place], sides_of, row)
            drawn.append({**about, "part": place, "layers": parts[place]})
            values |= {f"{number}/{part}": array.float().cpu().numpy() for part, array in arrays.items()}
        truth = data.class_names[int(one.truth)]
        points = not data.images_of_plane
        over = f"{len(counted):,} validation {'points' if points else 'pictures'}"
        pixels = data.pixels(one.images)[0][:3].permute(1, 2, 0).cpu().contiguous().numpy() if not points else None
        return Answered(
            title=f"What {method.title} compares",
            says=_sentence(shown, apart, over=over, left_out="" if "baseline" in apart else _left_out(who, method)),
            nearness={part: max(0.0, 1.0 - sum(found) / len(found)) for part, found in apart.items()},
            nearness_of="1 − the distance, in lengths of what the teacher has",
            method=name,
            methods=titles,
            without=without,
            parts=[", ".join(filter(None, (thing.name, layers))) for thing, layers in zip(shown, parts, strict=True)],
            drawn=drawn,
            values=values,
            distance=apart,
            labels=batch.truth.tolist(),
            class_names=list(data.class_names),
            picture=numpy.zeros((0, 0, 1), dtype=numpy.float32) if pixels is None else pixels,
            picture_says=f"validation {'point' if points else 'picture'} {self.picture} ({truth})",
            inputs="points" if points else "pictures",
        )

    def _chosen(self, who: Sides) -> tuple[str, Method, Share, dict[str, str], dict[str, str]]:
        found, without = methods_of(who)
        if who.objective is None:
            raise ProbeError(
                "nobody was taught by a teacher at this moment; choose one of the phase in which the student learns"
            )
        if not found:
            why = " ".join(f"{title}: {reason}" for title, reason in without.items())
            raise ProbeError(why or "no method of this run compares a student with a teacher")
        name = self.method or next(iter(found))
        if name not in found:
            method = dict(who.objective.methods.items()).get(name)
            if isinstance(method, Method) and not has_view(method):
                raise ProbeError(f"{method.title}: {method.no_view or 'it lays nothing side by side.'}")
            raise ProbeError(f"method={name!r}: this run has {', '.join(found)} to show")
        return name, *found[name], {key: method.title for key, (method, _) in found.items()}, without


def _by_class(data: Data, picture: int, count: int) -> Tensor:
    """Places of validation inputs ordered by class, as evenly as there are, the chosen one among them."""
    truth = data.validation.truth
    own = int(truth[picture])
    classes = truth.unique().tolist()
    if len(classes) > MOST_CLASSES:
        classes = sorted({own, *classes[: MOST_CLASSES - 1]})
    each = max(2, count // len(classes))
    found = []
    for kind in classes:
        places = (truth == kind).nonzero().flatten()
        kept = places[:each]
        if kind == own and picture not in kept.tolist():
            kept = torch.cat([places.new_tensor([picture]), kept[: each - 1]])
        found.append(kept)
    return torch.cat(found)


def _affordable(view: list[Tensor]) -> int:
    """Of how many inputs the distance is taken: fewer where one input already has many numbers (places by places)."""
    return max(FEWEST, NUMBERS // max(1, sum(tensor.numel() for tensor in view)))


def _layers(who: Sides, one: Split) -> dict[str, int]:
    return {part: len(seen.maps) for part, seen in who.look(one).items()}


def _of_picture(shown: Shown, sides_of: dict[str, Tensor], row: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What is drawn of one tensor for the chosen input: its description, and part -> array."""
    about: dict[str, Any] = {
        "kind": shown.kind, "name": shown.name, "value": shown.value, "rows": shown.rows, "columns": shown.columns,
        "names": list(shown.names), "note": "", "channels": [],
    }  # fmt: skip
    if shown.kind in ("classes", "numbers", "plane"):
        return about, {part: tensor[row] for part, tensor in sides_of.items()}
    if shown.kind == "images":
        return about, sides_of
    if shown.kind == "angles":
        return {**about, "kind": "images"}, {part: tensor[row] for part, tensor in sides_of.items()}
    if shown.kind == "matrix":
        return _cut(about, {part: tensor[row] for part, tensor in sides_of.items()})
    if shown.kind == "weights":
        return _cut({**about, "rows": "row of the weights", "columns": "column of the weights"},
                    {part: tensor.reshape(len(tensor), -1) if tensor.ndim else tensor.reshape(1, 1)
                     for part, tensor in sides_of.items()})  # fmt: skip
    own = {part: tensor[row] for part, tensor in sides_of.items()}
    if shown.kind == "pixels":
        if own["teacher"].ndim == 1:
            return {**about, "kind": "numbers", "rows": "input"}, own
        return {**about, "kind": "plane"}, {part: tensor.sum(dim=0) for part, tensor in own.items()}
    return _channels(about, own)


def _channels(about: dict[str, Any], own: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(c, h, w): the strongest channels of the teacher; a single one is a plane, without a plane they are numbers."""
    count, height, width = own["teacher"].shape
    if count == 1:
        return {**about, "kind": "plane"}, {part: tensor[0] for part, tensor in own.items()}
    if height * width == 1:
        return {**about, "kind": "numbers", "rows": "neuron"}, {part: one.flatten() for part, one in own.items()}
    strength = own["teacher"].float().square().mean(dim=(1, 2))
    kept = strength.argsort(descending=True, stable=True)[:MOST_CHANNELS].sort().values
    note = f"the teacher's {len(kept)} strongest of {count} channels" if count > len(kept) else f"{count} channels"
    return {**about, "channels": kept.tolist(), "note": note}, {part: tensor[kept] for part, tensor in own.items()}


def _cut(about: dict[str, Any], own: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A matrix with at most so many rows and columns, evenly spread."""
    rows, columns = (_spread(side, MOST_SIDE) for side in own["teacher"].shape)
    whole = own["teacher"].shape
    note = f"{len(rows)} × {len(columns)} of {whole[0]} × {whole[1]}" if (len(rows), len(columns)) != whole else ""
    return {**about, "kind": "matrix", "note": note}, {part: one[rows][:, columns] for part, one in own.items()}


def _spread(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return sorted({round(number * (count - 1) / (most - 1)) for number in range(most)})


def _left_out(who: Sides, method: Method) -> str:
    """Why the student alone does not stand beside the two."""
    if who.baseline is None:
        return ""
    if same_for_all(method):
        return " The student alone is left out: it has other layers."
    return " The student alone is left out: what the method learned for this was learned with the student."


def _sentence(shown: list[Shown], apart: dict[str, list[float]], *, over: str, left_out: str) -> str:
    mean = {part: sum(found) / len(found) for part, found in apart.items()}
    what = " and ".join(dict.fromkeys(thing.name for thing in shown))
    who = "The student" if shown[0].kind == "weights" else f"Over {over} the student"
    says = f"Compared: {what}. {who} is {percent(mean['student'])} away from the teacher"
    if "baseline" not in mean:
        return f"{says}.{left_out}"
    nearer = round(100 * mean["student"]) - round(100 * mean["baseline"])
    verdict = "the student is nearer" if nearer < 0 else "the student alone is nearer" if nearer else "equally near"
    return f"{says}, the student alone {percent(mean['baseline'])}: {verdict}."
