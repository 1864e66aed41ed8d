"""The ready-made starts as cards."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from kdcore.experiments import Experiment
from kdcore.recipe import Recipe


def experiment_cards(
    experiments: tuple[Experiment, ...], *, finished: set[str], start: Callable[[Recipe], None]
) -> Experiment | None:
    """Draws the cards; gives back the experiment whose settings were asked for.

    `finished`: keys of those that have run to the end here already. `start` is called with a recipe before a redraw.
    """
    chosen = None
    for experiment, place in zip(experiments, st.columns(len(experiments), gap="small"), strict=True):
        with place.container(border=True, height="stretch", key=f"experiment.{experiment.key}"):
            st.markdown(f"{experiment.icon} **{experiment.title}**")
            with st.container(height="stretch"):
                st.caption(experiment.watch)
            done = experiment.key in finished
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.button(
                    "See result" if done else "Start",
                    key=f"start.{experiment.key}",
                    icon=":material/visibility:" if done else ":material/play_arrow:",
                    help="It has run to the end here already." if done else None,
                    on_click=start,
                    args=(experiment.recipe,),
                )
                if st.button(
                    "Settings",
                    key=f"settings.{experiment.key}",
                    type="tertiary",
                    help="Fills in the form below; nothing starts.",
                ):
                    chosen = experiment
                if not done:
                    st.caption(f"≈ {experiment.seconds:.0f} s")
    return chosen
