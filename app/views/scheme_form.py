"""The choice of a scheme: by kind, with its card, its knobs, its example, and its cast as a diagram."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from app import state
from app.charts import cast
from app.draft import example_of, tidy
from app.starting import take_up
from app.theme import CONFIG
from app.views.entry_cards import source
from app.views.foretold import foretold
from app.views.knobs import explain, plain
from app.words import KINDS, gloss
from kdcore.cards import Card, Catalog
from kdcore.check import Fault
from kdcore.preview import Preview
from kdcore.recipe import Recipe, RecipeError


def scheme_form(
    recipe: Recipe,
    catalog: Catalog,
    faults: list[Fault],
    layers: Preview | None,
    *,
    knobs: Callable[..., Recipe],
) -> Recipe:
    """Draws the choice and gives back what was made of the recipe. `layers`: a plan of the same cast, if known."""
    cards = catalog.folders["schemes"]
    present = recipe.scheme.key
    kinds = kinds_of(cards)
    own = str(cards[present].facts["kind"]) if present in cards else kinds[0]
    kind = st.pills(
        "Kind of scheme", kinds, default=own, key=state.key_of("scheme.kind"), required=True,
        format_func=lambda one: KINDS.get(one, (one, ""))[0],
        help="\n\n".join([gloss("scheme"), *("**{}**: {}".format(*KINDS[key]) for key in kinds if key in KINDS)]),
    ) or own  # fmt: skip
    keys = [key for key, card in cards.items() if card.facts["kind"] == kind]
    chosen = st.selectbox(
        "Who teaches whom", keys, keys.index(present) if present in keys else None, key=_key(kind),
        format_func=lambda key: cards[key].title, placeholder=f"Choose one of {len(keys)}",
    )  # fmt: skip
    if kind in KINDS and kind != own:
        st.caption(KINDS[kind][1])
    explain(faults, "scheme")
    if chosen is not None and chosen != present:
        recipe = recipe.with_setting("scheme", chosen)
        state.renew_controls("scheme")
    elif present not in cards or chosen is None:
        return recipe
    card = cards[recipe.scheme.key]
    _card(card, catalog)
    recipe = knobs(recipe, "scheme", card, recipe.scheme.settings, faults, columns=2)
    if chosen == present:
        if not faults:
            foretold(recipe, card)
        _cast(layers, bool(faults))
    return recipe


def kinds_of(cards: dict[str, Card]) -> list[str]:
    """The kinds that there are, in the order of the picker."""
    there = list(dict.fromkeys(str(card.facts["kind"]) for card in cards.values()))
    return [kind for kind in KINDS if kind in there] + [kind for kind in there if kind not in KINDS]


def own_losses(recipe: Recipe, catalog: Catalog) -> str:
    """A sentence where the recipe's scheme does not use the recipe's methods, or ""."""
    card = catalog.folders["schemes"].get(recipe.scheme.key)
    if card is None or card.facts.get("uses_methods", True):
        return ""
    return (
        f"**{plain(card.title)}** brings its own losses: what compares with a teacher here plays no part in it. "
        "Its settings stand under Scheme."
    )


def _key(kind: str) -> str:
    return f"{state.key_of('scheme')}~{kind}"


def _card(card: Card, catalog: Catalog) -> None:
    """What the scheme does, why, where from, what goes wrong with it, and its example."""
    st.markdown(card.summary)
    with st.container(horizontal=True, vertical_alignment="center"):
        try:
            example = example_of(card)
        except RecipeError as error:
            example = None
            st.caption(f"Its example cannot be read: {plain(str(error))}.")
        if example is not None:
            st.button(
                "Example of this scheme", key="scheme.example", icon=":material/auto_awesome:", on_click=take_up,
                args=(tidy(example, catalog),),
                help="Fills in data, networks, methods and budget with which it shows what it is for; nothing starts.",
            )  # fmt: skip
        with st.popover("Why, where from, pitfalls", icon=":material/menu_book:", key="scheme.card"):
            about(card)


def about(card: Card) -> None:
    """Why a scheme works, its paper, where its details come from, and its pitfalls."""
    if card.why:
        st.markdown(card.why)
    source(card.facts)
    if card.facts.get("provenance"):
        st.caption(f"Procedure and defaults read in: {card.facts['provenance']}")
    if card.facts.get("pitfalls"):
        st.markdown("**Pitfalls**\n" + "\n".join(f"- {pitfall}" for pitfall in card.facts["pitfalls"]))


def _cast(layers: Preview | None, wrong: bool) -> None:
    """Who teaches whom, phase by phase."""
    if layers is None or not layers.roles:
        st.caption(
            "The cast is drawn here once nothing is wrong with the recipe."
            if wrong
            else ":material/hourglass_top: The cast is drawn here in a moment."
        )
        return
    phases: list[dict[str, Any]] = layers.phases
    st.markdown("**Who teaches whom, phase by phase**", help=f"A full circle learns, an open one is frozen. {LEGEND}")
    st.plotly_chart(
        cast.draw(layers.roles, phases, dark=state.dark()), key="scheme.cast", theme=None,
        config={**CONFIG, "displayModeBar": False},
    )  # fmt: skip
    st.caption(f"{cast.said(cast.steps_of(phases))} {LEGEND}")


LEGEND = "Arrows lead from who teaches to who learns; “starts as” names the network whose first weights are shared."
