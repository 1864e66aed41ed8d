"""One form of a method in full, and the weight that gives its gradient in ours."""

from __future__ import annotations

import streamlit as st

from app import state
from app.draft import tidy, weight_of, with_method
from app.starting import take_up
from app.views.knobs import plain
from kdcore.answers.forms import Forms
from kdcore.cards import Catalog
from kdcore.conventions import CHOOSES, weight_in_ours
from kdcore.form import Form
from kdcore.recipe import Recipe
from kdcore.run import Run

LARGEST = 1e7
"""The largest weight that a recipe takes."""


def one_form(run: Run, key: str, forms: tuple[Form, ...], answer: Forms, catalog: Catalog) -> None:
    """The chosen form in full, and the weight that gives its gradient in ours."""
    there = [number for number in range(len(forms)) if not answer.refusals[number]]
    number = st.selectbox(
        "Form", there,
        next((place for place, number in enumerate(there) if number and forms[number].relation != "shifted"), 0),
        key=f"same.which.{key}.{len(there)}", format_func=lambda number: forms[number].name,
    )  # fmt: skip
    form = forms[number]
    st.caption(f":material/source: {plain(form.used_by)}")
    st.latex(form.formula)
    if form.note:
        st.caption(plain(form.note))
    ours, gradient = float(answer.gradients[0]), float(answer.gradients[number])
    if ours <= 0 or gradient <= 0:
        st.caption("There is no gradient to compare at this moment of the run.")
        return
    recipe = run.recipe
    part = next((part for part in recipe.methods if part.method.key == key), None)
    present = weight_of(part, catalog) if part else float(catalog.card("methods", key).facts["weight"])
    usual = form.weight if form.weight is not None else present
    weight = st.number_input(
        "Weight with which it is used there", 0.0, LARGEST, usual, format="%g",
        key=f"same.weight.{key}.{number}.{run.id}",
        help="As public code has it." if form.weight is not None else "This run's weight; put in the one you know.",
    )  # fmt: skip
    same = weight_in_ours(weight, gradient=gradient, our_gradient=ours)
    st.markdown(f"{weight:g} of this form pulls as hard as **{same:g} of ours**.")
    if answer.alike[number] < 0.995:
        st.caption(f"As hard, but not the same way: the cosine of the two gradients is {answer.alike[number]:.2f}.")
    if same > LARGEST:
        st.caption(f"A recipe takes weights up to {LARGEST:,.0f}, so this one cannot be taken over.")
    elif st.button("Use the weight that gives this gradient in our form", key="same.use", type="primary",
                   icon=":material/balance:", help="Opens Begin with this run's recipe and that weight."):  # fmt: skip
        _open(tidy(reweighted(recipe, key, same, {}), catalog))
    if form.settings and weight * form.times <= LARGEST:
        knobs = ", ".join(f"{name} = {value}" for name, value in form.settings.items())
        if st.button("Use this very form", key="same.very", icon=":material/rocket_launch:",
                     help=f"Our method is this form with {knobs}; opens Begin."):  # fmt: skip
            _open(tidy(reweighted(recipe, key, float(f"{weight * form.times:.4g}"), form.settings), catalog))


def reweighted(recipe: Recipe, key: str, weight: float, settings: dict[str, object]) -> Recipe:
    """The recipe with that method at that weight, in our own form or the one that these knobs choose."""
    if all(part.method.key != key for part in recipe.methods):
        recipe = with_method(recipe, key)
    found = recipe.to_json()
    part = next(part for part in found["methods"] if part["is"] == key)
    for name in CHOOSES.get(key, ()):
        part.pop(name, None)
    part.update({**settings, "weight": weight})
    return Recipe.from_json(found)


def _open(recipe: Recipe) -> None:
    take_up(recipe)
    state.go("begin", recipe=recipe)
