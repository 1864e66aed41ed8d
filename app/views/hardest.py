"""The training pictures that hurt a learner most, as pictures."""

from __future__ import annotations

import html
import re

import streamlit as st

from app.live import role_name
from app.words import WORDS
from kdcore.events import Hardest
from kdcore.history import History

PNG = re.compile(r"[A-Za-z0-9+/]{1,400000}={0,2}\Z")
MOST = 12


def newest_hardest(history: History) -> list[Hardest]:
    """The last list of each learner, the newest learner first."""
    found: dict[str, Hardest] = {}
    for phase in history.phases:
        for one in phase.hardest:
            found.pop(one.role, None)
            found[one.role] = one
    return list(reversed(found.values()))


def hardest(history: History, chosen: Hardest) -> None:
    """A row of pictures: what the label says, what the learner and its teacher say, and the loss of each."""
    names = [str(name) for name in history.started.data.get("class_names") or []] if history.started else []
    cards = "".join(_card(history, one, names) for one in chosen.images[:MOST])
    st.html(f'<div class="kdlab-hardest" role="list">{cards}</div>')
    name = role_name(chosen.role, history)
    whose = f"the {name}" if name in WORDS else name
    st.caption(
        f"Training pictures with the largest loss of {whose}, epoch {chosen.epoch:.0f}. "
        "Label → what it says; a label that is wrong is struck through, with the truth beside it."
    )


def _card(history: History, one: dict, names: list[str]) -> str:
    def name(number: object) -> str:
        if not isinstance(number, int) or number < 0:
            return "no label"
        return html.escape(names[number] if number < len(names) else str(number))

    said, label, truth, teacher = (name(one.get(key)) for key in ("said", "label", "truth", "teacher"))
    given = label if one.get("label") in (one.get("truth"), -1, None) else f"<s>{label}</s> {truth}"
    loss = one.get("loss")
    figure = f"{loss:.3g}" if isinstance(loss, (int, float)) else "–"
    told = f"<br>teacher: {teacher}" if isinstance(one.get("teacher"), int) else ""
    data = history.pictures.get(str(one.get("index")), "")
    words = f"label {label}, truth {truth}, said {said}, loss {figure}"
    picture = (
        f'<img alt="Training picture {html.escape(str(one.get("index")))}: {words}" src="data:image/png;base64,{data}">'
        if PNG.match(data)
        else '<div class="none">no picture</div>'
    )
    caption = f"<figcaption><b>{given} → {said}</b>{told}<br>loss {figure}</figcaption>"
    return f'<figure role="listitem">{picture}{caption}</figure>'
