"""A weighted sum of methods between one student and one teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from kdcore.looking import LIVE
from kdcore.method import Method
from kdcore.pairing import Pairing
from kdcore.vocabulary import Batch, Seen


@dataclass(frozen=True)
class Share:
    """One method's place in the sum."""

    name: str
    """Unique in its objective: the method's key, with a number where it stands twice."""
    weight: float
    pairing: Pairing

    def narrow(self, matches: str, student: Seen, teacher: Seen) -> tuple[Seen, Seen]:
        """Both with only the layers that this method is to compare."""
        if matches == "nothing":
            return student, teacher
        if matches == "all":
            return student.of(self.pairing.student_layers), teacher.of(self.pairing.teacher_layers)
        pairs = self.pairing.pairs
        return student.of([pair[0] for pair in pairs]), teacher.of([pair[1] for pair in pairs])


class Objective(nn.Module):
    """Methods with weights. Its learned parts are trained with the student and kept in snapshots."""

    def __init__(self, methods: Sequence[Method], shares: Sequence[Share]) -> None:
        super().__init__()
        self.methods = nn.ModuleDict({share.name: method for method, share in zip(methods, shares, strict=True)})
        self.shares = {share.name: share for share in shares}

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        """Let each method make its learned parts from what it will see."""
        for name, method in self.methods.items():
            method.build(*self.shares[name].narrow(method.matches, student, teacher), images)  # type: ignore[operator,arg-type]

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> dict[str, Tensor]:
        """Raw terms by "<name>.<term>", (N,) each, before weights."""
        terms: dict[str, Tensor] = {}
        still = teacher.detach() if LIVE in self.reads else teacher
        for name, method in self.methods.items():
            if self.shares[name].weight == 0.0:
                continue
            told = teacher if LIVE in method.reads else still  # type: ignore[operator]
            narrowed = self.shares[name].narrow(method.matches, student, told)  # type: ignore[arg-type]
            for term, values in method(*narrowed, batch).items():
                terms[f"{name}.{term}"] = values
        return terms

    def weight_of(self, term: str) -> float:
        """The weight of the method that a term belongs to."""
        return self.shares[term.split(".", 1)[0]].weight

    @property
    def reads(self) -> set[str]:
        """What of a teacher's Seen is used, and of a student's beyond what every look gives."""
        return {
            field
            for name, method in self.methods.items()
            if method.needs_teacher and self.shares[name].weight > 0.0
            for field in method.reads  # type: ignore[union-attr]
        }

    @property
    def uses_labels_only(self) -> bool:
        """Whether an image without a label teaches nothing here."""
        return not any(method.needs_teacher for method in self.methods.values())

    def describe(self) -> list[dict[str, Any]]:
        """Plain data for PhaseStarted."""
        return [
            {
                "name": name,
                "title": method.title,
                "family": method.family,
                "weight": self.shares[name].weight,
                "matches": method.matches,
                "pairs": [list(pair) for pair in self.shares[name].pairing.pairs],
                "why": self.shares[name].pairing.why,
            }
            for name, method in self.methods.items()
        ]
