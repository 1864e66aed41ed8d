"""The contract of a form: one way in which public code or a paper writes a method's loss. No torch at import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

Relation = Literal["ours", "factor", "shifted", "another"]


@dataclass(frozen=True)
class Compared:
    """What every form of one method is computed on."""

    student: tuple[Tensor, ...]
    """Logits (N, C), maps (N, c, h, w) after the connector, or embeddings (N, D), as the method compares them."""
    teacher: tuple[Tensor, ...]
    """The same of the teacher; empty for methods that need none."""
    labels: Tensor
    """(N,) whole numbers in [0, C)."""
    knobs: Mapping[str, Any]
    """The method's knobs, with those that choose a form at their defaults."""


def one(compared: Compared) -> float | None:
    """The factor of a form that has our gradient."""
    return 1.0


def none(compared: Compared) -> float | None:
    """The factor of a form that is another function."""
    return None


def fits(compared: Compared) -> str:
    """A form that can be computed on whatever the method compares."""
    return ""


@dataclass(frozen=True)
class Form:
    """One way to write a loss. `value` is written out from the formula and shares no code with kdcore's methods."""

    name: str
    """What it is, in a few words."""
    used_by: str
    """Paper, authors' code and public libraries that write it so."""
    formula: str
    """LaTeX."""
    value: Callable[[Compared], Tensor]
    """The loss, ()."""
    relation: Relation
    """ours: the same number; factor: a constant times ours; shifted: our gradient, another number; another: neither."""
    factor_says: str
    """The factor as a formula ("÷ C"), or "another function"."""
    factor: Callable[[Compared], float | None] = none
    """Its gradient divided by ours, exactly; None where no constant does it on these tensors."""
    weight: float | None = None
    """The weight beside cross-entropy that goes with it in public code."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Knobs that make our method this very form."""
    times: float = 1.0
    """This form divided by our method with those settings."""
    refuses: Callable[[Compared], str] = fits
    """Why it cannot be computed on these tensors, or ""."""
    note: str = ""
    """What else to know."""


def length_one(vectors: Tensor, *, dim: int = -1) -> Tensor:
    """Vectors along `dim` divided by their length; a zero vector stays zero and gets no gradient."""
    squares = vectors.square().sum(dim=dim, keepdim=True)
    return vectors * (squares > 1e-24) / squares.clamp(min=1e-24).sqrt()


def huber(difference: Tensor) -> Tensor:
    """Smooth absolute value: half the square up to 1, linear beyond."""
    size = difference.abs()
    return (0.5 * size.square()).where(size < 1.0, size - 0.5)
