"""What a layer of the student and one of the teacher see in the same picture."""

from __future__ import annotations

import streamlit as st

from app.section import Place, Section
from app.views.inside import layer_choice, picture_choice, pictures, points, said_of_picture
from app.views.own_picture import own_choice
from app.views.picture_gallery import open_gallery
from app.views.scrubber import question, scrubber


def draw(place: Place) -> None:
    if points(place.history):
        st.info(
            "Points in a plane have no feature maps. What the networks make of the plane stands under Activation "
            "boundaries.",
            icon=":material/info:",
        )
        return
    first, second, third = place.columns[0].columns([1.3, 1.0, 1.1], vertical_alignment="bottom")
    own = own_choice(place.run, place.history, place.phase().snapshots[-1].name, into=third)
    open_gallery(place, into=second)
    picture = picture_choice(place.history, into=first)
    student, teacher = layer_choice(place.history, place.phase(), into=place.columns[1:], key="maps")
    asked = question(place.run, "feature_maps", picture=picture, own=own, student_layer=student, teacher_layer=teacher)
    scrubber(asked, place.phase, key="film-maps", going=place.going, also=said_of_picture)
    st.caption(
        "Each small square is one channel of a layer looking at the same picture: coloured where it fires. Where "
        "channels go together one by one, the student's row comes to look like the teacher's; else the strip above "
        "says how near it is. What a network looks at is the mean over all its channels, squared. Colours keep their "
        "meaning over the epochs. The student alone is shown as it was at the end of its training."
    )


SECTION = Section("Feature maps", order=10, draw=draw, suits=pictures)
