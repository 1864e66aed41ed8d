"""How often student and student alone answer as the teacher does."""

from __future__ import annotations

import streamlit as st

from app.section import Place, Section
from app.views.scrubber import question, scrubber


def draw(place: Place) -> None:
    scrubber(question(place.run, "fidelity"), place.phase, key="film-fidelity", going=place.going)
    st.caption(
        "Where the teacher is right, agreement can come from both having learned the truth. Where it is wrong, it "
        "cannot: what the student repeats there more often than the student alone was taken over from the teacher. KL "
        "is the distance between the probabilities, in nats, without temperature, both ways round: KL(teacher ‖ it) is "
        "large where it rules out what the teacher finds possible, KL(it ‖ teacher) where it believes in what the "
        "teacher rules out. The student alone is shown as it was at the end of its training."
    )


SECTION = Section("Fidelity", order=10, draw=draw)
