"""Look inside: what networks see, where they switch, which layers are alike and which teach which, over epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from app import state
from app.page import Page
from app.views.inside import (
    layer_choice,
    layers_of,
    nothing_here,
    phase_choice,
    picture_choice,
    points,
    run_choice,
    training,
)
from app.views.scrubber import question, scrubber
from app.views.similar import SAID, choose_cell, leave_with_pair, measure_choice, pair_choice, suggestions
from kdcore.answer import Answer, MapGrid
from kdcore.history import History, PhaseTrace
from kdcore.run import Run


def show() -> None:
    run = run_choice()
    if run is None:
        nothing_here()
        return
    going = run.state() in ("waiting", "running")
    history = state.history_of(run)
    number = phase_choice(history)
    if number is None:
        training(run, history, going=going)
        return
    places = st.columns([3.5, 0.8, 1.4, 1.4], vertical_alignment="bottom")
    usual = BOUNDARIES if points(history) else MAPS
    section = places[0].segmented_control(
        "What to look at", list(_SHOW), default=usual, key="view", required=True, label_visibility="collapsed",
        bind="query-params",
    ) or usual  # fmt: skip
    _SHOW[section](run, history, lambda: state.history_of(run).phases[number], going, places[1:])


def _maps(run: Run, history: History, phase: Callable[[], PhaseTrace], going: bool, places: Sequence[Any]) -> None:
    if points(history):
        st.info(
            "Points in a plane have no feature maps. What the networks make of the plane stands under Activation "
            "boundaries.",
            icon=":material/info:",
        )
        return
    picture = picture_choice(history, into=places[0])
    student, teacher = layer_choice(history, phase(), into=places[1:], key="maps")
    asked = question(run, "feature_maps", picture=picture, student_layer=student, teacher_layer=teacher)
    scrubber(asked, phase, key="film-maps", going=going, also=_said_of_picture)
    st.caption(
        "Each small square is one channel of a layer looking at the same picture: coloured where it fires. The closer "
        "the student's row comes to the teacher's, the more it has taken over. What a network looks at is the mean "
        "over all its channels, squared. Colours keep their meaning over the epochs. The student alone is shown as it "
        "was at the end of its training."
    )


def _boundaries(
    run: Run, history: History, phase: Callable[[], PhaseTrace], going: bool, places: Sequence[Any]
) -> None:
    if points(history):
        student, teacher = layer_choice(history, phase(), into=places[1:], key="boundaries")
        asked = question(run, "boundaries", student_layer=student, teacher_layer=teacher)
        scrubber(asked, phase, key="film-plane", going=going)
        st.caption(
            "Colours are what each network decides; lines are where a neuron switches on: its boundary is built from "
            "them. Shaded: decided otherwise than by the teacher. The student alone is drawn as it was at the end of "
            "its training."
        )
        return
    scrubber(question(run, "sign_agreement"), phase, key="film-signs", going=going)
    st.caption(
        "A picture has too many dimensions to draw a boundary in, so neurons are counted: a student that has taken "
        "over the teacher's boundaries has the same neurons on and off. The grey mark is what a neuron would reach "
        "that never switches. The student alone is counted as it was at the end of its training."
    )


def _layers(run: Run, history: History, phase: Callable[[], PhaseTrace], going: bool, places: Sequence[Any]) -> None:
    scrubber(question(run, "layer_assignment"), phase, key="film-layers", going=going)
    st.caption(
        "Methods with attention find out by themselves which layers to match. Each field is the share of attention "
        "between a student layer and a teacher layer, mean ± standard deviation over pictures; orange is more than an "
        "even share, blue less."
    )


def _similarity(
    run: Run, history: History, phase: Callable[[], PhaseTrace], going: bool, places: Sequence[Any]
) -> None:
    leave_with_pair()
    measure, settings = measure_choice(places[1:])
    chosen = choose_cell if settings["of"] == "student" else None
    scrubber(question(run, "cka", **settings), phase, key="film-similarity", going=going, chosen=chosen)
    student, teacher = (layers for _, layers in layers_of(history, phase()).values())
    cell, number = st.columns([4, 1], vertical_alignment="bottom")
    pair = pair_choice(student, teacher, maps=not points(history), into=cell)
    picture = 0 if pair is None or points(history) else picture_choice(history, into=number)
    if pair is not None and points(history):
        asked = question(run, "boundaries", student_layer=pair[0], teacher_layer=pair[1])
        scrubber(asked, phase, key="film-pair", going=going)
    elif pair is not None:
        asked = question(run, "feature_maps", picture=picture, student_layer=pair[0], teacher_layer=pair[1])
        scrubber(asked, phase, key="film-pair", going=going, also=_said_of_picture)
    suggestions(run, phase().snapshots[-1].name)
    st.caption(f"{SAID[measure]} The student alone is measured as it was at the end of its training.")


def _said_of_picture(answer: Answer) -> str:
    assert isinstance(answer, MapGrid)
    return f"The picture is {answer.picture_says}."


MAPS, BOUNDARIES = "Feature maps", "Activation boundaries"
SIMILARITY, LAYERS = "Similarity (CKA)", "Layer assignment"
_SHOW = {MAPS: _maps, BOUNDARIES: _boundaries, SIMILARITY: _similarity, LAYERS: _layers}
"""Section -> what draws it; the address names it (view=Feature+maps)."""

PAGE = Page("look", "Look inside", ":material/biotech:", 20, show, "look")
