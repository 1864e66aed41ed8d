"""The recipe that is being written: changed one setting at a time, kept short, said in a sentence. No Streamlit."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal, cast

from kdcore.cards import Card, Catalog, Folder
from kdcore.check import Fault
from kdcore.recipe import Part, Pick, Recipe, Training
from kdcore.registry import UnknownKey
from kdcore.spec import Knob, KnobError

PARTS: dict[str, Folder] = {"data": "datasets", "teacher": "networks", "student": "networks", "scheme": "schemes"}
"""Part of a recipe -> folder that it picks from."""


def title_of(catalog: Catalog, folder: Folder, key: str) -> str:
    """The entry's title, or its key if there is no such entry."""
    try:
        return catalog.card(folder, key).title
    except UnknownKey:
        return key


def tidy(recipe: Recipe, catalog: Catalog) -> Recipe:
    """The same recipe without settings that say what would be so anyway; what is wrong is left as it is."""

    def short(folder: Folder, pick: Pick) -> Pick:
        try:
            knobs = catalog.card(folder, pick.key).knobs
        except UnknownKey:
            return pick
        return Pick(pick.key, _told(knobs, pick.settings))

    def part(one: Part) -> Part:
        method = short("methods", one.method)
        try:
            own = float(catalog.card("methods", method.key).facts["weight"])
        except UnknownKey:
            return replace(one, method=method)
        return replace(one, method=method, weight=None if one.weight == own else one.weight)

    return recipe.replace(
        **{name: short(folder, getattr(recipe, name)) for name, folder in PARTS.items()},
        methods=tuple(part(one) for one in recipe.methods),
        training=_told(Training.knobs, recipe.training),
    )


def _told(knobs: dict[str, Knob], settings: dict[str, Any]) -> dict[str, Any]:
    """Only the settings that differ from their knob's default (and those that no knob takes)."""
    return {name: value for name, value in settings.items() if name not in knobs or not _same(knobs[name], value)}


def _same(knob: Knob, value: Any) -> bool:
    try:
        return bool(knob.check(value) == knob.default)
    except KnobError:
        return False


def weight_of(part: Part, catalog: Catalog) -> float:
    """The part's weight, its method's own if it names none (1 for a method that is not there)."""
    if part.weight is not None:
        return part.weight
    try:
        return float(catalog.card("methods", part.method.key).facts["weight"])
    except UnknownKey:
        return 1.0


def with_method(recipe: Recipe, key: str) -> Recipe:
    """The recipe with one more method, at its own weight and knobs."""
    return recipe.replace(methods=(*recipe.methods, Part(Pick(key))))


def without_method(recipe: Recipe, number: int) -> Recipe:
    """The recipe without its method of that place, counted from 0."""
    return recipe.replace(methods=recipe.methods[:number] + recipe.methods[number + 1 :])


def example_of(card: Card) -> Recipe | None:
    """The recipe with which a scheme shows what it is for, or None where it brings none. Raises RecipeError."""
    example = card.facts.get("example") or {}
    return Recipe.from_json({**Recipe().to_json(), "scheme": {"is": card.key}, **example}) if example else None


def without_setting(recipe: Recipe, path: str) -> Recipe:
    """The recipe without a setting of "student.width" or "methods.1.pairs" form: back to what is so by default."""
    found = recipe.to_json()
    place: Any = found
    *parents, last = path.split(".")
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    place.pop(last, None)
    return Recipe.from_json(found)


def settings_of(recipe: Recipe, catalog: Catalog) -> dict[str, Any]:
    """Every setting that the recipe's parts have, defaults filled in: "student.width" -> 16. For comparing recipes."""
    found: dict[str, Any] = {}
    for name, folder in PARTS.items():
        pick: Pick = getattr(recipe, name)
        found[name] = title_of(catalog, folder, pick.key)
        for knob, value in _filled(catalog, folder, pick).items():
            found[f"{name}.{knob}"] = value
    for number, part in enumerate(recipe.methods, 1):
        found[f"method {number}"] = title_of(catalog, "methods", part.method.key)
        found[f"method {number}.weight"] = weight_of(part, catalog)
        if part.pairs is not None:
            found[f"method {number}.pairs"] = ", ".join(f"{s + 1}–{t + 1}" for s, t in part.pairs)
        for knob, value in _filled(catalog, "methods", part.method).items():
            found[f"method {number}.{knob}"] = value
    for knob, value in {**{key: entry.default for key, entry in Training.knobs.items()}, **recipe.training}.items():
        found[f"training.{knob}"] = value
    found["seed"] = recipe.seed
    return found


def _filled(catalog: Catalog, folder: Folder, pick: Pick) -> dict[str, Any]:
    try:
        knobs = catalog.card(folder, pick.key).knobs
    except UnknownKey:
        knobs = {}
    return {**{name: knob.default for name, knob in knobs.items()}, **pick.settings}


def differences(recipes: dict[str, Recipe], catalog: Catalog) -> list[dict[str, str]]:
    """One row for each setting in which recipes differ: {"setting": …, <name>: value, …}, "–" where one has none."""
    columns = {name: settings_of(recipe, catalog) for name, recipe in recipes.items()}
    order = list(dict.fromkeys(path for column in columns.values() for path in column))
    rows = []
    for path in order:
        values = {name: said(column[path]) if path in column else "–" for name, column in columns.items()}
        if len(set(values.values())) > 1:
            rows.append({"setting": path.replace("_", " "), **values})
    return rows


def said(value: Any) -> str:
    """A setting's value as a person would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def sentence(recipe: Recipe, catalog: Catalog) -> str:
    """What the recipe does, in a line: "Digits 8×8 · Soft targets (KD) · Plain → Multilayer · Offline"."""
    methods = [title_of(catalog, "methods", part.method.key) for part in recipe.methods if weight_of(part, catalog) > 0]
    who = title_of(catalog, "networks", recipe.student.key)
    uses_teacher = True
    if recipe.scheme.key in catalog.folders["schemes"]:
        facts = catalog.card("schemes", recipe.scheme.key).facts
        uses_teacher = bool(facts["uses_teacher"])
        if not facts.get("uses_methods", True):
            methods = ["losses of its own"]
    if uses_teacher:
        who = f"{title_of(catalog, 'networks', recipe.teacher.key)} → {who}"
    data = title_of(catalog, "datasets", recipe.data.key)
    if told := tidy(recipe, catalog).data.settings:
        data += f" ({_listed(told)})"
    return " · ".join([
        data,
        " + ".join(methods) or "no method",
        who,
        title_of(catalog, "schemes", recipe.scheme.key),
        *([] if recipe.parent is None else [f"fork of {recipe.parent.run[:6]}"]),
    ])  # fmt: skip


USUAL = Recipe()


def particulars(recipe: Recipe) -> str:
    """What the recipe sets beside its parts and its data, in a few words: "kd: temperature 8, student: width 4".

    Of a `tidy` recipe only what is not so anyway; "" where everything is. The usual networks go without saying.
    """
    told = [
        (name, _listed(getattr(recipe, name).settings)) for name in ("teacher", "student", "scheme")
        if getattr(recipe, name).settings and getattr(recipe, name) != getattr(USUAL, name)
    ]  # fmt: skip
    for part in recipe.methods:
        own = dict(part.method.settings)
        if part.weight is not None:
            own["weight"] = part.weight
        if part.pairs is not None:
            own["pairs"] = " ".join(f"{student + 1}–{teacher + 1}" for student, teacher in part.pairs)
        if own:
            told.append((part.method.key, _listed(own)))
    words = [f"{name}: {what}" for name, what in told]
    if recipe.training:
        words.append(_listed(recipe.training))
    if recipe.seed:
        words.append(f"seed {recipe.seed}")
    if recipe.parent is not None:
        words.append(f"fork of {recipe.parent.run[:6]} at {recipe.parent.snapshot}")
    return ", ".join(words)


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {said(value)}" for name, value in settings.items())


def beside(faults: list[Fault], where: str) -> list[Fault]:
    """The faults about exactly this setting."""
    return [fault for fault in faults if fault.where == where]


def steps_of(knob: Knob, *also: float) -> list[float]:
    """Round values of a log-scaled knob, with its bounds: 1, 2, 5, 10, …, or for whole numbers 1, 2, 3, 4, 6, 8, …"""
    low, high = cast(float, knob.low), cast(float, knob.high)
    found = {low, high, *also}
    if knob.kind == "int":
        found |= {mark * 2.0**power for power in range(64) for mark in (1, 3) if low <= mark * 2**power <= high}
    else:
        first = low if low > 0 else min([1e-6, *(value for value in also if value > 0)])
        for power in range(math.floor(math.log10(first)), math.ceil(math.log10(high)) + 1):
            found |= {float(f"{mark}e{power}") for mark in (1, 2, 5) if low <= float(f"{mark}e{power}") <= high}
    return sorted({float(value) for value in found})


def dial_of(knob: Knob) -> Literal["toggle", "choice", "text", "marks", "slider", "number"]:
    """Which control suits a knob."""
    if knob.kind == "bool":
        return "toggle"
    if knob.kind == "str":
        return "choice" if knob.choices else "text"
    if knob.low is None or knob.high is None:
        return "number"
    if knob.scale == "log" and knob.high > 0:
        return "marks"
    if knob.kind == "int":
        return "slider" if knob.high - knob.low <= 64 else "number"
    return "slider" if knob.high - knob.low <= 100 else "number"
