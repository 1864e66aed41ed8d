"""How alike every layer of the student is to every layer of the teacher, and which pairs are worth matching."""

from __future__ import annotations

import streamlit as st

from app.section import Place, Section
from app.views.chosen import choose_layers, layers
from app.views.inside import layers_of
from app.views.scrubber import question, scrubber
from app.views.similar import SAID, SAID_OF_SVCCA, leave_with_pair, measure_choice, open_pair, suggestions


def draw(place: Place) -> None:
    leave_with_pair()
    settings = measure_choice(place.columns)
    asked = question(place.run, "cka", **settings)
    if settings["of"] == "student":
        counts = (len(found) for _, found in layers_of(place.history, place.phase()).values())
        pair = layers(*counts)
        scrubber(
            asked, place.phase, key="film-similarity", going=place.going, chosen=choose_layers,
            marked=pair if min(pair) >= 0 else None,
        )  # fmt: skip
        open_pair(place)
    else:
        scrubber(asked, place.phase, key="film-similarity", going=place.going)
    suggestions(place.run, place.phase().snapshots[-1].name)
    st.caption(
        f"{SAID[settings['kernel']]} {SAID_OF_SVCCA} The student alone is measured as it was at the end of its "
        "training."
    )


SECTION = Section("Similarity (CKA)", order=30, draw=draw)
