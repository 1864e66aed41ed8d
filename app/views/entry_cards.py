"""A folder's entries as cards, read from the catalog: what it does, formula, knobs, source."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.draft import said
from app.views.knobs import label_of, plain
from app.words import FAMILIES, MATCHES, READS
from kdcore.cards import Card


def method_card(card: Card) -> bool:
    """Draws a method's card; gives back whether it is to be used in Begin."""
    facts = card.facts
    with st.container(border=True, key=f"card.{card.folder}.{card.key}"):
        head, use = st.columns([4, 1], vertical_alignment="center")
        family = FAMILIES.get(facts["family"], (facts["family"], ""))
        head.subheader(plain(card.title), anchor=f"method-{card.key}", help=family[1] or None)
        used = use.button("Use in Begin", key=f"use.{card.key}", icon=":material/rocket_launch:", width="stretch")
        st.markdown(card.summary)
        if card.why:
            st.markdown(card.why)
        st.latex(facts["formula"])
        source(facts)
        st.caption(
            f"{family[0]} knowledge · compares {', '.join(READS.get(name, name) for name in facts['reads'])} · "
            f"matches {MATCHES[facts['matches']]} · weight {facts['weight']:g} is sane beside cross-entropy"
            + (" · zero when both saw the same" if facts["rests"] else "")
            + ("" if facts["needs_teacher"] else " · needs no teacher")
        )
        knob_table(card)
        if facts.get("pitfalls"):
            st.markdown("**Pitfalls**\n" + "\n".join(f"- {pitfall}" for pitfall in facts["pitfalls"]))
        with st.popover("How it is computed here", icon=":material/straighten:", key=f"how.{card.key}"):
            st.markdown(f"**Convention.** {facts['convention']}")
            st.markdown(f"**Formula and defaults read in:** {facts['provenance']}")
    return used


def plain_card(card: Card) -> None:
    """Draws the card of a scheme, a network or a data set."""
    with st.container(border=True, key=f"card.{card.folder}.{card.key}"):
        st.subheader(plain(card.title), anchor=f"{card.folder}-{card.key}")
        st.markdown(card.summary)
        if card.why:
            st.markdown(card.why)
        source(card.facts)
        if said_facts := _facts(card):
            st.caption(said_facts)
        knob_table(card)
        if card.facts.get("pitfalls"):
            st.markdown("**Pitfalls**\n" + "\n".join(f"- {pitfall}" for pitfall in card.facts["pitfalls"]))
        if card.facts.get("provenance"):
            with st.popover("How it is done here", icon=":material/straighten:", key=f"how.{card.folder}.{card.key}"):
                st.markdown(f"**Procedure and defaults read in:** {card.facts['provenance']}")


def knob_table(card: Card) -> None:
    """Every knob with its default, its range and its sentence."""
    if not card.knobs:
        st.caption("No knobs.")
        return
    rows = []
    for entry in card.knobs.values():
        reach = ", ".join(entry.choices)
        if not reach and entry.low is not None and entry.high is not None:
            reach = f"{said(entry.low)} to {said(entry.high)}"
        rows.append(
            {
                "knob": label_of(entry),
                "default": said(entry.default),
                "range": reach or "any",
                "what it does": entry.help,
            }
        )
    st.dataframe(
        rows, hide_index=True, width="stretch", key=f"knobs.{card.folder}.{card.key}",
        column_config={"what it does": st.column_config.TextColumn(width="large")},
    )  # fmt: skip


def source(facts: dict[str, Any]) -> None:
    """The paper with its link, authors and year, where the card names one."""
    paper = facts.get("paper") or {}
    if not paper:
        return
    name = plain(paper.get("title") or "the paper")
    link = str(paper.get("link", ""))
    shown = f"[{name}]({link})" if link.startswith(("https://", "http://")) else name
    st.markdown(f":material/article: {shown}, {plain(paper['authors'])}, {paper['year']}")


def _facts(card: Card) -> str:
    facts = card.facts
    found = []
    if "takes" in facts:
        found.append("takes " + " and ".join(facts["takes"]))
    if "gives" in facts:
        found.append(f"gives {facts['gives']}")
    if facts.get("where"):
        found.append(plain(facts["where"]))
    if "uses_teacher" in facts:
        found.append(f"{facts['kind']} scheme")
        found.append("uses the recipe's teacher" if facts["uses_teacher"] else "needs no separate teacher")
        if not facts.get("uses_methods", True):
            found.append("brings its own losses")
        elif len(facts["takes_matching"]) < len(MATCHES):
            found.append("takes methods that match " + " or ".join(MATCHES[one] for one in facts["takes_matching"]))
    return " · ".join(found)
