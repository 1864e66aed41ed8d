"""Methods: what there is to choose from, each explained by the card that stands in its code."""

from __future__ import annotations

import streamlit as st

from app import state
from app.draft import with_method
from app.page import Page
from app.starting import draft, take_up
from app.views.entry_cards import method_card, plain_card
from app.words import FAMILIES, gloss
from kdcore.cards import Card, Catalog

TABS = {"methods": "Methods", "schemes": "Schemes", "networks": "Networks", "datasets": "Data sets"}


def show() -> None:
    """The page."""
    catalog = state.catalog()
    st.header(
        "What knowledge can be passed on, and how",
        help=gloss("dark knowledge", "logit", "temperature", "hint layer"),
        anchor=False,
    )
    for folder, tab in zip(
        TABS, st.tabs([f"{name} ({len(catalog.folders[key])})" for key, name in TABS.items()]), strict=True
    ):
        with tab:
            if folder == "methods":
                _methods(catalog)
            else:
                for card in catalog.folders[folder].values():
                    plain_card(card)


PAGE = Page("methods", "Methods", ":material/menu_book:", 40, show, "methods")


def _methods(catalog: Catalog) -> None:
    cards = list(catalog.folders["methods"].values())
    families = [family for family in FAMILIES if any(card.facts["family"] == family for card in cards)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.pills(
            "Knowledge type", families, key="methods_page.family", selection_mode="multi",
            format_func=lambda family: FAMILIES[family][0],
            help="  \n".join(f"**{FAMILIES[family][0]}**: {FAMILIES[family][1]}" for family in families),
        )  # fmt: skip
        word = st.text_input(
            "Search", key="methods_page.search", max_chars=60, placeholder="attention, relation, 2019 …", width=280
        )
    shown = [card for card in cards if (not chosen or card.facts["family"] in chosen) and _mentions(card, word or "")]
    if not shown:
        st.info("No method says that. Take out a filter.", icon=":material/search_off:")
    for card in shown:
        if method_card(card):
            _use(card)


def _mentions(card: Card, word: str) -> bool:
    paper = card.facts.get("paper") or {}
    text = " ".join([card.key, card.title, card.summary, card.why, *(str(value) for value in paper.values())])
    return word.strip().lower() in text.lower()


def _use(card: Card) -> None:
    """Puts the method into the recipe of this tab, beside what is there, and opens Begin."""
    recipe = draft()
    if all(part.method.key != card.key for part in recipe.methods):
        recipe = with_method(recipe, card.key)
    take_up(recipe)
    state.go("begin", recipe=recipe)
