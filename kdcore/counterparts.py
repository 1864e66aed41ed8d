"""Which neuron of another network stands for each of the teacher's: by a learned connector, or by how they switch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kdcore.alignment import one_plane
from kdcore.beside import Sides, connected
from kdcore.glances import Glance, Points, Signs, connected_signs, smaller
from kdcore.patience import Way
from kdcore.probe import ProbeError
from kdcore.recalled import recalled
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

    def signs(
        self, ours: Glance, theirs: Glance, points: Points, seen: dict[str, Seen], *, way: Way | None = None
    ) -> tuple[Signs, Signs]:
        """Which are on, of both in the teacher's channels and the smaller plane, at points that both have glanced at.

        Through a connector the student looks once more; `way` is told of it.
        """
        student, teacher = in_one_plane(ours, theirs, self.pair)
        if self.chosen is None:
            return connected_signs(self.who, points, self.pair, seen, way=way), teacher
        return student.of(self.chosen), teacher


def counterparts(
    who: Sides, seen: dict[str, Seen], kept: dict[str, Glance], pair: tuple[int, int]
) -> dict[str, Counterpart]:
    """student and baseline -> who stands for the teacher's neurons, chosen on the even inputs that were glanced at.

    Whoever counts afterwards counts on the odd ones: the best of many guesses is no evidence. `seen` is a look at a
    few inputs. Raises ProbeError for layers whose neurons cannot be compared.
    """
    comparable(who, kept, pair)
    joined = connected(who, seen["student"], seen["teacher"], pair, before_activation=True)
    found = {}
    for part in kept:
        if part == "teacher":
            continue
        if part == "student" and joined is not None:
            found[part] = Counterpart(who, pair, "through its connector", None)
        else:

            def partners(part: str = part) -> Tensor:
                return best_partners(*(one.on()[::2] for one in in_one_plane(kept[part], kept["teacher"], pair)))

            chosen = recalled(("partners", kept[part].key, kept["teacher"].key, pair), partners)
            found[part] = Counterpart(who, pair, "by best partners", chosen)
    return found


def in_one_plane(ours: Glance, theirs: Glance, pair: tuple[int, int]) -> tuple[Signs, Signs]:
    """Which neurons of both layers are on at the smaller of their planes."""
    plane = smaller(ours.shapes[pair[0]][1:], theirs.shapes[pair[1]][1:])
    return ours.signs[pair[0], plane], theirs.signs[pair[1], plane]


def best_partners(ours: Tensor, theirs: Tensor) -> Tensor:
    """For each channel of theirs (N, c', h, w) the one of ours (N, c, h, w) most often on or off with it, (c',)."""
    a = ours.transpose(0, 1).flatten(1).float()
    b = theirs.transpose(0, 1).flatten(1).float()
    return (2.0 * (b @ a.T) - a.sum(dim=1)).argmax(dim=1)  # of both on and both off, what differs between ours


def comparable(who: Sides, kept: dict[str, Glance], pair: tuple[int, int]) -> None:
    """Raises ProbeError where one layer has no neurons that switch, or one has a plane and the other none."""
    shapes = {}
    for part, layer in (("student", pair[0]), ("teacher", pair[1])):
        name = who.layer_names(part, len(kept[part].shapes))[layer]
        if kept[part].straight[layer]:
            raise ProbeError(
                f"{name} of the {part} ends without an activation, so its neurons do not switch and have no boundary; "
                "choose a layer that ends with one, or a network that has such layers"
            )
        shapes[part] = (name, kept[part].shapes[layer][1:])
    (ours, here), (theirs, there) = shapes["student"], shapes["teacher"]
    if ((1, 1) in (here, there)) and here != there:
        sizes = {True: "no plane", False: ""}
        said = [sizes[size == (1, 1)] or f"a plane of {size[0]}×{size[1]}" for size in (here, there)]
        raise ProbeError(
            f"{ours} of the student has {said[0]} and {theirs} of the teacher {said[1]}: layers of different kinds, "
            "whose neurons do not look at the same things; choose a pair that has a plane on both sides, or on none"
        )
