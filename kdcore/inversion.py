"""Pictures found by running a frozen teacher backwards: round by round into a pool, from which the student learns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from kdcore.answer import Answer
from kdcore.generation import Pool, learns, told
from kdcore.made_pictures import grid
from kdcore.network import Network
from kdcore.scheme import Between, Moment, Phase, Turn
from kdcore.scoring import logits_of
from kdcore.vocabulary import Batch, Terms


class Sought(nn.Module):
    """What one round looks for: `pictures()` are those found so far, meant to show the classes `labels`."""

    labels: Tensor

    def pictures(self) -> Tensor:
        """(n, *shape), with a graph to what is trained."""
        raise NotImplementedError


@dataclass(frozen=True)
class Round:
    """How one round looks for pictures."""

    sought: Sought
    own: Callable[[Moment], Terms]
    also: Mapping[str, nn.Module] = field(default_factory=dict)
    keeps: Mapping[str, nn.Module] = field(default_factory=dict)
    begins: Callable[[], None] | None = None


@dataclass(frozen=True)
class Plan:
    """The budget of the rounds."""

    rounds: int
    share: float
    """Of the student's epochs in which pictures are sought."""
    times: int
    """Steps of the pictures in each step of their phase."""
    rate: float
    weights: Mapping[str, float]
    batch: int
    """Pictures in each of the student's steps."""
    student_times: int
    temperature: float
    shift: int
    """Pixels by which the student's pictures are moved at most."""


def rounds(
    plan: Plan, pool: Pool, each: Callable[[int], Round], teacher: Network, between: Between
) -> Iterator[Phase]:  # fmt: skip
    """Two phases for each round: its pictures are sought, then the student learns from all that are there."""
    size = len(pool.pictures) // plan.rounds
    for number in range(1, plan.rounds + 1):
        made = each(number)
        of = f", round {number} of {plan.rounds}" if plan.rounds > 1 else ""
        ends = " " + str(number) if plan.rounds > 1 else ""
        turn = Turn(
            "pictures", own=made.own, told_by=("teacher",), also={f"pictures {number}": made.sought, **made.also},
            times=plan.times, rate=plan.rate, optimizer="adam", weights=plan.weights,
        )  # fmt: skip
        yield Phase(
            f"pictures{ends}", f"Pictures are sought that the teacher would know{of}", (turn,),
            share=plan.share / plan.rounds, supply=wanted(made.sought), begins=made.begins,
            keeps={"pool": pool, **made.keeps}, shows=sought(made.sought, teacher, between),
        )  # fmt: skip
        yield Phase(
            "student" if number == plan.rounds else f"student{ends}",
            f"The student learns the teacher's answers on the made pictures alone{of}",
            (learns(told(plan.temperature), plan.student_times),), share=(1.0 - plan.share) / plan.rounds,
            supply=from_pool(plan, pool, number * size), begins=kept(pool, (number - 1) * size, made.sought),
            keeps={"pool": pool},
        )  # fmt: skip


def wanted(found: Sought) -> Callable[[int, torch.Generator], Batch]:
    """Supplies the pictures as they are, without graph, with the classes that they are meant to show."""

    def supply(step: int, generator: torch.Generator) -> Batch:
        with torch.no_grad():
            pictures = found.pictures()
        return Batch(pictures, found.labels, torch.arange(len(pictures), device=pictures.device))

    return supply


def from_pool(plan: Plan, pool: Pool, filled: int) -> Callable[[int, torch.Generator], Batch]:
    """Supplies random pictures out of the first `filled` of the pool."""
    return lambda step, generator: pool.draw(plan.batch, filled, generator, shift=plan.shift)


def kept(pool: Pool, start: int, found: Sought) -> Callable[[], None]:
    """Puts what was found into the pool, as copies: what is trained later must not change them."""

    def begins() -> None:
        with torch.no_grad():
            pool.fill(start, found.pictures())

    return begins


def sought(found: Sought, teacher: Network, between: Between) -> Callable[[], list[Answer]]:
    """Shows the pictures as they form."""

    def shows() -> list[Answer]:
        modes = {module: module.training for module in found.modules()}
        found.eval()
        with torch.no_grad():
            pictures = found.pictures().detach()
        for module, mode in modes.items():
            module.training = mode
        logits = logits_of(teacher, pictures).float()
        right = 100 * float((logits.argmax(dim=1) == found.labels).float().mean())
        spread = float(pictures.std(dim=0).mean())
        says = (
            f"The teacher sees in {right:.0f} % of the {len(pictures)} pictures the class that they are meant to show; "
            f"pixels differ from picture to picture by {spread:.2f} standard deviations of real ones."
        )
        return [grid("The pictures as they form", says, pictures, logits, between.data())]

    return shows
