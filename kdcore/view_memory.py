"""What a frozen teacher says of pictures that are shown in several views, kept batch by batch as each view is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from kdcore.memory import Empty, Rows
from kdcore.vocabulary import Seen


@dataclass(frozen=True)
class Drawn:
    """A batch as a phase has drawn it."""

    epoch: int
    number: int
    """Which batch of that epoch it is."""
    places: Tensor
    """(N,) rows of the split."""


class KeptView(Rows):
    """What a teacher said of one view of the pictures, as far as it has looked at them."""

    def __init__(self, like: Seen, reads: set[str], pictures: int, empty: Empty = Tensor.new_empty) -> None:
        super().__init__(like, reads, pictures, empty)
        self.batches: set[int] = set()
        """Which batches of the epoch that first shows the view are kept."""


Kept = dict[int, KeptView]
"""View -> what is kept of it. Runs of one process share it where teacher, pictures, draws and batches are the same."""


@dataclass
class ViewMemory:
    """One teacher's memory of the first `room` views.

    A view is kept in the batches of the epoch that first shows it. That epoch's own steps therefore get, bit for bit,
    what the teacher would say there and then, whether it looks or an earlier run of the process has; later epochs
    get rows of the same batches, in whichever step and whichever process they were looked at.
    """

    kept: Kept
    reads: set[str]
    look: Callable[[Tensor, int], Seen]
    """(rows, view) -> what the teacher makes of them."""
    order: Callable[[int], Tensor]
    """epoch -> all rows in the order in which it shows them."""
    pictures: int
    batch: int
    view: Callable[[int], int]
    """epoch -> the view that it shows."""
    room: int
    """How many views are kept; fewer where `empty` finds no more room (OSError), and the rest is looked at."""
    empty: Empty = Tensor.new_empty

    def at(self, drawn: Drawn) -> tuple[Seen, bool] | None:
        """What the teacher says of a batch, and whether it had said so before; None for views that are not kept."""
        view = self.view(drawn.epoch)
        if view >= self.room:
            return None
        looked = False
        for number, places in self._needed(view, drawn):
            kept = self.kept.get(view)
            if kept is not None and number in kept.batches:
                continue
            seen, looked = self.look(places, view), True
            if kept is None:
                try:
                    kept = self.kept[view] = KeptView(seen, self.reads, self.pictures, self.empty)
                except OSError:
                    self.room = view
                    return None
            kept.put(places, seen)
            kept.batches.add(number)
        return self.kept[view].at(drawn.places), drawn.epoch != view or not looked

    def _needed(self, view: int, drawn: Drawn) -> Iterator[tuple[int, Tensor]]:
        """The batches that the drawn one needs: itself when the view is first shown, later all of that epoch."""
        if drawn.epoch == view:
            yield drawn.number, drawn.places
        elif view not in self.kept or len(self.kept[view].batches) < -(-self.pictures // self.batch):
            yield from enumerate(self.order(view).split(self.batch))
