"""A weighted sum of methods between one student and one teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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


Terms = Literal["all", "own", "others"]
"""Which terms of a method are meant: all, those that train its own parts, or those that train the student."""


class Objective(nn.Module):
    """Methods with weights. Its learned parts are trained with the student and kept in snapshots."""

    steady = True
    """Whether its terms are meant to teach in every batch."""

    def __init__(
        self, methods: Sequence[Method], shares: Sequence[Share], *, terms: Mapping[str, Terms] | None = None
    ) -> None:
        super().__init__()
        self.methods = nn.ModuleDict({share.name: method for method, share in zip(methods, shares, strict=True)})
        self.shares = {share.name: share for share in shares}
        self.which = dict(terms or {})
        """Method -> which of its terms, where that is not all."""

    def narrowed(self, terms: Mapping[str, Terms]) -> Objective:
        """These methods alone, with these of their terms; they are the same methods, with the same learned parts."""
        methods: list[Method] = [self.methods[name] for name in terms]  # type: ignore[misc]
        return Objective(methods, [self.shares[name] for name in terms], terms=terms)

    def learned(self) -> list[nn.Parameter]:
        """What an optimiser should train: not what is held still since its own stage."""
        found: list[nn.Parameter] = []
        for name, method in self.methods.items():
            own = {id(one) for part in self._own_parts(name) for one in part.parameters()}
            which = self.which.get(name, "all")
            found += [
                one for one in method.parameters()
                if one.requires_grad and (which == "all" or (which == "own") == (id(one) in own))
            ]  # fmt: skip
        return found

    def train(self, mode: bool = True) -> Objective:
        super().train(mode)
        for name, which in self.which.items():
            if which == "others":
                for part in self._own_parts(name):
                    part.eval()
        return self

    def _own_parts(self, name: str) -> list[nn.Module]:
        method: Method = self.methods[name]  # type: ignore[assignment]
        return [method.get_submodule(part) for part in method.own_parts]

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
            which = self.which.get(name, "all")
            for term, values in method(*narrowed, batch).items():
                if which == "all" or (which == "own") == (term in method.own_terms):  # type: ignore[operator]
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
    def keeps(self) -> set[str]:
        """What of a teacher's Seen is used, "maps 1" where of its maps those of the second layer are compared."""
        found: set[str] = set()
        for name, method in self.methods.items():
            if method.needs_teacher and self.shares[name].weight > 0.0:
                layers = self.shares[name].pairing.teacher_layers
                for field in method.reads:  # type: ignore[union-attr]
                    layered = field in ("maps", "preacts")
                    found.update([f"{field} {layer}" for layer in layers] if layered else [field])
        return found

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
