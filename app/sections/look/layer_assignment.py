"""Which layers a method with attention lets teach which, and whether that agrees with similarity and depth."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state
from app.draft import with_method
from app.section import Place, Section
from app.starting import hand_over
from app.views.chosen import epoch, nearest
from app.views.inside import picture_choice, points
from app.views.moment import answered
from app.views.picture_gallery import gallery_choice
from app.views.pinned import METHODS, pin
from app.views.run_head import recipe_of
from app.views.scrubber import question, scrubber, thinned
from app.views.similar import leave_with_pair
from kdcore.answers.layer_attention import LayerAttention
from kdcore.recipe import Recipe

KERNELS = {"Linear CKA": "linear", "RBF CKA": "rbf"}


def draw(place: Place) -> None:
    leave_with_pair()
    recipe = recipe_of(place.run)
    if recipe is not None and not any(part.method.key in METHODS and part.weight != 0 for part in recipe.methods):
        _without_attention(recipe)
        return
    settings = _settings(place)
    phase = place.phase()
    moment = nearest(thinned(phase.snapshots), epoch(phase))
    answer = answered(place.run, moment.name, "layer_assignment", **settings)
    if not isinstance(answer, LayerAttention):
        return
    asked = question(place.run, "layer_assignment", **settings)
    scrubber(asked, place.phase, key="film-layers", going=place.going)
    state.keep("epoch.shown", True)
    pin(place.run, answer, epoch=moment.epoch)
    whose = (
        "every layer of the student shares out its attention over the teacher's"
        if answer.attends == "student"
        else "every layer of the teacher shares out its attention over the student's"
    )
    st.caption(
        f"Methods with attention find out by themselves which layers to match: here {whose}, picture by picture. "
        "Orange is more than an even share, blue less. Entropy says how undecided a layer is: its share of the largest "
        "possible (all layers alike) stands in the bar, its whisker is the standard deviation over pictures. The "
        "correlation ranks within each attending layer. Frames and rings are the same in all matrices, so that one "
        "sees whether attention picked what is alike, or merely what is as deep. The student alone was taught by "
        "nobody: it shows how alike the same layers are anyway, at the end of its training."
    )


def _without_attention(recipe: Recipe) -> None:
    """No method of the run chooses layers: says which do, and opens its recipe with one of them."""
    names = [state.catalog().folders["methods"][key].title for key in METHODS]
    st.info(
        "No method of this run chooses layers by itself, so there is no assignment to show. "
        f"Methods with attention over layers learn which to match: {' and '.join(names)}.",
        icon=":material/info:",
    )
    if st.button(
        f"This recipe with {names[0]}", key="look.assignment.with", icon=":material/rocket_launch:",
        help="Opens Begin with this run's recipe and that method added. Nothing starts by itself.",
    ):  # fmt: skip
        hand_over(with_method(recipe, next(iter(METHODS))))


def _settings(place: Place) -> dict[str, Any]:
    """What the probe is asked, by the controls in the head."""
    found: dict[str, Any] = {
        "picture": picture_choice(place.history, into=place.columns[0])
        if points(place.history)
        else gallery_choice(place, into=place.columns[0])
    }
    kernel = place.columns[1].selectbox("Similarity beside it", list(KERNELS), key="look.assignment.kernel")
    found["kernel"] = KERNELS[kernel or "Linear CKA"]
    recipe, catalog = recipe_of(place.run), state.catalog()
    several = [
        catalog.folders["methods"][part.method.key].title
        for part in (recipe.methods if recipe else ())
        if part.method.key in METHODS and part.weight != 0
    ]
    if len(several) > 1:
        numbers = list(range(len(several)))
        found["number"] = place.columns[2].selectbox(
            "Whose attention", numbers, key=f"look.assignment.{len(several)}", format_func=several.__getitem__
        )
    return found


SECTION = Section("Layer assignment", order=40, draw=draw)
