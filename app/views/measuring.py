"""What is measured in the background: how far it is, how it is stopped, what it was refused for. For several pages."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app import state
from app.views.knobs import plain

EVERY = 2.0
"""Seconds until the next look at what goes on."""


def followed(going: Callable[[], str], draw: Callable[[], None]) -> None:
    """Draws it, again and again while `going` names something."""
    watched = bool(going())

    def live() -> None:
        if bool(going()) != watched:
            st.rerun()  # a click that starts something redraws this part alone, and only the page sets its pace
        draw()

    st.fragment(live, run_every=EVERY if watched else None)()


def under_way(key: str, done: int, total: int, doing: str, stop: Callable[[], None]) -> None:
    """How far it is, in steps ("3 of 20 …"), and a button that stops it. `doing` is "" before it has begun."""
    bar, button = st.columns([4, 1], vertical_alignment="center")
    bar.progress(min(1.0, done / max(1, total)), text=doing or "Beginning …")
    button.button("Stop", icon=":material/stop:", key=f"{key}.stop", on_click=stop,
                  help="What has been measured stays, and it can go on later. Runs started meanwhile take turns "
                  "with it.")  # fmt: skip


def tried(key: str, do: Callable[[], None]) -> None:
    """Does it, for the callback of a button; a refusal is kept until `refusal` has said it."""
    try:
        do()
    except (ValueError, OSError) as error:
        state.keep(f"{key}.trouble", str(error))


def refusal(key: str) -> None:
    """What the last click could not do."""
    trouble = state.kept(f"{key}.trouble", "")
    if trouble:
        state.keep(f"{key}.trouble", "")
        st.error(plain(trouble), icon=":material/error:")
