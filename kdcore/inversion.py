"""Pictures found by running a frozen teacher backwards: round by round into a pool, from which the student learns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from kdcore.answer import Answer
from kdcore.generation import EXAMPLE, DataFree, Pool, learns, needs_norms, needs_pictures, told
from kdcore.made_pictures import collapsed, grid, spread
from kdcore.network import Network
from kdcore.scheme import Between, Moment, Phase, Turn, taught_by_labels
from kdcore.scoring import logits_of
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Terms


class Sought(nn.Module):
    """What one round looks for: `pictures()` are those found so far, meant to show the classes `labels`."""

    labels: Tensor

    def __init__(self, count: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("labels", torch.arange(count) % classes)

    def pictures(self) -> Tensor:
        """(n, *shape), with a graph to what is trained."""
        raise NotImplementedError

    def fresh(self) -> bool:
        """Whether nothing has been sought yet and its pictures may well be the same."""
        return False


@dataclass(frozen=True)
class Round:
    """How one round looks for pictures."""

    sought: Sought
    own: Callable[[Moment], Terms]
    also: Mapping[str, nn.Module] = field(default_factory=dict)
    keeps: Mapping[str, nn.Module] = field(default_factory=dict)
    begins: Callable[[], None] | None = None


class Inversion(DataFree):
    """Rounds in which pictures are sought by descent and then taught; a subclass says how they are sought.

    With the first round's pictures the student begins to learn; later rounds may look where it still errs.
    """

    weighed: ClassVar[tuple[str, ...]]
    """Terms of the search that have a knob of the same name for their weight."""
    shift: int = 0
    """Pixels by which the student's pictures are moved at most."""
    pictures: int = knob(384, 16, 8192, help="Pictures made in all.", unit="pictures", scale="log")
    rounds: int = knob(2, 1, 8, help="Rounds; from the second on, pictures are also sought against the student.")
    classes: float = knob(1.0, 0.0, 20.0, help="Weight of the cross-entropy with the class each is meant to show.")
    norms: float = knob(3.0, 0.0, 200.0, help="Weight of the distance from the statistics that the batch norms kept.")
    share: float = knob(0.5, 0.05, 0.95, help="Share of the student's epochs in which pictures are sought.")
    steps: int = knob(8, 1, 50, help="Steps of the search in each step of its phase.", unit="steps")
    rate: float = knob(
        5.0, 0.001, 1000.0, scale="log", help="Learning rate of the search, as a multiple of the student's."
    )
    made: int = knob(64, 8, 1024, help="Pictures in each step of the student.", unit="pictures", scale="log")
    student_steps: int = knob(10, 1, 50, help="Steps of the student in each step of its phases.", unit="steps")
    temperature: float = knob(4.0, 1.0, 20.0, help="Softness of the teacher's answers to the student.")
    example = EXAMPLE

    @abstractmethod
    def search(self, pool: Pool, teacher: Network, between: Between) -> Callable[[int], Round]:
        """Of each round's number, from 1, how it looks for its pictures; the pool keeps those of the rounds before."""

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        needs_pictures(between)
        needs_norms(cast["teacher"], "this scheme")
        yield taught_by_labels(between)
        yield from self.yardstick(between)
        pool = Pool(self.size * self.rounds, between.data()).to(between.device())
        each = self.search(pool, cast["teacher"], between)
        weights = {name: getattr(self, name) for name in self.weighed}
        for number in range(1, self.rounds + 1):
            made = each(number)
            of = f", round {number} of {self.rounds}" if self.rounds > 1 else ""
            ends = " " + str(number) if self.rounds > 1 else ""
            turn = Turn(
                "pictures", own=made.own, told_by=("teacher",), also={f"pictures {number}": made.sought, **made.also},
                times=self.steps, rate=self.rate, optimizer="adam", weights=weights,
            )  # fmt: skip
            yield Phase(
                f"pictures{ends}", f"Pictures are sought that the teacher would know{of}", (turn,),
                share=self.share / self.rounds, supply=wanted(made.sought), begins=made.begins,
                keeps={"pool": pool, **made.keeps}, shows=sought(made.sought, cast["teacher"], between),
            )  # fmt: skip
            yield Phase(
                "student" if number == self.rounds else f"student{ends}",
                f"The student learns the teacher's answers on the made pictures alone{of}",
                (learns(told(self.temperature), self.student_steps),), share=(1.0 - self.share) / self.rounds,
                supply=self._from_pool(pool, number), begins=kept(pool, (number - 1) * self.size, made.sought),
                keeps={"pool": pool},
            )  # fmt: skip

    @property
    def size(self) -> int:
        """Pictures of one round."""
        return self.pictures // self.rounds

    def _from_pool(self, pool: Pool, number: int) -> Callable[[int, torch.Generator], Batch]:
        """Supplies random pictures of the first so many rounds."""
        return lambda step, generator: pool.draw(self.made, number * self.size, generator, shift=self.shift)


def wanted(found: Sought) -> Callable[[int, torch.Generator], Batch]:
    """Supplies the pictures as they are, without graph, with the classes that they are meant to show."""

    def supply(step: int, generator: torch.Generator) -> Batch:
        with torch.no_grad():
            pictures = found.pictures()
        return Batch(pictures, found.labels, torch.arange(len(pictures), device=pictures.device))

    return supply


def kept(pool: Pool, start: int, found: Sought) -> Callable[[], None]:
    """Puts what was found into the pool, as copies: what is trained later must not change them."""

    def begins() -> None:
        with torch.no_grad():
            pool.fill(start, found.pictures())

    return begins


def sought(found: Sought, teacher: Network, between: Between) -> Callable[[], list[Answer]]:
    """Shows the pictures as they form."""

    def shows() -> list[Answer]:
        fresh = found.fresh()
        modes = {module: module.training for module in found.modules()}
        found.eval()
        with torch.no_grad():
            pictures = found.pictures().detach()
        for module, mode in modes.items():
            module.training = mode
        logits = logits_of(teacher, pictures).float()
        right = 100 * float((logits.argmax(dim=1) == found.labels).float().mean())
        says = (
            f"The teacher sees in {right:.0f} % of the {len(pictures)} pictures the class that they are meant to show; "
            f"from picture to picture a pixel varies by {spread(pictures):.2f} standard deviations of real ones."
        )
        if not fresh and (few := collapsed(pictures, logits, found.labels, between.data())):
            says = f"The search has collapsed: {few}"
        return [grid("The pictures as they form", says, pictures, logits, between.data())]

    return shows
