"""Choosing the picture that all panels show: by its number, or from a gallery that a button opens."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state
from app.charts import gallery as album
from app.gallery import gallery
from app.section import Place
from app.views import chosen
from app.views.inside import picture_choice
from app.views.moment import answered
from kdcore.answers.gallery import Gallery

WHICH = {"All pictures": "everything", "They disagree": "disagreements"}
MOST = 96
"""Pictures in the gallery."""


def gallery_choice(place: Place, *, into: Any, without: str = "") -> int:
    """Which validation picture, counted from 0, as `picture_choice` has it, with the gallery beside its number."""
    if without:
        return picture_choice(place.history, into=into, without=without)
    number, way = into.columns([1.6, 1.0], vertical_alignment="bottom")
    open_gallery(place, into=way)
    return picture_choice(place.history, into=number)


def open_gallery(place: Place, *, into: Any) -> None:
    """The button that opens the gallery. Drawn before the picture's number, which then shows what was picked."""
    box = into.popover(
        "Gallery", icon=":material/photo_library:", key="picture.gallery", on_change="rerun",
        help="Validation pictures, with what the networks say of each.",
    )  # fmt: skip
    if not box.open:
        return
    with box:
        which = st.segmented_control(
            "Which pictures", list(WHICH), default=next(iter(WHICH)), key="picture.gallery.which", required=True,
            label_visibility="collapsed",
        ) or next(iter(WHICH))  # fmt: skip
        phase = place.phase()
        moment = chosen.nearest(phase.snapshots, chosen.epoch(phase))
        found = answered(place.run, moment.name, "disagreements", which=WHICH[which], most=MOST)
        if not isinstance(found, Gallery):
            return
        st.caption(f"{found.title}; those on which student and teacher are furthest apart come first.")
        if not found.places:
            return
        now = chosen.number("picture", "validation pictures", _count(place)) or 0
        picked = gallery(
            album.packed(found), chosen=now if now in found.places else found.places[0], key=f"choose-{place.run.id}"
        )
        if picked is not None:
            state.select("picture", picked)


def _count(place: Place) -> int:
    return int(place.history.started.data.get("validation", 1)) if place.history.started else 1
