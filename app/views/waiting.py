"""Waiting for an answer: how far it is, once that takes long; whatever is chosen on the page meanwhile goes first."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Any, NoReturn

import streamlit as st

from app import state

SOON = 0.6
"""Seconds before anything is said: what is there at once needs no bar."""
BLANK = 0.15
"""The same where nothing stands on the page yet."""
SENT = 0.03
"""Seconds in which the server sends what was drawn."""
COMING = ":material/hourglass_top: The picture is being worked out …"


class Waiting:
    """Told how far an answer is, draws it into a place of the page. After it, `over` clears the place."""

    def __init__(self, place: Any, *, stops: str = "", asked: Any = None) -> None:
        """`place` is an `st.empty()`. With `stops`, a key, there is a button that keeps `asked` under it and, since the
        page is drawn again, ends the computing. In a fragment a button waits for its end, so there it has none.
        """
        self._place, self._stops, self._asked = place, stops, asked
        self._began = time.monotonic()
        self._bar: Any = None
        self._said = False

    def __call__(self, share: float) -> None:
        """Draws the share, and lets a page that is to be drawn again for something chosen meanwhile go first."""
        took = time.monotonic() - self._began
        if took > BLANK and not self._said and state.kept("section.turned"):
            self._said = True
            self._place.caption(COMING)
        if took < SOON:
            let_go_first()
            return
        if self._bar is None:
            at_work()
            self._bar = self._drawn()
        self._bar.progress(share, text=f"Computing: {100 * share:.0f} %" if share else "Computing …")

    def over(self) -> None:
        """Clears the place."""
        if self._said or self._bar is not None:
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


def turn(another: bool) -> None:
    """Told before it is drawn whether the section is another one than before, and stands in a bare place."""
    state.keep("section.turned", another)


def at_work() -> None:
    """Something is being worked out: now the whole page is to be drawn at a press, which alone does not wait for it."""
    state.keep("section.rests", False)
    if in_part():
        state.keep("section.part", False)
        st.rerun()


def at_rest() -> None:
    """Nothing is being worked out any more."""
    state.keep("section.rests", True)


def draw_once_more() -> NoReturn:
    """Nothing is being worked out any more: draws the page again, now without a timer. Ends this script run."""
    at_rest()
    state.keep("section.settles", True)
    st.rerun()


def settled(*, going: bool) -> None:
    """At the end of a drawing: waits until it is sent, where a part of it may be asked for again right behind it.

    A browser's timer may have asked for the film meanwhile. Streamlit then drops what of the film is not sent yet, but
    not the word that the page is whole, with which the browser takes the film away until it comes again.
    """
    if going or state.kept("section.settles"):
        state.keep("section.settles", False)
        time.sleep(SENT)


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
