"""Which channel of the student does what a channel of the teacher does."""

from __future__ import annotations

import streamlit as st

from app.section import Place, Section
from app.views.inside import flat, layer_choice, layers_of, pictures, points
from app.views.picture_gallery import gallery_choice
from app.views.scrubber import question, scrubber
from kdcore.answer import Answer
from kdcore.answers.channel_partners import ChannelPartners


def draw(place: Place) -> None:
    student, teacher = layer_choice(place.history, place.phase(), into=place.columns[1:], key="partners")
    picture = 0
    if not points(place.history):
        picture = gallery_choice(place, into=place.columns[0], without=_flat(place, (student, teacher)))
    asked = question(
        place.run, "channel_partners", picture=picture, student_layer=student, teacher_layer=teacher
    )  # fmt: skip
    scrubber(asked, place.phase, key="film-partners", going=place.going, also=_said_of_maps)
    st.caption(
        "Every channel of the student is given the channel of the teacher that it goes along with, no channel twice, "
        "so that all correlations over the validation set add up to the most. The wider the link, the more alike. "
        "Two networks never have the same channels by themselves: what the student alone reaches is what comes about "
        "without a teacher. It is shown as it was at the end of its training."
    )


def _flat(place: Place, pair: tuple[int, int]) -> str:
    """Why no picture is shown for this pair of layers, "" where one is."""
    for layer, (side, (_, layers)) in zip(pair, layers_of(place.history, place.phase()).items(), strict=True):
        looked_at = layers if layer < 0 else layers[layer : layer + 1]
        if looked_at and all(flat(one) for one in looked_at):
            return f"The {side}'s neurons have no place in a picture: their mean on each class is shown."
    return ""


def _said_of_maps(answer: Answer) -> str:
    assert isinstance(answer, ChannelPartners)
    return f"A small map is {answer.map_says}."


SECTION = Section("Channel partners", order=12, draw=draw, suits=pictures)
