"""What a section of a page is, which there are (every file in app/sections/<page>), and the page made of them."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import streamlit as st

from app import state
from app.views.chosen import option
from app.views.inside import nothing_here, phase_choice, run_choice, training
from app.views.waiting import SENT, draw_in_part, settled, turn
from kdcore.history import History, PhaseTrace
from kdcore.run import Run


@dataclass(frozen=True)
class Place:
    """What a section is drawn about, and the head's columns that are left for its controls."""

    run: Run
    history: History
    phase: Callable[[], PhaseTrace]
    """The chosen phase as it is by now: a run that goes on writes more snapshots."""
    going: bool
    """Whether the run may write more."""
    columns: Sequence[Any]
    """Three places beside the choice of the section."""


def always(history: History) -> bool:
    """Suits every run."""
    return True


@dataclass(frozen=True)
class Section:
    """One section. The first, by order, that suits a run opens with it."""

    title: str
    """Names it in the address too."""
    order: int
    draw: Callable[[Place], None]
    suits: Callable[[History], bool] = always


@lru_cache(maxsize=8)
def sections(page: str) -> tuple[Section, ...]:
    """Every section of app/sections/<page>, in their order. Raises TypeError for a file without a `SECTION`."""
    folder = importlib.import_module(f"app.sections.{page}")
    found = []
    for entry in pkgutil.iter_modules(folder.__path__):
        section = getattr(importlib.import_module(f"{folder.__name__}.{entry.name}"), "SECTION", None)
        if not isinstance(section, Section):
            raise TypeError(f"app/sections/{page}/{entry.name}.py has no SECTION = Section(…)")
        found.append(section)
    return tuple(sorted(found, key=lambda section: section.order))


def show_sections(page: str, *, named: str) -> None:
    """Draws the page: the run, its phase, the choice of a section (`named` in the address), and that section."""
    run = run_choice(page=page)
    if run is None:
        nothing_here()
        return
    going = run.state() in ("waiting", "running")
    history = state.history_of(run)
    number = phase_choice(history)
    if number is None:
        training(run, history, going=going)
        return
    part = draw_in_part((page, run.id, number), going=going)
    with contextlib.nullcontext() if part else st.container():  # a fragment makes one of its own
        (st.fragment(_section) if part else _section)(page, run, number, going, named)


def _section(page: str, run: Run, number: int, going: bool, named: str) -> None:
    if not run.folder.is_dir():  # taken off the shelf meanwhile
        st.rerun()
    history = state.history_of(run)
    there = {section.title: section for section in sections(page)}
    usual = next((section.title for section in there.values() if section.suits(history)), next(iter(there)))
    stays = state.widget(state.choice_key(named)) is not None  # the page was drawn before
    chosen = option(
        st.segmented_control, "What to look at", list(there), key=named, what="section", usual=usual,
        required=True, label_visibility="collapsed",
    )  # fmt: skip
    here = (chosen, run.id, number)
    another = stays and here != state.kept("section.in_place")
    state.keep("section.in_place", here)
    with _place_of(another=another):
        places = st.columns([1.4, 1.4, 1.4], vertical_alignment="bottom")
        there[chosen].draw(Place(run, history, lambda: state.history_of(run).phases[number], going, places))
    turn(False)
    settled(going=going)


def _place_of(*, another: bool) -> Any:
    """Where the section is drawn: what stands there stays until it is drawn anew, unless that is `another` one, or
    another run's.

    An `st.empty()` clears its place at once when the page is told of it before what comes into it (told together, it is
    left out): used for every drawing, it took the film away for a moment now and then, and with it its zoom and timer.
    """
    turn(another)
    if not another:
        return st.container()
    body = st.empty()
    time.sleep(SENT)  # what stood here would be taken for the new one's picture
    return body.container()
