"""Equal gradients: one button that sets the weights so that each method pulls the student equally hard."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from app import state
from app.draft import tidy
from app.starting import write
from app.views.knobs import plain
from kdcore.cards import Catalog
from kdcore.check import Fault
from kdcore.launch import AskError
from kdcore.recipe import Recipe

LABELS = ("ce", "label_smoothing")
"""Methods against which the others are measured; their weights stay."""


def equal_gradients(recipe: Recipe, catalog: Catalog, faults: list[Fault]) -> None:
    """Draws the share and the button. A click writes the weights into the recipe and draws the page anew."""
    if all(part.method.key in LABELS or part.weight == 0 for part in recipe.methods):
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="balance"):
        share = st.number_input(
            "Share of cross-entropy's gradient", 0.01, 10.0, 0.5, key="balance.share", step=0.1, format="%g", width=240,
            help="How hard each method is to pull the student's weights: 1 is as hard as cross-entropy alone.",
        )  # fmt: skip
        clicked = st.button(
            "Equal gradients", key="balance.set", icon=":material/balance:", disabled=bool(faults),
            help="Lets the teacher learn for a moment, measures on one batch how hard each method pulls the student at "
            "its first step, and sets the weights so that each pulls with this share of cross-entropy.",
        )  # fmt: skip
    if clicked:
        _set(recipe, share, catalog)
    said, text = state.kept("balance.said", ("", ""))
    if said and text == tidy(recipe, catalog).to_text():
        st.caption(f":material/check: {said}")


def _set(recipe: Recipe, share: float, catalog: Catalog) -> None:
    try:
        with st.spinner("Measuring on one batch …"):
            weights = state.desk().balance(recipe, share)
    except AskError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    made = tidy(balanced(recipe, weights), catalog)
    named = ", ".join(f"{made.methods[number].method.key} {weight:g}" for number, weight in weights.items())
    state.keep(
        "balance.said", (f"Each pulls {share:g} times as hard as cross-entropy at the start: {named}.", made.to_text())
    )
    write(made)
    state.renew_controls("methods.")
    st.rerun()


def balanced(recipe: Recipe, weights: dict[int, float]) -> Recipe:
    """The recipe with these weights, by place."""
    return recipe.replace(
        methods=tuple(
            replace(part, weight=weights.get(number, part.weight)) for number, part in enumerate(recipe.methods)
        )
    )
