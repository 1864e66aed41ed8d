"""Schemes in which one generator makes the student's pictures anew for each step, and learns beside the student."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from kdcore.generation import EXAMPLE, DataFree, Generator, needs_norms, needs_pictures, overheard, statistics_gap
from kdcore.made_pictures import generated
from kdcore.network import Network
from kdcore.scheme import Between, Moment, Phase, Turn, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Seen, Terms

Wanted = Callable[[Moment, Tensor, Seen], Terms]
"""What a generator's pictures should be: (moment, (N, *shape) pictures, what the teacher makes of them) -> terms."""


class WithGenerator(DataFree):
    """A data-free scheme with one generator; a subclass says what that looks for and what the student learns."""

    sees: ClassVar[str]
    """What there is to see while the student learns."""
    norms: float = knob(
        1.0, 0.0, 20.0,
        help="Weight of a term not in the paper: the pictures have the statistics that the batch norms kept.",
    )  # fmt: skip
    noise: int = knob(100, 2, 1000, help="Numbers that the generator makes a picture of.", unit="numbers", scale="log")
    width: int = knob(24, 4, 128, help="Channels of the generator's last hidden layer.", scale="log")
    made: int = knob(64, 8, 1024, help="Pictures made for each step.", unit="pictures", scale="log")
    rate: float = knob(
        0.3, 0.001, 100.0, scale="log", help="Learning rate of the generator, as a multiple of the student's."
    )
    example = EXAMPLE

    @abstractmethod
    def turns(self, maker: Generator, teacher: Network, between: Between) -> tuple[Turn, ...]:
        """What generator and student do in each step, in this order."""

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        needs_pictures(between)
        if self.norms:
            needs_norms(cast["teacher"], f"norms={self.norms:g}")
        yield taught_by_labels(between)
        yield from self.yardstick(between)
        with between.seeded("generator"):
            maker = Generator(self.noise, between.data().shape, self.width).to(between.device())
        yield Phase(
            "student", self.sees, self.turns(maker, cast["teacher"], between),
            supply=made_by(maker, self.made, between.device()), shows=generated(maker, cast["teacher"], between),
        )  # fmt: skip

    def making(
        self, maker: Generator, teacher: Network, between: Between, wanted: Wanted, *,
        weights: Mapping[str, float] | None = None, times: int = 1,
    ) -> Turn:  # fmt: skip
        """The generator's turn: fresh pictures have to be as wanted, and as the teacher's batch norms know them."""

        def own(moment: Moment) -> Terms:
            pictures = maker(noise_of(self.made, self.noise, moment.generator, between.device()))
            with overheard(teacher) as heard:
                seen = moment.see("teacher", pictures, graph=True)
            terms = wanted(moment, pictures, seen)
            return {**terms, "norms": statistics_gap(heard)} if self.norms else terms

        return Turn(
            "generator", own=own, told_by=("teacher",), also={"generator": maker}, times=times, rate=self.rate,
            optimizer="adam", weights={**(weights or {}), "norms": self.norms},
        )  # fmt: skip


def apart(differ: Callable[[Tensor, Tensor], Tensor]) -> Wanted:
    """Pictures are wanted on which student and teacher differ.

    Such a generator's turn stands after the student's: while it learns, the student looks still, and the next step
    wakes it.
    """

    def wanted(moment: Moment, pictures: Tensor, seen: Seen) -> Terms:
        return {"agreement": -differ(moment.see("student", pictures, graph=True).logits, seen.logits)}

    return wanted


def noise_of(count: int, size: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """(count, size) normal numbers, drawn on the CPU so that they are the same everywhere."""
    return torch.randn(count, size, generator=generator).to(device)


def made_by(maker: Generator, count: int, device: torch.device) -> Callable[[int, torch.Generator], Batch]:
    """Supplies what the generator makes of fresh noise, without labels."""

    def supply(step: int, generator: torch.Generator) -> Batch:
        with torch.no_grad():
            pictures = maker(noise_of(count, maker.noise, generator, device))
        return Batch(pictures, torch.full((count,), -1, device=device), torch.arange(count, device=device))

    return supply
