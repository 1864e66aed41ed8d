"""What-if grids: one recipe with up to two settings varied, each cell a recipe and so a run of its own. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kdcore.cards import Catalog
from kdcore.recipe import Recipe, RecipeError, Training
from kdcore.registry import UnknownKey
from kdcore.spec import Knob, KnobError
from kdcore.standings import half_width, mean_and_half

MOST = 64
"""Cells of a grid."""
SEED = Knob("seed", "int", 0, 0, 2**31 - 1, (), "Another draw of weights, noise and order.")


class GridError(ValueError):
    """A grid that cannot be; the message says what would be right."""


@dataclass(frozen=True)
class Axis:
    """One setting and the values that it takes."""

    path: str
    """As `Recipe.with_setting` takes it: "methods.0.temperature", "student.width", "seed"."""
    values: tuple[Any, ...]


def settings_of(recipe: Recipe, catalog: Catalog) -> dict[str, Knob]:
    """Every setting of the recipe that a grid can vary, by its path."""
    found = {"seed": SEED}
    for number, part in enumerate(recipe.methods):
        card = catalog.card("methods", part.method.key)
        weight = float(card.facts["weight"])
        found[f"methods.{number}.weight"] = Knob("weight", "float", weight, 0.0, 1e7, (), "Factor on this loss.")
        found.update({f"methods.{number}.{name}": knob for name, knob in card.knobs.items()})
    for where, folder in (
        ("student", "networks"),
        ("teacher", "networks"),
        ("data", "datasets"),
        ("scheme", "schemes"),
    ):
        card = catalog.card(folder, getattr(recipe, where).key)  # type: ignore[arg-type]
        found.update({f"{where}.{name}": knob for name, knob in card.knobs.items()})
    found.update({f"training.{name}": knob for name, knob in Training.knobs.items()})
    return found


def value_of(recipe: Recipe, path: str, knob: Knob) -> Any:
    """What the setting is in the recipe as it stands."""
    place: Any = recipe.to_json()
    for name in path.split("."):
        place = place[int(name)] if isinstance(place, list) else place.get(name, knob.default)
    return place


def usual(knob: Knob, value: Any) -> tuple[Any, ...]:
    """A few values worth trying around the present one: halved and doubled, or all choices."""
    if knob.kind == "bool":
        return (False, True)
    if knob.choices:
        return knob.choices
    if knob.name == "seed":
        return tuple(range(int(value), int(value) + 3))
    start = value or 1
    tried = [start * factor for factor in (0.5, 1, 2, 4)]
    kept = []
    for one in tried:
        one = round(one) if knob.kind == "int" else float(f"{one:.3g}")
        if knob.low is not None:
            one = max(type(one)(knob.low), one)
        if knob.high is not None:
            one = min(type(one)(knob.high), one)
        kept.append(one)
    return tuple(dict.fromkeys(kept))


TAKES = {"int": "whole numbers", "float": "numbers", "bool": "true or false"}
"""Kind of a knob -> what its values are called."""


def parsed(text: str, knob: Knob) -> tuple[Any, ...]:
    """The values in a text like "1, 2, 4". Raises GridError with what is wrong."""
    values = []
    for word in (word.strip() for word in text.split(",")):
        if not word:
            continue
        try:
            values.append(knob.check(_read(word, knob)))
        except (KnobError, ValueError) as error:
            said = (
                str(error)
                if isinstance(error, KnobError)
                else f"{word!r} is not what {knob.name} takes, {TAKES.get(knob.kind, 'other words')}"
            )
            raise GridError(said) from error
    values = list(dict.fromkeys(values))
    if not values:
        raise GridError(f"no value for {knob.name}; several with commas between them are right")
    return tuple(values)


def _read(word: str, knob: Knob) -> Any:
    if knob.kind == "bool":
        if word.lower() not in ("true", "false"):
            raise ValueError(word)
        return word.lower() == "true"
    return int(word) if knob.kind == "int" else float(word) if knob.kind == "float" else word


def cells(recipe: Recipe, down: Axis, across: Axis | None, catalog: Catalog) -> list[list[Recipe]]:
    """Rows of recipes: `down` varies from row to row, `across` from column to column. Raises GridError."""
    columns = across.values if across is not None else (None,)
    count = len(down.values) * len(columns)
    if count > MOST:
        raise GridError(f"{len(down.values)} × {len(columns)} are {count} runs; {MOST} at most")
    if across is not None and across.path == down.path:
        raise GridError("both axes vary the same setting; choose another for one of them")
    known = settings_of(recipe, catalog)
    for axis in (down, across):
        if axis is not None and axis.path not in known:
            raise GridError(f"{axis.path!r} is no setting of this recipe")
    try:
        rows = []
        for first in down.values:
            row = recipe.with_setting(down.path, first)
            rows.append([row if across is None else row.with_setting(across.path, second) for second in columns])
        return rows
    except (RecipeError, UnknownKey) as error:
        raise GridError(str(error)) from error


@dataclass(frozen=True)
class Verdict:
    """What paired seeds say of one setting against another."""

    mean: float
    """Difference of accuracies in [-1, 1]."""
    half: float
    """Half of its 95 % interval (Student's t); infinite for one seed."""
    seeds: int
    word: str
    """beats, loses to, or inconclusive."""
    more: int | None
    """Further seeds that would settle it, if the differences stay as they are; None if settled or hopeless."""


def verdict(differences: Sequence[float]) -> Verdict:
    """The verdict of differences seed by seed.

    >>> verdict([0.02, 0.03, 0.025]).word
    'beats'
    """
    count = len(differences)
    mean, half = mean_and_half(list(differences))
    if count < 2:
        return Verdict(mean, half, count, "inconclusive", 2)
    if abs(mean) > half:
        return Verdict(mean, half, count, "beats" if mean > 0 else "loses to", None)
    needed = next(
        (n for n in range(count + 1, 201) if half * half_width(n) / half_width(count) < abs(mean)),
        None,
    )
    return Verdict(mean, half, count, "inconclusive", None if needed is None else needed - count)
