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
from app.views.waiting import clear_for, draw_in_part, drawn
from kdcore.history import History, PhaseTrace
from kdcore.run import Run

CLEARED = 0.03
"""Seconds in which the server sends what clears a section: sent together with what follows, it would be left out."""


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
    with _place_of(chosen, another=stays and chosen != state.kept("section.drawn")):
        places = st.columns([1.4, 1.4, 1.4], vertical_alignment="bottom")
        there[chosen].draw(Place(run, history, lambda: state.history_of(run).phases[number], going, places))
    state.keep("section.drawn", chosen)
    drawn()


def _place_of(chosen: str, *, another: bool) -> Any:
    """Where the section is drawn: what stands there stays until it is drawn anew.

    Also if that is of `another` section, where the picture is there at once; where it has to be waited for, the place
    is cleared: under the new one's name what stood there would be taken for its picture.
    """
    if not clear_for(another):
        return st.container()
    body = st.empty()
    body.caption(f":material/hourglass_top: {chosen} is being worked out …")
    time.sleep(CLEARED)
    return body.container()
