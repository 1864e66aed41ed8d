"""What every folder holds, as plain data: the pickers, knobs, cards and checks of any screen read this. No torch."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass
from typing import Any, Literal

from kdcore.registry import pick
from kdcore.spec import Knob, Spec, check_settings

Folder = Literal["methods", "networks", "datasets", "schemes", "probes"]
ONE: dict[str, str] = {
    "methods": "method", "networks": "network", "datasets": "data set", "schemes": "scheme", "probes": "probe",
}  # fmt: skip


@dataclass(frozen=True)
class Card:
    """One entry of a folder: what it is called, what it does, its knobs and the facts its contract asks for."""

    folder: str
    key: str
    title: str
    summary: str
    """The docstring's first paragraph."""
    why: str
    """The rest of the docstring."""
    knobs: dict[str, Knob]
    facts: dict[str, Any]

    def fill(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Every knob with its value. Raises KnobError for what is unknown, mistyped or out of bounds."""
        return check_settings(self.knobs, settings, what=self.key)


@dataclass(frozen=True)
class Catalog:
    """All cards, and the version of the code that they describe."""

    version: str
    folders: dict[str, dict[str, Card]]

    def card(self, folder: Folder, key: str) -> Card:
        """Raises UnknownKey, which lists what there is."""
        return pick(self.folders[folder], key, what=ONE[folder])

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "folders": {
                folder: {key: asdict(card) for key, card in cards.items()} for folder, cards in self.folders.items()
            },
        }

    @staticmethod
    def from_json(found: dict[str, Any]) -> Catalog:
        def card(one: dict[str, Any]) -> Card:
            knobs = {
                name: Knob(**{**values, "choices": tuple(values["choices"])}) for name, values in one["knobs"].items()
            }
            return Card(**{**one, "knobs": knobs})

        return Catalog(
            found["version"],
            {folder: {key: card(one) for key, one in cards.items()} for folder, cards in found["folders"].items()},
        )


def card_of(folder: Folder, key: str, kind: type[Spec], facts: tuple[str, ...]) -> Card:
    """The card of a class: its docstring, its knobs, and these of its class attributes that it has."""
    words = inspect.getdoc(kind) or ""
    summary, _, why = words.partition("\n\n")
    found: dict[str, Any] = {}
    for name in facts:
        value = getattr(kind, name, None)
        if value is not None and hasattr(value, "__dataclass_fields__"):
            value = asdict(value)
        found[name] = list(value) if isinstance(value, tuple) else value
    return Card(folder, key, kind.title, " ".join(summary.split()), why.strip(), dict(kind.knobs), found)  # type: ignore[attr-defined]
