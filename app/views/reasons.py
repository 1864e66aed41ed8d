"""Why the networks answer one picture as they do: which places speak for a class, and what their layers make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app import state
from app.charts import attribution, map_grid
from app.charts.panels import FAMILY
from app.views.chosen import linked
from app.views.inside import layer_choice
from app.views.moment import answered
from app.views.still import still
from kdcore.answers.attribution import Attribution
from kdcore.answers.map_grid import MapGrid
from kdcore.history import History, PhaseTrace
from kdcore.run import Run

PLACES, MAPS = "What speaks for it", "Feature maps"
WIDE = 850
"""Width in px that the maps are given on a laptop; from it follows the height at which they are square."""


@dataclass(frozen=True)
class Why:
    """One picture, one moment, one class."""

    run: Run
    moment: str
    """A snapshot's name."""
    picture: dict[str, Any]
    """The settings by which probes find the picture: split and picture, or own."""
    explained: int
    """The class, as the attribution probe takes it."""
    name: str
    """For files: a number, or a name of one's own picture."""


Lines = Callable[[], Iterator[tuple[object, ...]]]


def reasons(why: Why, history: History, phase: PhaseTrace) -> tuple[Lines, str] | None:
    """Draws the choice of what to see and of the layers, and that; the lines of its CSV with the file's name."""
    places = st.columns([1.5, 1.0, 1.0], vertical_alignment="bottom")
    with places[0]:
        seen = linked(
            st.segmented_control, "What to see", [PLACES, MAPS], key="reasons.seen", what="view of the reasons",
            default=PLACES, required=True, label_visibility="collapsed",
        )  # fmt: skip
    student, teacher = layer_choice(history, phase, into=places[1:], key="reasons")
    layers = {"student_layer": student, "teacher_layer": teacher}
    return _maps(why, layers) if seen == MAPS else _places(why, layers)


def _places(why: Why, layers: dict[str, int]) -> tuple[Lines, str] | None:
    answer = answered(why.run, why.moment, "attribution", **why.picture, explained=why.explained, **layers)
    if not isinstance(answer, Attribution):
        return None
    st.markdown(f"**{answer.title}.** {answer.says}")
    figure = attribution.draw(answer, dark=state.dark())
    still(figure, about=f"reasons {why.name}", key="reasons")
    st.caption(
        "Orange places speak for the class, blue ones against it; each map has its own strength, the pointer says "
        "logits. Integrated Gradients go from black to the picture, occlusion blackens a patch; Grad-CAM is that of "
        "the last layers, or of those chosen above. Agreement is the cosine with the teacher's map, signs aside: 100 % "
        "is the same places. The student alone is shown as it was at the end of its training."
    )
    return lambda: attribution.rows(answer), f"kdlab-reasons-{why.name}-{why.run.id}.csv"


def _maps(why: Why, layers: dict[str, int]) -> tuple[Lines, str] | None:
    answer = answered(why.run, why.moment, "feature_maps", **why.picture, **layers)
    if not isinstance(answer, MapGrid):
        return None
    st.markdown(f"**{answer.title}.** {answer.says} The picture is {answer.picture_says}.")
    figure = map_grid.draw(answer, dark=state.dark())
    aspect = float(figure.layout.meta["aspect"])
    figure.update_layout(height=int(min(620.0, max(240.0, WIDE * aspect))), font={"family": FAMILY})
    figure.for_each_annotation(lambda text: text.update(text=text.text.replace("student alone looks", "alone looks")))
    still(figure, about=f"maps {why.name}", key="reasons.maps")
    st.caption(
        "Each small square is one channel of a layer looking at this picture: coloured where it fires. Over the epochs "
        "they stand under Look inside, Feature maps. The student alone is shown as it was at the end of its training."
    )
    return lambda: map_grid.rows(answer), f"kdlab-maps-{why.name}-{why.run.id}.csv"
