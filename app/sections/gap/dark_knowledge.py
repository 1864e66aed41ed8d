"""Which classes look alike to each network, at any temperature, over the epochs."""

from __future__ import annotations

import streamlit as st

from app import state
from app.section import Place, Section
from app.views import chosen
from app.views.inside import class_choice, pictures, test_choice
from app.views.own_picture import own_choice
from app.views.scrubber import question, scrubber

WHOLE = 20
"""Classes up to which all are drawn, and a row is the class of its number."""


def draw(place: Place) -> None:
    number = test_choice(place.history, into=place.columns[0], help="Its soft labels stand below.")
    phase = place.phase()
    moment = chosen.nearest(phase.snapshots, chosen.epoch(phase)).name
    label = class_choice(place.history, into=place.columns[1])
    own = own_choice(place.run, place.history, moment, into=place.columns[2]) if pictures(place.history) else ""
    asked = question(place.run, "dark_knowledge", picture=number, **({"own": own} if own else {}))
    classes = len((place.history.started.data.get("class_names") or ()) if place.history.started else ())
    whole = classes <= WHOLE
    scrubber(
        asked, place.phase, key="film-dark", going=place.going, chosen=_choose if whole else None,
        marked=(label, label) if whole and label is not None else None,
    )  # fmt: skip
    st.caption(
        "Each row is the mean answer to one class's test pictures. The diagonal would outshine the rest and is left "
        "out; colours reach from the least to the greatest likeness at that temperature, the same for all networks and "
        "epochs. Drag the temperature: at 1 nearly nothing stands beside the right class, higher up the likenesses "
        "come out that a student can learn from."
    )


def _choose(field: tuple[int, int]) -> None:
    """The class of a field's row."""
    state.select("class", field[0])


SECTION = Section("Dark knowledge", order=40, draw=draw)
