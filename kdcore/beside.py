"""A student beside its teacher and beside the same student alone: who they are, what they see, which layers pair."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kdcore.alignment import one_plane
from kdcore.dataset import Split
from kdcore.looking import look, look_frozen
from kdcore.network import lots
from kdcore.objective import Objective, Share
from kdcore.pairing import automatic
from kdcore.probe import ProbeError
from kdcore.recalled import network_key, recalled, tensors_key
from kdcore.side_by_side import side_by_side
from kdcore.vocabulary import Seen

if TYPE_CHECKING:
    from kdcore.revive import Revived

CHUNK = 256
"""Pictures that a network looks at together."""


@dataclass(frozen=True)
class Sides:
    """Whom a probe compares at one moment of a run. A view is a role, or "role:2" for its exit number 2."""

    revived: Revived
    student: str
    teacher: str
    baseline: str | None
    objective: Objective | None
    """The methods between the two, with their learned parts; None while nobody is taught by a teacher."""

    def views(self) -> dict[str, str]:
        """part -> view: teacher, student, and baseline where there is one."""
        found = {"teacher": self.teacher, "student": self.student}
        return {**found, "baseline": self.baseline} if self.baseline else found

    def shown(self, split: Split, count: int = 0) -> dict[str, Tensor]:
        """part -> the split's first `count` inputs (0: all) as it is shown them."""
        split = split.of(torch.arange(count or len(split)).clamp(max=len(split) - 1).unique())
        theirs = split.images if split.partner is None else split.partner
        return {part: theirs if part == "teacher" else split.images for part in self.views()}

    def look(self, split: Split, count: int = 0) -> dict[str, Seen]:
        """part -> what it makes of the split's first `count` inputs (0: all), each of the pictures that it is shown."""
        views = self.views()
        return {part: see(self.revived, views[part], images) for part, images in self.shown(split, count).items()}

    def look_as_taught(self, split: Split, reads: Collection[str]) -> dict[str, Seen]:
        """part -> what it makes of the split, all at once, with the inputs, classifier and weights that are read.

        With "inputs" it hangs on the pictures, so that slopes can be taken; see `look` and `look_frozen`.
        """
        theirs = split.images if split.partner is None else split.partner
        found = {}
        for part, view in self.views().items():
            role, _, exit_number = view.partition(":")
            network = self.revived.networks[role]
            with torch.no_grad():  # where slopes are read, looking sees to the graph itself
                looking = (look_frozen, theirs) if part == "teacher" else (look, split.images)
                seen = looking[0](network, looking[1], reads)
            found[part] = seen.exits[int(exit_number)] if exit_number else seen
        return found

    def layer_names(self, part: str, layers: int) -> list[str]:
        """The names of a side's layers."""
        names = self.revived.networks[self.views()[part].split(":")[0]].layers
        return list(names) if len(names) == layers else [f"layer {number + 1}" for number in range(layers)]

    def matched(self) -> list[tuple[str, Share]]:
        """(name, share) of each method in use that compares layers, pair-by-pair methods first."""
        if self.objective is None:
            return []
        found = [
            (name, share)
            for name, share in self.objective.shares.items()
            if share.weight > 0 and self.objective.methods[name].matches != "nothing"
        ]
        return sorted(found, key=lambda one: self.objective.methods[one[0]].matches == "all")  # type: ignore[union-attr]

    def pair(self, seen: dict[str, Seen], student_layer: int, teacher_layer: int) -> tuple[int, int, str]:
        """(student layer, teacher layer, why these), where -1 leaves the choice to what the run's method matched.

        Raises ProbeError for a layer that is not there.
        """
        for part, layer in (("student", student_layer), ("teacher", teacher_layer)):
            if layer >= len(seen[part].maps):
                raise ProbeError(
                    f"{part}_layer={layer}: the {part} has layers 0 to {len(seen[part].maps) - 1}; "
                    "-1 takes the matched one"
                )
        if student_layer >= 0 and teacher_layer >= 0:
            return student_layer, teacher_layer, "as chosen"
        pairs, why = self.pairs(seen)
        if student_layer >= 0:
            pairs = [pair for pair in pairs if pair[0] == student_layer] or [
                pair for pair in self._by_shape(seen) if pair[0] == student_layer
            ]
        elif teacher_layer >= 0:
            pairs = [pair for pair in pairs if pair[1] == teacher_layer] or [
                (len(seen["student"].maps) // 2, teacher_layer)
            ]
        student_layer, teacher_layer = pairs[(len(pairs) - 1) // 2]
        return student_layer, teacher_layer, why

    def pairs(self, seen: dict[str, Seen]) -> tuple[list[tuple[int, int]], str]:
        """The layer pairs that the run matched pair by pair, or those of like resolution and depth, and why."""
        for name, share in self.matched():
            if self.objective is not None and self.objective.methods[name].matches != "all":
                return list(share.pairing.pairs), f"matched by {self.objective.methods[name].title}"
        return self._by_shape(seen), "alike in resolution and depth"

    def pairs_by_sign(self, seen: dict[str, Seen]) -> tuple[list[tuple[int, int]], str]:
        """The layer pairs whose signs the run compared, or each student layer with the one most like it in shape."""
        for name, share in self.matched():
            if self.objective is not None and hasattr(self.objective.methods[name], "connected"):
                return list(share.pairing.pairs), f"matched by {self.objective.methods[name].title}"
        return self._by_shape(seen), "alike in resolution and depth"

    def _by_shape(self, seen: dict[str, Seen]) -> list[tuple[int, int]]:
        shapes = {part: [tuple(layer.shape[1:]) for layer in seen[part].maps] for part in ("student", "teacher")}
        return list(automatic("each", "middle", student=shapes["student"], teacher=shapes["teacher"]).pairs)


def sides(revived: Revived) -> Sides:
    """Student, teacher and student alone at this moment. Raises ProbeError where one of the first two is not there."""
    baseline = next((role for role, part in revived.parts.items() if part == "baseline"), None)
    if revived.lessons:
        own = [one for one in revived.lessons if revived.parts.get(one.student.partition(":")[0]) == "student"]
        lesson = (own or revived.lessons)[-1]  # where peers teach one another, the student's own comes first
        return Sides(revived, lesson.student, lesson.teacher, baseline, lesson.objective)
    roles = {
        part: [role for role, found in revived.parts.items() if found == part] for part in set(revived.parts.values())
    }
    students = roles.get("student") or roles.get("peer") or []
    teachers = roles.get("teacher") or roles.get("assistant") or [role for role in students if role != students[-1]]
    if not students or not teachers:
        raise ProbeError(
            f"this run has the roles {', '.join(revived.parts)}: nobody there is taught by anybody at this moment; "
            "choose a moment of the phase in which the student learns from a teacher"
        )
    return Sides(revived, students[-1], teachers[0], baseline, None)


def see(revived: Revived, view: str, images: Tensor) -> Seen:
    """What a view makes of (N, *shape), looked at in chunks, without gradient; kept for the next question."""
    key = ("seen", *network_key(revived, view), tensors_key(images))
    return recalled(key, lambda: seen_anew(revived, view, images))


def seen_anew(revived: Revived, view: str, images: Tensor) -> Seen:
    """The same, for pictures that are looked at once."""
    role, _, exit_number = view.partition(":")
    network = revived.networks[role]

    def look_at(chunk: Tensor) -> Seen:
        with torch.no_grad():
            return network.look(chunk)

    chunks = list(side_by_side(look_at, images.split(CHUNK)))
    if exit_number:
        chunks = [seen.exits[int(exit_number)] for seen in chunks]
    if len(chunks) == 1:
        only = chunks[0]
        return Seen(only.logits, only.maps, only.preacts, only.embedding)

    def joined(tensors: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        return tuple(torch.cat(layer) for layer in zip(*tensors, strict=True))

    return Seen(
        torch.cat([seen.logits for seen in chunks]),
        joined([seen.maps for seen in chunks]),
        joined([seen.preacts for seen in chunks]),
        torch.cat([seen.embedding for seen in chunks]),
    )


def view_logits(revived: Revived, view: str, images: Tensor) -> Tensor:
    """The logits alone of (N, *shape), (N, C): a whole split's maps would not fit in memory. Kept as `see` does."""
    key = ("logits", *network_key(revived, view), tensors_key(images))
    return recalled(
        key,
        lambda: torch.cat(list(side_by_side(lambda lot: seen_anew(revived, view, lot).logits, lots(images)))),
    )


@dataclass(frozen=True)
class Connected:
    """A layer pair as a method compares it: the student's after the learned connector, in the teacher's shape."""

    method: str
    student: Tensor
    teacher: Tensor
    before_activation: bool


def connected(
    sides: Sides, student: Seen, teacher: Seen, pair: tuple[int, int], *, before_activation: bool = False
) -> Connected | None:
    """The pair through the run's own connector, (N, c, h, w) both, or None where no method learned one for it.

    `before_activation` asks for one that reads the neurons' signs.
    A method shows it as `connected(student, teacher)`, a list of pairs, before the activation, or as
    `view(student, teacher)`, two lists; both in the order of its pairs (student layers slowest where all meet all).
    """
    for name, share in sides.matched():
        assert sides.objective is not None
        method = sides.objective.methods[name]
        layers = list(share.pairing.pairs)
        if method.matches == "all":
            layers = [(s, t) for s in share.pairing.student_layers for t in share.pairing.teacher_layers]
        known = hasattr(method, "connected") or (hasattr(method, "view") and not before_activation)
        if pair not in layers or not known:
            continue
        narrowed = share.narrow(method.matches, student, teacher)  # type: ignore[arg-type]
        with torch.no_grad():
            if hasattr(method, "connected"):
                found = list(method.connected(*narrowed))  # type: ignore[operator]
            else:
                found = list(zip(*(method.view(*narrowed) or ((), ())), strict=True))  # type: ignore[operator]
        if len(found) != len(layers):
            continue
        ours, theirs = found[layers.index(pair)]
        whole = teacher.maps[pair[1]].shape
        if ours.ndim == 4 and ours.shape == theirs.shape and theirs.shape[1] == whole[1]:
            return Connected(method.title, ours, theirs, hasattr(method, "connected"))  # type: ignore[arg-type]
    return None


def explained(ours: Tensor, theirs: Tensor) -> float:
    """Share in [0, 1] of the teacher's variance that a linear map of the student's channels gives, place by place.

    (N, c, h, w) and (N, c', h', w'); the larger plane is averaged down. Least squares on the even pictures, scored on
    the odd ones, so that more channels do not win by memory.
    """
    left, whole = _fitted(*(halves(side) for side in one_plane(ours, theirs)))
    return float((1.0 - left.sum() / whole.sum().clamp(min=1e-12)).clamp(0.0, 1.0))


def explained_channels(ours: Halves, theirs: Halves) -> Tensor:
    """The same for each of the teacher's channels, (c',) in [0, 1]; 0 for one that is the same everywhere."""
    left, whole = _fitted(ours, theirs)
    shares = (1.0 - left / whole.clamp(min=1e-12)).clamp(0.0, 1.0)
    return torch.where(whole > 1e-12, shares, 0.0)


RIDGE = 1e-3
"""Beside the channels' mean sum of squares. Without it a neuron that fires on one picture in a hundred gets a weight
from that picture alone, and the odd pictures on which it fires harder undo the whole fit."""


@dataclass(frozen=True)
class Halves:
    """What a linear fit reads of a layer: its channels at evenly spread places of all pictures, in float64."""

    even: Tensor
    """(n, c), of every other picture: the fit's."""
    odd: Tensor
    """(n', c), of the others: the score's."""


def halves(maps: Tensor) -> Halves:
    """Of (N, c, h, w), on the plane of the comparison. Raises ProbeError for fewer than 4 pictures."""
    if len(maps) < 4:
        raise ProbeError(f"{len(maps)} pictures are too few for a linear fit; 4 or more are needed")
    stride = max(1, maps.shape[2] * maps.shape[3] * len(maps) // 16_384)
    return Halves(*(maps[start::2].permute(0, 2, 3, 1).flatten(0, 2)[::stride].double() for start in (0, 1)))


def _fitted(ours: Halves, theirs: Halves) -> tuple[Tensor, Tensor]:
    """Squares that the fit leaves of each of the teacher's channels, and those around its mean, (c',) each."""
    middle, middles = ours.even.mean(dim=0), theirs.even.mean(dim=0)
    inputs, targets = ours.even - middle, theirs.even - middles
    gram = inputs.T @ inputs
    ridge = RIDGE * gram.diagonal().mean().clamp(min=1e-12)
    gram += ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    weights = torch.linalg.solve(gram, inputs.T @ targets)
    left = ((ours.odd - middle) @ weights + middles - theirs.odd).square().sum(dim=0)
    return left, (theirs.odd - theirs.odd.mean(dim=0)).square().sum(dim=0)
