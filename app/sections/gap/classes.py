"""Which classes gained, and which confusions went."""

from __future__ import annotations

import streamlit as st

from app import state
from app.section import Place, Section
from app.views.inside import class_choice
from app.views.scrubber import question, scrubber


def draw(place: Place) -> None:
    label = class_choice(place.history, into=place.columns[0])
    scrubber(
        question(place.run, "confusion"), place.phase, key="film-classes", going=place.going, chosen=_choose,
        marked=None if label is None else (label, label),
    )  # fmt: skip
    st.caption(
        "Left: the arm runs from the student alone to the student. Right: of the test pictures of a class (row), how "
        "many more (orange) or fewer (blue) the student takes for the class of the column, in percentage points. A "
        "gain is orange on the diagonal and blue beside it. A click on a field chooses the class of its row for all "
        "panels."
    )


def _choose(field: tuple[int, int]) -> None:
    """The class of a field's row."""
    state.select("class", field[0])


SECTION = Section("Classes", order=30, draw=draw)
