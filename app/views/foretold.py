"""What a scheme can say of its cast before the run, below its knobs: how far off a student is that was just cut."""

from __future__ import annotations

from concurrent.futures import Future

import streamlit as st

from app import state
from app.chart import chart_of
from app.theme import CONFIG
from app.views.asked import waited_for
from app.views.knobs import plain
from app.views.plan import foreteller
from kdcore.cards import Card
from kdcore.preview import Foretold
from kdcore.recipe import Recipe

HEIGHT = 270
"""Pixels of its pictures."""
PATIENCE = 0.15
"""Seconds that the rest of the form waits for it."""


def foretold(recipe: Recipe, card: Card) -> None:
    """Draws it for schemes that have something to say, again at each move of a knob."""
    if not card.facts.get("foretells"):
        return
    asked = foreteller().ask(recipe)
    done = waited_for(asked, seconds=PATIENCE)
    with st.container(border=True, key="foretold"):
        st.fragment(_part, run_every=None if done else 0.3)(asked, done, card)


def _part(asked: Future[Foretold], was_done: bool, card: Card) -> None:
    if asked.done() and not was_done:
        st.rerun()
    if not asked.done() or asked.cancelled():
        st.caption(":material/hourglass_top: Measuring …")
        last = state.kept("foretold.last")
        if last is not None and last[0] == card.key:  # it stays until the new one is there, so that nothing jumps
            _draw(last[1], card)
        return
    if (error := asked.exception()) is not None:
        st.caption(f":material/cloud_off: This cannot be said now: {plain(str(error))}")
        return
    state.keep("foretold.last", (card.key, asked.result()))
    _draw(asked.result(), card)


def _draw(found: Foretold, card: Card) -> None:
    st.markdown(plain(found.says))
    if not found.answers:
        st.caption(
            f":material/schedule: {plain(card.facts['foretells'])} is known once a run has trained this teacher with "
            "these data, this budget and seed. Start this one at any setting: from then on it is said here for all."
        )
    for number, answer in enumerate(found.answers):
        st.markdown(f"**{plain(answer.title)}**")
        st.caption(plain(answer.says))
        figure = chart_of(answer).draw(answer, dark=state.dark())
        figure.update_layout(height=HEIGHT, margin_b=56)
        st.plotly_chart(
            figure, key=f"foretold.{number}", theme=None, config={**CONFIG, "displayModeBar": False}
        )  # fmt: skip
