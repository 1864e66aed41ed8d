"""Sweep: settings of a recipe searched for what is best on validation pictures, live, and what the winner is worth."""

from __future__ import annotations

import streamlit as st

from app import state
from app.page import Page
from app.rows import ago
from app.views.knobs import plain
from app.views.sweep_form import form
from app.views.sweep_result import result
from app.words import gloss
from kdcore.sweep import MISSING, SweepError, installed
from kdcore.sweeps import Sweeps

NEW = "new"
LISTED = 50
"""Earlier sweeps that are offered."""


def show() -> None:
    """The page."""
    catalog = state.catalog()
    board = Sweeps(state.shelf().root)
    head, which = st.columns([3, 2], vertical_alignment="bottom")
    head.header("Sweep", anchor=False, help=gloss("validation", "student alone"))
    with which:
        chosen = _chosen(board)
    if trouble := state.kept("sweep.trouble", ""):
        state.keep("sweep.trouble", "")
        st.error(plain(trouble), icon=":material/error:")
    if not installed():
        st.info(MISSING, icon=":material/extension:")
    if chosen != NEW:
        result(board, chosen, catalog)
        return
    st.markdown(
        "Search settings for what is best on validation pictures. Every try is a run of its own; weak ones are stopped "
        "early, and the winner is then held against the recipe as it stands."
    )
    form(board, catalog)


def _chosen(board: Sweeps) -> str:
    """The id of the sweep to look at, as the address says it; NEW for the form. What goes on is shown unasked."""
    asked, every = state.from_address("sweep") or board.going() or NEW, board.ids()
    if asked not in (NEW, *every):
        st.error(f"There is no sweep {plain(asked[:40])} here; it may have been forgotten.", icon=":material/link_off:")
        asked = NEW
    ids = list(dict.fromkeys([*([] if asked == NEW else [asked]), *every[:LISTED]]))
    chosen = st.selectbox(
        "Which sweep", [NEW, *ids], index=[NEW, *ids].index(asked), key=f"sweep.which.{asked}",
        format_func=lambda id: "a new one" if id == NEW else _named(board, id), label_visibility="collapsed",
    )  # fmt: skip
    if chosen != asked:
        state.to_address("sweep", chosen)
        st.rerun()
    return chosen


def _named(board: Sweeps, id: str) -> str:
    """What is searched, how far it is, and when it began."""
    try:
        found = board.read(id)
    except SweepError:
        return f"{id[:6]} · damaged"
    paths = ", ".join(span.path.rpartition(".")[2].replace("_", " ") for span in found.plan.spans)
    far = "goes on" if board.going() == id else f"{found.ended} of {found.runs} tries"
    return f"{id[:6]} · {paths} · {far} · {ago(found.began)}"


PAGE = Page("sweep", "Sweep", ":material/query_stats:", 5, show, "sweep")
