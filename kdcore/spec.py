"""A class whose fields are knobs: a default, bounds and one help sentence each, checked at the door. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Kind = Literal["bool", "int", "float", "str"]
_KINDS: dict[type, Kind] = {bool: "bool", int: "int", float: "float", str: "str"}
_SAID: dict[Kind, str] = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "a text"}


class KnobError(ValueError):
    """A setting that cannot be: `knob` says which, the message says the value and what would be right."""

    def __init__(self, knob: str, message: str) -> None:
        super().__init__(message)
        self.knob = knob


@dataclass(frozen=True)
class Knob:
    """One setting: its kind, default, bounds or choices, and the sentence that explains it."""

    name: str
    kind: Kind
    default: Any
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    help: str
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"

    def check(self, value: Any) -> Any:
        """The value as this knob keeps it. Raises KnobError with the name, the value and what would be right."""
        if self.kind == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if self.kind == "int" and isinstance(value, float) and value.is_integer():
            value = int(value)
        if _KINDS.get(type(value)) != self.kind:
            raise KnobError(self.name, f"{self.name}={value!r} is not {_SAID[self.kind]}")
        if self.kind == "float" and not math.isfinite(value):
            raise KnobError(self.name, f"{self.name}={value} is not a finite number")
        if self.choices and value not in self.choices:
            raise KnobError(self.name, f"{self.name}={value!r} is none of {', '.join(self.choices)}")
        too_low = self.low is not None and value < self.low
        if too_low or (self.high is not None and value > self.high):
            raise KnobError(self.name, f"{self.name}={value} lies outside [{self.low}, {self.high}]")
        if self.kind == "str" and len(value) > 200:
            raise KnobError(self.name, f"{self.name} has {len(value)} characters; 200 at most")
        return value


def knob(
    default: Any,
    low: float | None = None,
    high: float | None = None,
    *,
    choices: tuple[str, ...] = (),
    help: str,
    unit: str = "",
    scale: Literal["linear", "log"] = "linear",
) -> Any:
    """A knob as a class attribute; its kind is the type of its default, its name the attribute's."""
    return Knob("", _KINDS[type(default)], default, low, high, choices, help, unit, scale)


class Spec:
    """A thing with knobs. `Spec(**settings)` checks every setting; `settings()` gives all of them back.

    Its own knobs stand before those of its bases, the nearest base first: forms are drawn in this order.
    Raises KnobError for an unknown name, a wrong type or a value out of bounds.
    """

    knobs: ClassVar[dict[str, Knob]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own: dict[str, Knob] = {}
        inherited: dict[str, Knob] = {}
        for base in reversed(cls.__mro__[1:]):
            knobs = base.__dict__.get("knobs", {})
            inherited = {**knobs, **{name: old for name, old in inherited.items() if name not in knobs}}
        for name, value in list(cls.__dict__.items()):
            if isinstance(value, Knob):
                own[name] = Knob(
                    name, value.kind, value.default, value.low, value.high,
                    value.choices, value.help, value.unit, value.scale,
                )  # fmt: skip
                own[name].check(value.default)
                setattr(cls, name, value.default)
            elif name in inherited and name != "knobs":  # a subclass may give a knob of its base another default
                old = inherited[name]
                inherited[name] = Knob(
                    name, old.kind, old.check(value), old.low, old.high, old.choices, old.help, old.unit, old.scale
                )
        cls.knobs = {**own, **{name: old for name, old in inherited.items() if name not in own}}

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        for name, value in check_settings(self.knobs, settings, what=type(self).__name__).items():
            setattr(self, name, value)

    def settings(self) -> dict[str, Any]:
        """Every knob's present value, JSON-ready."""
        return {name: getattr(self, name) for name in self.knobs}


def check_settings(knobs: dict[str, Knob], settings: dict[str, Any], *, what: str) -> dict[str, Any]:
    """All knobs with their values: the defaults, and over them the settings. Raises KnobError."""
    for name in settings:
        if name not in knobs:
            raise KnobError(name, f"{what} has no knob {name!r}; there are {', '.join(sorted(knobs)) or 'none'}")
    return {name: knob.check(settings[name]) if name in settings else knob.default for name, knob in knobs.items()}
