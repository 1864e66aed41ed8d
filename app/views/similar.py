"""The similarity of layers: a pair to open, pairs worth matching, and the recipe that matches one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state
from app.section import Place
from app.theme import percent
from app.views.chosen import choose_layers, complaint, layers, option
from app.views.inside import layer_name, layers_of, picture_choice, points, said_of_picture
from app.views.moment import answered
from app.views.run_head import recipe_of
from app.views.scrubber import question, scrubber
from kdcore.answers.layer_pairs import LayerPairs
from kdcore.cards import Catalog
from kdcore.recipe import Part, Pick, Recipe
from kdcore.run import Run

KERNELS = {"linear": "Linear CKA", "rbf": "RBF CKA"}
SAID = {
    "linear": "CKA: 1 (yellow) where both layers put the inputs into the same arrangement, up to rotation and scale; "
    "0: nothing in common. Estimated without bias, so it may fall a little below 0.",
    "rbf": "CKA with the RBF kernel: as linear CKA, but by which inputs are near neighbours rather than by all "
    "distances. Estimated without bias, so it may fall a little below 0.",
}
SAID_OF_SVCCA = (
    "SVCCA: 1 where a linear map turns the main directions of one layer into those of the other. It forgives more than "
    "CKA does, and reads high where inputs are few."
)
WHOSE = {"student": "Students with the teacher", "teacher": "The teacher with itself"}
BEST = 5
"""Suggested pairs that have a row."""


def measure_choice(places: Any) -> dict[str, str]:
    """Settings of the probe "cka": kernel and whose layers, both in the address."""
    kernel = option(
        places[0].selectbox, "CKA's kernel, beside SVCCA", list(KERNELS), key="measure", what="kernel",
        format_func=KERNELS.__getitem__,
    )  # fmt: skip
    whose = option(
        places[1].selectbox, "Compare", list(WHOSE), key="whose", what="comparison", format_func=WHOSE.__getitem__
    )
    return {"measure": "both", "kernel": kernel, "of": whose}


def leave_with_pair() -> None:
    """Opens Begin if a pair was just matched. Called first: a film that draws again would swallow the click."""
    made = state.kept("look.matched")
    if made is not None:
        state.keep("look.matched", None)
        state.go("begin", recipe=made)


def open_pair(place: Place) -> None:
    """Below the matrices: the maps, or boundaries, of the chosen pair, and the way to choose and to leave one."""
    plane = points(place.history)
    names, number, close = st.columns([5, 1.2, 1.2], vertical_alignment="bottom")
    student, teacher = (layers for _, layers in layers_of(place.history, place.phase()).values())
    pair = layers(len(student), len(teacher))
    complaint("layers")
    if min(pair) < 0:
        names.info(
            f"Click a field above: the {'boundaries' if plane else 'feature maps'} of that pair of layers open here.",
            icon=":material/ads_click:",
        )
        return
    names.markdown(
        f"**Chosen pair (framed above): student {layer_name(student[pair[0]])} ↔ "
        f"teacher {layer_name(teacher[pair[1]])}**"
    )
    close.button(
        "Close the pair", key="look.cell.close", icon=":material/close:", on_click=choose_layers, args=(None,),
        width="stretch",
    )  # fmt: skip
    chosen = {"student_layer": pair[0], "teacher_layer": pair[1]}
    if plane:
        scrubber(question(place.run, "boundaries", **chosen), place.phase, key="film-pair", going=place.going)
        return
    asked = question(place.run, "feature_maps", picture=picture_choice(place.history, into=number), **chosen)
    scrubber(asked, place.phase, key="film-pair", going=place.going, also=said_of_picture)


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
