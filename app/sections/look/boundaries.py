"""Where networks decide and where their neurons switch on: in a plane, along a line, neuron by neuron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from app import state
from app.section import Place, Section
from app.views import chosen as choices
from app.views.inside import layer_choice, points, taught
from app.views.scrubber import question, scrubber
from kdcore.history import History

SHADES = {"decisions": "Decisions", "signs": "Signs like the teacher's"}
WAYS = {"horizontal": "From left to right", "vertical": "From bottom to top", "diagonal": "From corner to corner"}
SINCE = {"first": "Since the first snapshot", "before": "Since the snapshot before"}
ALONE = "The student alone is drawn as it was at the end of its training."
CONNECTED = ("ab", "ofd")
"""Methods that learn which of the student's neurons stand for which of the teacher's."""
PICTURES = ("picture", "second", "third")
"""What the corners of a plane are called in the address and by the probes; the first is the picture of all panels."""


def draw(place: Place) -> None:
    chosen = choices.option(
        st.segmented_control, "Drawing", list(_DRAWINGS), key="drawing", what="drawing", required=True,
        label_visibility="collapsed",
    )  # fmt: skip
    _DRAWINGS[chosen](place)


def _plane(place: Place) -> None:
    flat = points(place.history)
    row = st.columns([1.2, 1.4, 1.4] if flat else [1.2, 1.4, 1.4, 0.8, 0.8, 0.8], vertical_alignment="bottom")
    shade = row[0].selectbox("Colour", list(SHADES), format_func=SHADES.__getitem__, key="boundaries.shade")
    student, teacher = layer_choice(place.history, place.phase(), into=row[1:3], key="boundaries")
    asked: dict[str, Any] = {"student_layer": student, "teacher_layer": teacher, "shade": shade}
    if flat:
        probe = "boundaries"
        said = "Colours are what each network decides"
    else:
        asked |= dict(zip(PICTURES, _pictures(place.history, row[3:]), strict=True))
        probe = "picture_plane"
        said = (
            "Every point is a mixture of the three pictures, distances are those of standardised pixel values. "
            "Colours are what each network decides"
        )
    if shade == "signs":
        said = "The lighter, the more of the layer's neurons are on or off as in the teacher"
    scrubber(question(place.run, probe, **asked), place.phase, key=f"film-{probe}-{shade}", going=place.going)
    shaded = " Shaded: decided otherwise than by the teacher." if shade == "decisions" else ""
    st.caption(f"{said}; lines are where a neuron switches on: its boundary is built from them.{shaded} {ALONE}")


def _line(place: Place) -> None:
    asked: dict[str, Any] = {}
    row = st.columns([1.0, 1.0, 3.0], vertical_alignment="bottom")
    if points(place.history):
        asked["across"] = row[0].selectbox("Line", list(WAYS), format_func=WAYS.__getitem__, key="boundaries.across")
    else:
        asked |= dict(zip(PICTURES[:2], _pictures(place.history, row[:2]), strict=True))
    scrubber(question(place.run, "line_regions", **asked), place.phase, key="film-line", going=place.going)
    st.caption(
        "Walking along the line, a network is linear until one of its neurons switches: the number of pieces says how "
        "finely it bends there. The band above the curves has the colour of the class that the network names. Bars: "
        "how many neurons, of all layers, switch in that part of the line. A student that has taken over the teacher's "
        "boundaries changes its mind where the teacher does. At least: larger networks "
        f"have more switches than can be told apart in a few seconds. {ALONE}"
    )


def _signs(place: Place) -> None:
    scrubber(question(place.run, "sign_agreement"), place.phase, key="film-signs", going=place.going)
    scrubber(question(place.run, "neuron_agreement"), place.phase, key="film-neurons", going=place.going)
    st.caption(
        "A student that has taken over the teacher's boundaries has the same neurons on and off. Above for each layer, "
        "below for each neuron, the most alike first. The grey line is what a neuron would reach that never switches. "
        "Partners are chosen on one half of the inputs and counted on the other; above, what a connector gives is "
        f"counted on all. {ALONE.replace('drawn', 'counted')}{_of_connector(place)}"
    )


def _flips(place: Place) -> None:
    since = st.columns([1.0, 2.0])[0].selectbox(
        "Compared", list(SINCE), format_func=SINCE.__getitem__, key="boundaries.since"
    )
    scrubber(question(place.run, "sign_flips", since=since), place.phase, key="film-flips", going=place.going)
    st.caption(
        "A neuron that is on where it was off, or off where it was on, has moved its boundary over that input. The "
        "three that moved most are named above each layer. The student alone is compared over its whole training: both "
        "begin with the same weights where the scheme says so."
    )


def _distance(place: Place) -> None:
    row = st.columns([1.4, 1.4, 2.0], vertical_alignment="bottom")
    student, teacher = layer_choice(place.history, place.phase(), into=row[:2], key="boundaries")
    asked = question(place.run, "boundary_distance", student_layer=student, teacher_layer=teacher)
    scrubber(asked, place.phase, key="film-distance", going=place.going)
    st.caption(
        "For each neuron of the teacher and each input: how far the other network's neuron is from switching, counted "
        "towards the teacher's side. Left of the boundary it is switched otherwise. AB pays for everything left of its "
        f"margin and leaves the rest alone. Of the teacher its own distance is drawn. {ALONE}{_of_connector(place)}"
    )


def _of_connector(place: Place) -> str:
    """Where the student can be seen through a connector for signs, if that is in another phase."""
    number = place.phase().number
    for phase in taught(place.history):
        names = [part.get("name", "") for lesson in phase.lessons for part in lesson.get("parts", [])]
        if phase.number != number and any(name.rstrip("0123456789") in CONNECTED for name in names):
            return f" Through a connector for signs the student is seen under Phase, “{phase.title}”."
    return ""


def _pictures(history: History, into: Sequence[Any]) -> list[int]:
    """Which validation pictures, as many as there are places; -1 for one of another class each.

    The first is the picture of all panels, "picture" in the address; the others are "second" and "third" there.
    """
    there = int(history.started.data.get("validation", 0)) if history.started else 0
    found = []
    for number, (where, name) in enumerate(zip(into, PICTURES, strict=False), start=1):
        picked = choices.number(name, "validation pictures", there)
        key = state.choice_key(name, f"boundaries.{there}")
        where.number_input(
            f"Picture {number}", 0, max(0, there - 1), picked, placeholder="automatic", key=key,
            on_change=state.take, args=(name, key, _said_of_number),
            help=f"One of {there:,} validation pictures, counted from 0. Automatic: one of each class.",
        )  # fmt: skip
        choices.complaint(name)
        found.append(-1 if picked is None else picked)
    return found


def _said_of_number(value: int | None) -> str:
    return "" if value is None else str(int(value))


PLANE, LINE, SIGNS, FLIPS, DISTANCE = (
    "In a plane", "Along a line", "Neurons like the teacher's", "Neurons that flip", "Distance to the boundary",
)  # fmt: skip
_DRAWINGS: dict[str, Callable[[Place], None]] = {
    PLANE: _plane, LINE: _line, SIGNS: _signs, FLIPS: _flips, DISTANCE: _distance,
}  # fmt: skip
"""What the address may name (drawing)."""

SECTION = Section("Activation boundaries", order=20, draw=draw)
