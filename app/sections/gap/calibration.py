"""How sure each network is against how often it is right."""

from __future__ import annotations

import streamlit as st

from app.section import Place, Section
from app.views.chosen import option
from app.views.scrubber import question, scrubber


def draw(place: Place) -> None:
    bins = option(
        place.columns[0].selectbox, "Bins of confidence", (15, 10, 20, 5), key="bins", what="number of bins",
        help="The calibration error depends on how many there are, and so do the diagrams.",
    )  # fmt: skip
    scrubber(question(place.run, "calibration", bins=bins), place.phase, key="film-calibration", going=place.going)
    st.caption(
        "Bars above the dashed line: more often right than sure; below: surer than right. The thin line is the same "
        "network with its logits divided by one temperature, fitted on the validation pictures and tried on the test "
        "pictures: T above 1 means that it was too sure, below 1 not sure enough. What it says stays the same."
    )


SECTION = Section("Calibration", order=20, draw=draw)
