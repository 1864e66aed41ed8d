"""Which neuron of another network stands for each of the teacher's: by a learned connector, or by how they switch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kdcore.alignment import one_plane
from kdcore.beside import Sides, connected
from kdcore.probe import ProbeError
from kdcore.vocabulary import Seen


@dataclass(frozen=True)
class Counterpart:
    """For one network and one pair of layers: what stands for each neuron of the teacher."""

    who: Sides
    pair: tuple[int, int]
    way: str
    """How it was found, in words."""
    chosen: Tensor | None
    """(c',) the network's neuron for each of the teacher's; None: the run's connector says."""

    def beside(self, ours: Seen, theirs: Seen) -> tuple[Tensor, Tensor]:
        """Both before the activation, in the teacher's channels and the smaller plane, (N, c', h, w)."""
        if self.chosen is None:
            joined = connected(self.who, ours, theirs, self.pair, before_activation=True)
            assert joined is not None
            return joined.student, joined.teacher
        student, teacher = one_plane(ours.preacts[self.pair[0]], theirs.preacts[self.pair[1]])
        return student[:, self.chosen], teacher


def counterparts(who: Sides, seen: dict[str, Seen], pair: tuple[int, int]) -> dict[str, Counterpart]:
    """student and baseline -> who stands for the teacher's neurons, chosen on the even ones of what was seen.

    Whoever counts afterwards counts on the odd ones: the best of many guesses is no evidence. Raises ProbeError for
    layers whose neurons cannot be compared.
    """
    comparable(who, seen, pair)
    found = {}
    for part in seen:
        if part == "teacher":
            continue
        joined = connected(who, seen["student"], seen["teacher"], pair, before_activation=True)
        if part == "student" and joined is not None:
            found[part] = Counterpart(who, pair, "through its connector", None)
        else:
            ours, theirs = one_plane(seen[part].preacts[pair[0]], seen["teacher"].preacts[pair[1]])
            found[part] = Counterpart(who, pair, "by best partners", best_partners(ours[::2] > 0, theirs[::2] > 0))
    return found


def best_partners(ours: Tensor, theirs: Tensor) -> Tensor:
    """For each channel of theirs (N, c', h, w) the one of ours (N, c, h, w) most often on or off with it, (c',)."""
    a = ours.transpose(0, 1).flatten(1).float()
    b = theirs.transpose(0, 1).flatten(1).float()
    return (b @ a.T + (1 - b) @ (1 - a).T).argmax(dim=1)


def comparable(who: Sides, seen: dict[str, Seen], pair: tuple[int, int]) -> None:
    """Raises ProbeError where one layer has no neurons that switch, or one has a plane and the other none."""
    shapes = {}
    for part, layer in (("student", pair[0]), ("teacher", pair[1])):
        name = who.layer_names(part, len(seen[part].maps))[layer]
        if torch.equal(seen[part].maps[layer], seen[part].preacts[layer]):
            raise ProbeError(
                f"{name} of the {part} ends without an activation, so its neurons do not switch and have no boundary; "
                "choose a layer that ends with one, or a network that has such layers"
            )
        height, width = seen[part].maps[layer].shape[2:]
        shapes[part] = (name, (height, width))
    (ours, here), (theirs, there) = shapes["student"], shapes["teacher"]
    if ((1, 1) in (here, there)) and here != there:
        sizes = {True: "no plane", False: ""}
        said = [sizes[size == (1, 1)] or f"a plane of {size[0]}×{size[1]}" for size in (here, there)]
        raise ProbeError(
            f"{ours} of the student has {said[0]} and {theirs} of the teacher {said[1]}: layers of different kinds, "
            "whose neurons do not look at the same things; choose a pair that has a plane on both sides, or on none"
        )
