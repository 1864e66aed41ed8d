"""Waiting for an answer: how far it is, once that takes long; whatever is chosen on the page meanwhile goes first."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Any

import streamlit as st

from app import state

SOON = 0.6
"""Seconds before anything is said: what is there at once needs no bar."""
AWAY = 0.15
"""Seconds for which another section's picture may still stand under the new one's name."""


class Waiting:
    """Told how far an answer is, draws it into a place of the page. After it, `over` clears the place."""

    def __init__(self, place: Any, *, stops: str = "", asked: Any = None) -> None:
        """`place` is an `st.empty()`. With `stops`, a key, there is a button that keeps `asked` under it and, since the
        page is drawn again, ends the computing. In a fragment a button waits for its end, so there it has none.
        """
        self._place, self._stops, self._asked = place, stops, asked
        self._began = time.monotonic()
        self._bar: Any = None

    def __call__(self, share: float) -> None:
        """Draws the share, and lets a page that is to be drawn again for something chosen meanwhile go first."""
        took = time.monotonic() - self._began
        if took > AWAY and state.kept("section.turned"):
            state.keep("section.clear", True)
            st.rerun()
        if took < SOON:
            let_go_first()
            return
        if self._bar is None:
            at_work()
            self._bar = self._drawn()
        self._bar.progress(share, text=f"Computing: {100 * share:.0f} %" if share else "Computing …")

    def over(self) -> None:
        """Clears the place."""
        if self._bar is not None:
            self._place.empty()

    def _drawn(self) -> Any:
        if not self._stops:
            return self._place.empty()
        words, button = self._place.container().columns([0.86, 0.14], vertical_alignment="center")
        button.button(
            "Stop", key=f"{self._stops}.stop", icon=":material/stop:", width="stretch", on_click=state.keep,
            args=(self._stops, self._asked), help="Ends this computation; nothing else is stopped.",
        )  # fmt: skip
        return words.empty()


def in_part() -> bool:
    """Whether a press in the section draws the section alone: quick, but after what is being worked out there."""
    return bool(state.kept("section.part"))


def draw_in_part(place: Hashable, *, going: bool) -> bool:
    """Whether the section, in that place of the app, is to be drawn so: not while its run writes more, and only where
    nothing was left to work out when it was drawn last.
    """
    part = bool(state.kept("section.rests")) and state.kept("section.place") == place and not going
    state.keep("section.part", part)
    state.keep("section.place", place)
    at_rest()
    return part


def clear_for(another: bool) -> bool:
    """Told whether another section stands in the place of the one to be drawn: whether that is to be cleared first.

    It is once the new one's picture has been waited for: the page is drawn again then.
    """
    clear = bool(state.kept("section.clear"))
    state.keep("section.clear", False)
    state.keep("section.turned", another and not clear)
    return clear


def drawn() -> None:
    """The section stands in its place."""
    state.keep("section.turned", False)


def at_work() -> None:
    """Something is being worked out: now the whole page is to be drawn at a press, which alone does not wait for it."""
    state.keep("section.rests", False)
    if in_part():
        state.keep("section.part", False)
        st.rerun()


def at_rest() -> None:
    """Nothing is being worked out any more."""
    state.keep("section.rests", True)


def let_go_first() -> None:
    """Ends this script run where something on the page was chosen meanwhile: Streamlit looks at such moments."""
    state.kept("waiting")


def stopped(key: str, asked: Any) -> bool:
    """Whether the computing of this was stopped; then draws the button that takes it up again."""
    if state.kept(key) != asked:
        return False
    st.info("Stopped before it was done.", icon=":material/stop_circle:")
    st.button("Compute it", key=f"{key}.on", icon=":material/play_arrow:", on_click=state.keep, args=(key, None))
    return True
