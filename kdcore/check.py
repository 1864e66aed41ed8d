"""What is wrong with a recipe, said beside the setting that is wrong, before anything is built. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kdcore.cards import Catalog
from kdcore.recipe import Pick, Recipe
from kdcore.registry import UnknownKey
from kdcore.spec import Knob, KnobError


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where ("student.width", "methods.1", "scheme") and what would be right."""

    where: str
    text: str


def faults(recipe: Recipe, catalog: Catalog) -> list[Fault]:
    """Everything that can be said to be wrong without building anything; an empty list is good news."""
    found: list[Fault] = []

    def known(where: str, folder: str, pick: Pick) -> bool:
        try:
            card = catalog.card(folder, pick.key)  # type: ignore[arg-type]
        except UnknownKey as error:
            found.append(Fault(where, str(error)))
            return False
        good = True
        for name, value in pick.settings.items():
            try:
                card.fill({name: value})
            except KnobError as error:
                found.append(Fault(f"{where}.{name}", str(error)))
                good = False
        return good

    fine = known("data", "datasets", recipe.data)
    fine = known("student", "networks", recipe.student) and fine
    fine = known("scheme", "schemes", recipe.scheme) and fine
    uses_teacher = True
    if recipe.scheme.key in catalog.folders["schemes"]:
        uses_teacher = bool(catalog.card("schemes", recipe.scheme.key).facts["uses_teacher"])
    if uses_teacher:
        fine = known("teacher", "networks", recipe.teacher) and fine
    for number, part in enumerate(recipe.methods):
        fine = known(f"methods.{number}", "methods", part.method) and fine
    if not fine:
        return found
    return found + _together(recipe, catalog, uses_teacher)


CHANGEABLE = ("labelled", "label_noise", "hidden_class", "augmentation", "views", "mix", "sensor")
"""Settings of data that change what is learnt from the pictures, not which pictures are trained, validated, tested."""


def fork_faults(recipe: Recipe, parent: Recipe, knobs: Mapping[str, Knob]) -> list[Fault]:
    """What keeps a recipe from going on from a moment of that other recipe. `knobs`: those of the recipe's data.

    Another seed, other data or another split would test networks on pictures that they were trained on.
    """
    why = "as it draws which pictures are trained, validated and tested, and the networks have seen theirs by then"
    found = []
    if recipe.seed != parent.seed:
        found.append(Fault("seed", f"seed={recipe.seed}: a fork keeps its parent's seed {parent.seed}, {why}"))
    if recipe.data.key != parent.data.key:
        return [*found, Fault("data", f"data={recipe.data.key}: a fork keeps its parent's data, {parent.data.key}")]
    for name, knob in knobs.items():
        ours, theirs = (one.data.settings.get(name, knob.default) for one in (recipe, parent))
        if name not in CHANGEABLE and ours != theirs:
            found.append(Fault(f"data.{name}", f"{name}={ours}: a fork keeps its parent's {theirs}, {why}"))
    return found


def _together(recipe: Recipe, catalog: Catalog, uses_teacher: bool) -> list[Fault]:
    """What is wrong between parts that are each right."""
    found: list[Fault] = []
    data = catalog.card("datasets", recipe.data.key)
    scheme = catalog.card("schemes", recipe.scheme.key)
    for role in ("teacher", "student") if uses_teacher else ("student",):
        pick: Pick = getattr(recipe, role)
        takes = catalog.card("networks", pick.key).facts["takes"]
        if data.facts["gives"] not in takes:
            fits = [
                key for key, card in catalog.folders["networks"].items() if data.facts["gives"] in card.facts["takes"]
            ]
            found.append(
                Fault(role, f"{recipe.data.key} gives {data.facts['gives']}, {pick.key} takes {' or '.join(takes)}; "
                            f"{', '.join(fits)} would fit")
            )  # fmt: skip
    settings = data.fill(recipe.data.settings)
    if settings["views"] and settings["augmentation"] == "none":
        found.append(
            Fault("data.views", f"views={settings['views']}: without augmentation there is one view of each; views=0 "
                                "is right, or an augmentation of pictures")
        )  # fmt: skip
    if not recipe.methods and scheme.facts["uses_methods"]:
        return [*found, Fault("methods", "no method: add at least one, for instance kd")]
    cards = [catalog.card("methods", part.method.key) for part in recipe.methods]
    weights = [
        card.facts["weight"] if part.weight is None else part.weight
        for part, card in zip(recipe.methods, cards, strict=True)
    ]
    own = not scheme.facts["uses_methods"]
    taught = own or any(card.facts["needs_teacher"] and weight > 0 for card, weight in zip(cards, weights, strict=True))
    if not taught:
        found.append(
            Fault(
                "methods",
                "nothing is distilled: no method with a weight above 0 compares with a teacher; add kd, for instance",
            )
        )
    for number, (card, part) in enumerate(zip(cards, recipe.methods, strict=True)):
        if not own and card.facts["needs_teacher"] and card.facts["matches"] not in scheme.facts["takes_matching"]:
            found.append(
                Fault(f"methods.{number}", f"{card.key} does not go with {scheme.key}: {scheme.facts['refusal']}")
            )
        if part.pairs is not None and card.facts["matches"] == "nothing":
            found.append(Fault(f"methods.{number}.pairs", f"{card.key} compares outputs; it takes no pairs of layers"))
        if part.pairs is not None and card.facts["matches"] == "one" and len(part.pairs) != 1:
            found.append(
                Fault(f"methods.{number}.pairs", f"{card.key} matches one pair of layers, not {len(part.pairs)}")
            )
    if any(card.facts["matches"] in ("one", "each", "all") and card.facts["needs_teacher"] for card in cards):
        budget = recipe.budget()
        if budget.batch < 4:
            found.append(
                Fault("training.batch", f"batch={budget.batch}: methods with learned parts need 4 pictures or more")
            )
    labelled = settings["labelled"]
    if labelled == 0 and not taught:
        found.append(Fault("data.labelled", "labelled=0 leaves nothing to learn from without a teacher"))
    if labelled == 0 and not uses_teacher:
        found.append(Fault("data.labelled", f"labelled=0: in {scheme.key} there is no teacher with labels"))
    return found
