"""Look inside: what a run's networks see, where they switch, and which layers teach which, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app import state
from app.page import Page
from app.views.inside import layer_choice, nothing_here, phase_choice, picture_choice, run_choice, training
from app.views.scrubber import question, scrubber
from kdcore.answer import Answer, MapGrid
from kdcore.history import History, PhaseTrace
from kdcore.run import Run

SECTIONS = {"maps": "Feature maps", "boundaries": "Activation boundaries", "layers": "Layer assignment"}


def show() -> None:
    run = run_choice()
    if run is None:
        nothing_here()
        return
    going = run.state() in ("waiting", "running")
    section = (
        st.segmented_control(
            "What to look at", list(SECTIONS), format_func=SECTIONS.__getitem__, default="maps", key="view", required=True,
            label_visibility="collapsed", bind="query-params",
        )
        or "maps"
    )  # fmt: skip
    history = state.history_of(run)
    number = phase_choice(history)
    if number is None:
        training(run, history, going=going)
        return
    _SHOW[section](run, history, lambda: state.history_of(run).phases[number], going)


def _maps(run: Run, history: History, phase: Callable[[], PhaseTrace], going: bool) -> None:
    st.caption(
        "Each small square is one channel of a layer, looking at the same picture: bright where it fires. The closer the "
        "student's row comes to the teacher's, the more it has taken over."
    )
    choices = st.columns([1, 1.4, 1.4])
    picture = picture_choice(history, into=choices[0])
    student, teacher = layer_choice(history, phase(), into=choices[1:], key="maps")
    asked = question(run, "feature_maps", picture=picture, student_layer=student, teacher_layer=teacher)
    scrubber(asked, phase, key="film-maps", going=going, also=_said_of_picture)


def _boundaries(run: Run, history: History, phase: Callable[[], PhaseTrace], going: bool) -> None:
    points = history.started is not None and len(history.started.data.get("shape", ())) == 1
    if points:
        st.caption(
            "Colours are what each network decides, lines are where a neuron switches on: its boundary is built from them. "
            "Shaded: decided otherwise than by the teacher."
        )
        student, teacher = layer_choice(history, phase(), into=st.columns([1, 1]), key="boundaries")
        asked = question(run, "boundaries", student_layer=student, teacher_layer=teacher)
        scrubber(asked, phase, key="film-plane", going=going)
    else:
        st.caption(
            "A picture has too many dimensions to draw the boundary, so its neurons are counted: a student that has taken over "
            "the teacher's boundaries has the same neurons on and off."
        )
        scrubber(question(run, "sign_agreement"), phase, key="film-signs", going=going)


def _layers(run: Run, history: History, phase: Callable[[], PhaseTrace], going: bool) -> None:
    st.caption(
        "Methods with attention find out by themselves which layers to match. Each field is the share of attention between a "
        "student layer and a teacher layer, mean ± standard deviation over pictures; no colour is an even share."
    )
    scrubber(question(run, "layer_assignment"), phase, key="film-layers", going=going)


def _said_of_picture(answer: Answer) -> str:
    assert isinstance(answer, MapGrid)
    return f"The picture is {answer.picture_says}."


_SHOW = {"maps": _maps, "boundaries": _boundaries, "layers": _layers}

PAGE = Page("look", "Look inside", ":material/biotech:", 20, show, "look")
