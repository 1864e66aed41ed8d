"""What the methods of a run compare, for student and student alone, laid out tensor by tensor with names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from kdcore.beside import Sides
from kdcore.dataset import Split
from kdcore.looking import LIVE
from kdcore.method import Method
from kdcore.objective import Share
from kdcore.shown import Shown, guessed
from kdcore.vocabulary import Seen

CHUNK = 8
"""Pictures looked at together where each is compared by itself: places by places alone are 600,000 numbers at 28x28."""
TOGETHER = ("images", "angles")
"""Kinds that compare the pictures of a batch with one another."""


@dataclass(frozen=True)
class Laid:
    """One part of the networks beside the teacher, as a method compares them."""

    part: str
    """student or baseline."""
    ours: list[Tensor]
    theirs: list[Tensor]


def methods_of(who: Sides) -> tuple[dict[str, tuple[Method, Share]], dict[str, str]]:
    """(by name those in use that have a view, by title why others have none), without those that need no teacher."""
    if who.objective is None:
        return {}, {}
    found: dict[str, tuple[Method, Share]] = {}
    without: dict[str, str] = {}
    for name, share in who.objective.shares.items():
        method: Method = who.objective.methods[name]  # type: ignore[assignment]
        if share.weight <= 0 or not method.needs_teacher:
            continue
        if has_view(method):
            found[name] = (method, share)
        else:
            without[method.title] = method.no_view or "Nothing of it can be laid side by side."
    return found, without


def has_view(method: Method) -> bool:
    """Whether it lays something side by side."""
    return type(method).view is not Method.view and not method.no_view


def same_for_all(method: Method) -> bool:
    """Whether no part that was learned with the student stands between a network and the view."""
    told: tuple[Shown, ...] = method.shows
    return not any(True for _ in method.parameters()) or bool(told and all(one.untaught for one in told))


def seen_as_taught(who: Sides, method: Method, share: Share, split: Split) -> dict[str, tuple[Seen, Seen]]:
    """student, and baseline where it fits -> (what it saw, what the teacher saw), narrowed to the method's layers.

    The student alone fits where the method has no learned part, which was trained with the student, and where its
    layers have the student's shapes.
    """
    seen = who.look_as_taught(split, method.reads)
    fits = "baseline" in seen and _shapes(seen["baseline"]) == _shapes(seen["student"])
    if not fits or not same_for_all(method):
        seen.pop("baseline", None)
    return {part: share.narrow(method.matches, saw, seen["teacher"]) for part, saw in seen.items() if part != "teacher"}


def laid(who: Sides, method: Method, share: Share, split: Split) -> list[Laid]:
    """What the method compares of all the split's inputs at once, the student first, without a graph.

    Empty where the method has nothing to lay side by side after all. Raises ValueError as the method does.
    """
    found = []
    for part, (ours, theirs) in seen_as_taught(who, method, share, split).items():
        with torch.set_grad_enabled(LIVE in method.reads):
            view = method.view(ours, theirs)
        if view is not None:
            mine, yours = ([tensor.detach() for tensor in side] for side in view)
            found.append(Laid(part, mine, yours))
    return found


def named(method: Method, first: Laid, *, images: int, classes: int) -> list[Shown]:
    """What each tensor of a view of so many images is: as its method says, or by its shape."""
    told: tuple[Shown, ...] = method.shows
    if told:
        return [told[number % len(told)] for number in range(len(first.ours))]
    return [guessed(tuple(tensor.shape), images, classes) for tensor in first.ours]


def distances(who: Sides, method: Method, share: Share, split: Split, *, together: bool) -> dict[str, list[float]]:
    """part -> for each tensor of the view the length of the difference over the teacher's length, over all the split.

    `together`: the pictures are compared with one another, so all are looked at at once.
    """
    sums: dict[str, list[list[float]]] = {}
    for piece in [split] if together else _pieces(split):
        for one in laid(who, method, share, piece):
            counted = sums.setdefault(one.part, [[0.0, 0.0] for _ in one.ours])
            for total, ours, theirs in zip(counted, one.ours, one.theirs, strict=True):
                total[0] += float((ours - theirs).square().sum(dtype=torch.float64))
                total[1] += float(theirs.square().sum(dtype=torch.float64))
    return {part: [(apart / max(whole, 1e-24)) ** 0.5 for apart, whole in counted] for part, counted in sums.items()}


def layers_compared(who: Sides, share: Share, method: Method, shown: list[Shown], names: dict[str, list[str]]) -> (
    list[str]
):  # fmt: skip
    """Which layers each tensor of the view is of: "stage 1 ↔ stage 2", or "" where it is of none in particular."""
    if shown[0].kind == "weights":
        network = who.revived.networks[who.student.partition(":")[0]].deployed()
        return [name for name, _ in network.named_parameters()]
    if method.matches == "nothing":
        return [""] * len(shown)
    if method.matches == "all":
        student, teacher = share.pairing.student_layers, share.pairing.teacher_layers
        by_teacher = getattr(method, "attends", "student") == "teacher"
        pairs = [(s, t) for t in teacher for s in student] if by_teacher else [(s, t) for s in student for t in teacher]
    else:
        pairs = list(share.pairing.pairs)
    said = [f"{names['student'][s]} ↔ {names['teacher'][t]}" for s, t in pairs]
    every = max(1, len({one.name for one in shown}))
    following = [f"{one}, then {other}" for one, other in pairwise(said)]
    found = []
    for number, one in enumerate(shown):
        rows = {"pair": said, "next": following, "whole": []}[one.of]
        place = number // every
        found.append(rows[place] if place < len(rows) else "all layers" if one.of == "whole" else "embedding")
    return found


def _pieces(split: Split) -> Iterator[Split]:
    for places in torch.arange(len(split)).split(CHUNK):
        yield split.of(places)


def _shapes(seen: Seen) -> list[tuple[int, ...]]:
    return [tuple(one.shape[1:]) for one in (seen.logits, *seen.maps, *seen.preacts, seen.embedding)]
