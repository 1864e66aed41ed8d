"""The similarity of layers: a pair to open, pairs worth matching, and the recipe that matches one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state
from app.theme import percent
from app.views.inside import layer_name
from app.views.moment import answered
from app.views.run_head import recipe_of
from kdcore.answer import LayerPairs
from kdcore.cards import Catalog
from kdcore.recipe import Part, Pick, Recipe
from kdcore.run import Run

MEASURES: dict[str, dict[str, str]] = {
    "Linear CKA": {"measure": "cka", "kernel": "linear"},
    "RBF CKA": {"measure": "cka", "kernel": "rbf"},
    "SVCCA": {"measure": "svcca"},
}
SAID = {
    "Linear CKA": "1 (yellow): both layers put the inputs into the same arrangement, up to rotation and scale; 0: "
    "nothing in common. Estimated without bias, so it may fall a little below 0.",
    "RBF CKA": "As linear CKA, but by which inputs are near neighbours rather than by all distances.",
    "SVCCA": "1 (yellow): a linear map turns the main directions of one layer into those of the other. It forgives "
    "more than CKA does, and reads high where inputs are few.",
}
WHOSE = {"Students with the teacher": "student", "The teacher with itself": "teacher"}
BEST = 5
"""Suggested pairs that have a row."""


def measure_choice(places: Any) -> tuple[str, dict[str, str]]:
    """(what the measure is called, settings of the probe "cka")."""
    measure = places[0].selectbox("Measure", list(MEASURES), key="look.measure") or "Linear CKA"
    whose = places[1].selectbox("Compare", list(WHOSE), key="look.whose") or "Students with the teacher"
    return measure, {**MEASURES[measure], "of": WHOSE[whose]}


def leave_with_pair() -> None:
    """Opens Begin if a pair was just matched. Called first: a film that draws again would swallow the click."""
    made = state.kept("look.matched")
    if made is not None:
        state.keep("look.matched", None)
        state.go("begin", recipe=made)


def choose_cell(cell: tuple[int, int]) -> None:
    """Takes a field of the heat map as the pair to open."""
    state.keep("look.cell", cell)
    state.renew_controls("look.cell")


def pair_choice(
    student: list[dict[str, Any]], teacher: list[dict[str, Any]], *, maps: bool, into: Any
) -> tuple[int, int] | None:
    """Which cell to open, (student layer, teacher layer) counted from 0, or None."""
    cells = [(s, t) for s in range(len(student)) for t in range(len(teacher))]
    clicked = state.kept("look.cell")
    chosen = into.selectbox(
        f"The {'feature maps' if maps else 'boundaries'} of a pair: click a field above, or choose here", cells,
        index=cells.index(clicked) if clicked in cells else None,
        key=state.key_of(f"look.cell.{len(student)}.{len(teacher)}"),
        placeholder="student layer ↔ teacher layer",
        format_func=lambda pair: f"student {layer_name(student[pair[0]])} ↔ teacher {layer_name(teacher[pair[1]])}",
    )  # fmt: skip
    state.keep("look.cell", chosen)
    return chosen


def suggestions(run: Run, snapshot: str) -> None:
    """The pairs worth matching at a moment, each with a button; asked for when the box is opened."""
    box = st.expander(
        "Suggest pairs: which layers to match?", key="look.suggest", icon=":material/cable:", on_change="rerun"
    )
    if not box.open:
        return
    with box:
        answer = answered(run, snapshot, "suggest_pairs")
        if not isinstance(answer, LayerPairs):
            return
        st.markdown(f"**{answer.title}**")
        recipe, catalog = recipe_of(run), state.catalog()
        widths = [2.2, 0.9, 0.8, 1.1, 4.4, 1.6]
        heads = ("Student ↔ teacher", "Resolution", "CKA", "Readable", "Why", "")
        for place, head in zip(st.columns(widths), heads, strict=True):
            place.caption(head)
        for row in range(min(BEST, len(answer.pairs))):
            _row(answer, row, recipe, catalog, st.columns(widths, vertical_alignment="center"))
        st.caption(
            "Ranked by the mean of the three numbers. A high place says that the pair is within the student's reach; "
            "whether matching it helps, only a run can say. The button starts nothing: it opens the recipe on Begin."
        )


def _row(answer: LayerPairs, row: int, recipe: Recipe | None, catalog: Catalog, places: Any) -> None:
    student, teacher = answer.pairs[row]
    places[0].markdown(f"**{answer.names[row]}**" + ("  \n*matched in this run*" if answer.matched[row] else ""))
    places[1].markdown(f"{answer.resolution[row]:.2f}")
    places[2].markdown(f"{answer.cka[row]:.2f}")
    places[3].markdown(percent(float(answer.explained[row])))
    places[4].caption(answer.reasons[row][0].upper() + answer.reasons[row][1:])
    if recipe is None:
        return
    made, what = with_pair(recipe, catalog, (student, teacher))
    places[5].button(
        "Match these", key=f"look.match.{student}.{teacher}", help=what, width="stretch",
        on_click=state.keep, args=("look.matched", made),
    )  # fmt: skip


def with_pair(recipe: Recipe, catalog: Catalog, pair: tuple[int, int]) -> tuple[Recipe, str]:
    """The recipe with this pairing, and what was changed in one sentence.

    Methods that match pairs take this one; those that weigh all pairs make way for FitNets, as does a recipe without.
    """
    kept, taken, left = [], [], []
    for part in recipe.methods:
        card = catalog.folders["methods"].get(part.method.key)
        matches = card.facts["matches"] if card else "nothing"
        title = card.title if card else part.method.key
        if matches in ("one", "each"):
            kept.append(Part(part.method, part.weight, (pair,)))
            taken.append(title)
        elif matches == "all":
            left.append(title)
        else:
            kept.append(part)
    if not taken:
        kept.append(Part(Pick("fitnet", {}), None, (pair,)))
        taken = ["FitNets (hints)"]
    without = f", without {' and '.join(left)}, which weighs all pairs" if left else ""
    return recipe.replace(methods=tuple(kept)), f"The same recipe with {' and '.join(taken)} on this pair{without}."
