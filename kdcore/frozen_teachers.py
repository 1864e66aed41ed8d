"""What is kept of one phase's frozen teachers: of pictures as they are, or of the views in which they are shown."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kdcore import mapped
from kdcore.dataset import Split
from kdcore.fingerprint import weights_key
from kdcore.looking import LIVE, PARTS, SECOND, look_frozen, with_parts
from kdcore.memory import MEMORY, SHARED, TeacherMemory, apart, remembered, shared, size
from kdcore.recipe import RecipeError
from kdcore.scheme import Phase
from kdcore.stage import Stage
from kdcore.view_memory import Drawn, Kept, ViewMemory
from kdcore.vocabulary import Seen

ALIKE = 0.05
"""How far apart what is kept and what is seen may lie (`memory.apart`): rounding on a GPU comes to 0.01 at the most."""


@dataclass(frozen=True)
class Showing:
    """How a phase shows its pictures."""

    split: Split
    epochs: int
    batch: int
    order: Callable[[int], Tensor]
    """epoch -> (N,) all rows, in batches of `batch`."""
    images: Callable[[str, Tensor, int], Tensor]
    """(role, rows, epoch) -> the pictures as that role sees them then."""


@dataclass(frozen=True)
class Room:
    """How much is kept of what a frozen teacher says."""

    reads: frozenset[str]
    """What is read of it."""
    views: int
    """In how many views the pictures are shown: 1 where they stay as they are."""
    kept: int
    """Of how many of these it is kept."""
    shared: bool = False
    """Whether views are kept for the next run of the process too: all of them, then."""
    mapped: bool = False
    """Whether they are kept in files."""
    meant: bool = False
    """Whether they would be, had the disk room for all."""

    def looks(self, epochs: int) -> int:
        """In how many of so many epochs it looks at the pictures all the same."""
        return sum(epoch < self.views or epoch % self.views >= self.kept for epoch in range(epochs))


def rooms(stage: Stage, phase: Phase, showing: Showing, *, files: bool = True) -> dict[str, Room]:
    """Frozen teacher -> its room, for those of whom anything is worth keeping: pictures come again, and it fits.

    With another view in every epoch they come again in the next run of the process. What is too much for memory goes to
    files (never from a GPU) where it comes again twice: to write a view takes about as long as to look at it.
    """
    found, still = {}, stage.data.augmentation == "none"
    disk = mapped.free() if files else 0
    for role, reads in reads_of(stage, phase).items():
        if stage.data.mix != "none" or reads & {LIVE, SECOND} or role in phase.moving:
            continue
        network = stage.cast[role].eval()
        with torch.no_grad():
            one = size(network.look(stage.eyes(role, showing.split)[:2]), reads, len(showing.split))
        views = min(1 if still else stage.data.views or showing.epochs, showing.epochs)
        small = not still and views * one <= SHARED
        kept = views if small else min(views, showing.epochs - views, MEMORY // one)  # the others are shown once
        filed = min(views, showing.epochs - 2 * views) if stage.device.type == "cpu" else 0
        meant, fitting = filed > kept, min(filed, disk // one)
        if to_files := fitting > kept:
            kept, disk = fitting, disk - fitting * one
        if kept > 0 or meant:
            found[role] = Room(frozenset(reads), views, kept, shared=small, mapped=to_files, meant=meant)
    return found


class FrozenTeachers:
    """The memories of the teachers that do not learn in a phase. They need room, and pictures that come again.

    Mixed pictures never come again, and what methods read of a second view or on the pictures themselves is not kept.
    """

    def __init__(self, stage: Stage, phase: Phase, showing: Showing, *, files: bool = True) -> None:
        self._stage, self._showing = stage, showing
        self.whole: dict[str, TeacherMemory] = {}
        """role -> its memory of pictures that stay as they are."""
        self.views: dict[str, ViewMemory] = {}
        """role -> its memory of views; in a file, pictures that stay as they are have one view."""
        self._proven: set[str] = set()
        self._rooms = rooms(stage, phase, showing, files=files)
        for role, room in self._rooms.items():
            self._keep(role, room)

    def said(self, role: str, places: Tensor, drawn: Drawn | None) -> Seen | None:
        """What is kept of a teacher at these rows, or None: then it has to look. Views are kept for drawn batches.

        The first that comes out of a memory is held against a look. Raises RecipeError where they differ. How much disk
        is free makes no difference: where files are meant, a look is laid out as their rows are, since sums over maps
        come out otherwise with channels last.
        """
        if role in self.whole:
            found = self.whole[role].at(places)
            if role not in self._proven:
                self._prove(role, found, self._look(role, places, 0))
            return found
        if role not in self.views or drawn is None or places is not drawn.places:
            return None
        kept = self.views[role].at(drawn)
        if kept is None and not self._rooms[role].meant:
            return None
        found, recalled = kept or (self._look(role, places, drawn.epoch).each(Tensor.contiguous), False)
        if recalled and role not in self._proven:
            self._prove(role, found, self._look(role, places, drawn.epoch))
        return with_parts(self._stage.cast[role], found, set(self._rooms[role].reads), still=True)

    def _keep(self, role: str, room: Room) -> None:
        """Make a memory, or take one that an earlier run of the process has made."""
        stage, showing = self._stage, self._showing
        still = stage.data.augmentation == "none"
        if still and not room.meant:
            self.whole[role] = remembered(stage, role, showing.split, set(room.reads))
            return
        fields = set(room.reads) - set(PARTS)
        kept: Kept = {}
        if room.shared:
            draws = stage.data.augmentation, stage.recipe.seed, showing.batch
            key = ("views", weights_key(stage.cast[role]), *draws, *sorted(fields))
            kept = shared(key, stage.eyes(role, showing.split), showing.split.index, dict)
        view: Callable[[int], int] = (lambda epoch: 0) if still else stage.data.view
        self.views[role] = ViewMemory(
            kept, fields, partial(self._look, role), showing.order, len(showing.split), showing.batch, view, room.kept,
            mapped.empty if room.mapped else Tensor.new_empty,
        )  # fmt: skip

    def _look(self, role: str, places: Tensor, epoch: int) -> Seen:
        return look_frozen(self._stage.cast[role].eval(), self._showing.images(role, places, epoch))

    def _prove(self, role: str, kept: Seen, live: Seen) -> None:
        self._proven.add(role)
        distance = apart(kept, live)
        if distance > ALIKE:
            raise RecipeError(
                "teacher",
                f"what was kept of the {role} is not what it says of the same pictures now: {distance:.2g} of what "
                f"lies between pictures, where {ALIKE:g} at most is right; it does not stay as it is, or what it says "
                "of a picture depends on those beside it",
            )


def reads_of(stage: Stage, phase: Phase) -> dict[str, set[str]]:
    """Frozen teacher -> what is read of it in the phase, as `Rows` has it."""
    learners: Collection[str] = {turn.learner for turn in phase.turns}
    found: dict[str, set[str]] = {}
    for turn in phase.turns:
        for lesson in turn.lessons:
            if lesson.teacher is not None and ":" not in lesson.teacher and lesson.teacher not in learners:
                found.setdefault(lesson.teacher, set()).update(lesson.objective.keeps)
        for teacher in turn.told_by:
            if teacher not in learners and teacher in stage.cast and turn.hears:
                found.setdefault(teacher, set()).update(turn.hears)
    return found
