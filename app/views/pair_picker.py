"""Which layers a method matches: found by the lab, or chosen by hand out of the networks' layers."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state
from app.draft import without_setting
from app.views.knobs import explain, plain
from app.words import MATCHES, gloss
from kdcore.cards import Card
from kdcore.check import Fault
from kdcore.pairing import Pairing, automatic
from kdcore.preview import Preview
from kdcore.recipe import Recipe

Pair = tuple[int, int]
Layers = list[dict[str, Any]]
"""{"name", "shape": [c, h, w]} each, shallow to deep."""


def pairs(recipe: Recipe, number: int, card: Card, faults: list[Fault], plan: Preview | None) -> Recipe:
    """Draws the choice for one method and gives back the recipe with its pairs.

    `plan` is a plan of the same networks on the same data, from which the layers are known, or None.
    """
    path = f"methods.{number}.pairs"
    part = recipe.methods[number]
    student, teacher = layers_of(plan)
    found = None
    if student and teacher:
        found = automatic(
            card.facts["matches"], card.facts["prefers"],
            student=[layer["shape"] for layer in student], teacher=[layer["shape"] for layer in teacher],
        )  # fmt: skip
    own = st.toggle(
        "Choose the layers myself", part.pairs is not None, key=state.key_of(f"{path}.own"),
        help=f"{card.title} matches {MATCHES[card.facts['matches']]}. Off: by resolution first, depth second.\n\n"
        + gloss("hint layer", "guided layer"),
    )  # fmt: skip
    explain(faults, path)
    if not own:
        _say(found, student, teacher)
        return recipe if part.pairs is None else without_setting(recipe, path)
    if not student and part.pairs is None:
        st.caption("The layers' names appear here once the plan is ready.")
        return recipe
    present = list(part.pairs or (found.pairs if found else ()))
    options = sorted({*present, *((s, t) for s in range(len(student)) for t in range(len(teacher)))})
    said = {name_of(pair, student, teacher): pair for pair in options}
    before = [name for name, pair in said.items() if pair in present]
    if card.facts["matches"] == "one":
        first = list(said).index(before[0]) if before else 0
        names = [st.selectbox("Student layer ↔ teacher layer", list(said), first, key=state.key_of(f"{path}.chosen"))]
    else:
        key = state.key_of(f"{path}.chosen")
        names = st.multiselect("Student layers ↔ teacher layers", list(said), before, key=key)
    chosen = tuple(said[name] for name in names if name in said)
    if not chosen:
        st.error("Choose at least one pair, or let the lab choose.", icon=":material/error:")
        return recipe
    return recipe if chosen == part.pairs else recipe.with_setting(path, [list(pair) for pair in chosen])


def _say(found: Pairing | None, student: Layers, teacher: Layers) -> None:
    if found is None:
        return
    some = ", ".join(name_of(pair, student, teacher) for pair in found.pairs[:4])
    more = f" and {len(found.pairs) - 4} more" if len(found.pairs) > 4 else ""
    st.caption(f":material/cable: {plain(some)}{more}: {plain(found.why)}.")


def layers_of(plan: Preview | None) -> tuple[Layers, Layers]:
    """The student's layers and those of who teaches it (its own kind where the scheme has no teacher)."""
    if plan is None or not plan.roles:
        return [], []
    student = plan.roles.get("student") or next(iter(plan.roles.values()))
    return student["layers"], plan.roles.get("teacher", student)["layers"]


def shape_of(shape: list[int]) -> str:
    """ "16×8×8" (channels, height, width); "64" for a layer without a plane."""
    return f"{shape[0]}" if list(shape[1:]) in ([], [1, 1]) else "×".join(str(side) for side in shape)


def name_of(pair: Pair, student: Layers, teacher: Layers) -> str:
    """ "stage 1 (16×8×8) ↔ stage 2 (64×4×4)", by number where a name is not known."""
    sides = []
    for layer, known in zip(pair, (student, teacher), strict=True):
        has = layer < len(known)
        sides.append(f"{known[layer]['name']} ({shape_of(known[layer]['shape'])})" if has else f"layer {layer + 1}")
    return f"{sides[0]} ↔ {sides[1]}"
