"""Methods: what there is to choose from, each explained by the card that stands in its code."""

from __future__ import annotations

import streamlit as st

from app import state
from app.draft import with_method
from app.page import Page
from app.starting import draft, take_up
from app.views import chosen
from app.views.entry_cards import method_card, plain_card
from app.views.knobs import plain
from app.words import FAMILIES, gloss
from kdcore.cards import Card

TABS = {"methods": "Methods", "schemes": "Schemes", "networks": "Networks", "datasets": "Data sets"}
USUAL = "kd"
"""The card that stands open where nothing was chosen, if it is in the list."""
LIST = 620
"""Height of the list in px: it is scrolled beside its card."""


def show() -> None:
    """The page."""
    catalog = state.catalog()
    st.header(
        "What knowledge can be passed on, and how",
        help=gloss("dark knowledge", "logit", "temperature", "hint layer"),
        anchor=False,
    )
    name = chosen.linked(
        st.segmented_control, "Which cards", list(TABS.values()), key="cards", what="kind of card",
        default=TABS["methods"], required=True, label_visibility="collapsed", on_change=_turn,
    )  # fmt: skip
    folder = next(key for key, called in TABS.items() if called == name)
    cards = _by_year(list(catalog.folders[folder].values()))
    asked = _asked(folder, cards)
    shown = _filtered(cards) if folder == "methods" else cards
    if not shown:
        st.info("No method says that. Take out a filter.", icon=":material/search_off:")
        return
    listed, opened = st.columns([1, 2.4], gap="medium")
    with listed.container(height=LIST, key="cards-list"):
        titles = {card.key: card for card in shown}
        usual = next((key for key in (asked, USUAL) if key in titles), shown[0].key)
        key = st.radio(
            TABS[folder], list(titles), index=list(titles).index(usual), label_visibility="collapsed",
            format_func=lambda one: plain(titles[one].title), captions=[plain(_said(card)) for card in shown],
            key=f"card-{folder}", on_change=state.forgive, args=("card",),
        ) or usual  # fmt: skip
        state.to_address("card", key)
    with opened:
        chosen.complaint("card")
        card = titles[key]
        if folder != "methods":
            plain_card(card)
        elif method_card(card):
            _use(card)


PAGE = Page("methods", "Methods", ":material/menu_book:", 40, show, "methods")


def _turn() -> None:
    """Another kind of card: the one that was open is none of them."""
    state.forgive("card")
    state.to_address("card", "")


def _asked(folder: str, cards: list[Card]) -> str:
    """The card that the address names, or the usual one; one that is in no list is said."""
    titles = {card.key: card.title for card in cards}
    usual = USUAL if USUAL in titles else cards[0].key
    what = TABS[folder].lower().removesuffix("s")
    return chosen.one_of(state.from_address("card"), "card", what, titles, usual, titles.__getitem__)


def _by_year(cards: list[Card]) -> list[Card]:
    """The oldest source first: what others build on comes before them; what has no source last."""
    return sorted(cards, key=lambda card: ((card.facts.get("paper") or {}).get("year", 9999), card.title))


def _said(card: Card) -> str:
    """Year and kind, in a few words."""
    facts = card.facts
    kind = FAMILIES.get(facts["family"], (facts["family"], ""))[0] if "family" in facts else facts.get("kind", "")
    return " · ".join(str(one) for one in ((facts.get("paper") or {}).get("year"), kind) if one)


def _filtered(cards: list[Card]) -> list[Card]:
    """Draws the filters of methods and gives back those that pass."""
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
    return [card for card in cards if (not chosen or card.facts["family"] in chosen) and _mentions(card, word or "")]


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
