"""Which classes gained, and which confusions went."""

from __future__ import annotations

import streamlit as st

from app.section import Place, Section
from app.views.scrubber import question, scrubber


def draw(place: Place) -> None:
    scrubber(question(place.run, "confusion"), place.phase, key="film-classes", going=place.going)
    st.caption(
        "Left: the arm runs from the student alone to the student. Right: of the test pictures of a class (row), how "
        "many more (orange) or fewer (blue) the student takes for the class of the column, in percentage points. A "
        "gain is orange on the diagonal and blue beside it."
    )


SECTION = Section("Classes", order=30, draw=draw)
