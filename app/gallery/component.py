"""Registers the gallery component once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from app.live.component import ADDRESS, together

HERE = Path(__file__).resolve().parent

_gallery = st.components.v2.component(
    "kdlab_gallery",
    js=together(HERE, "plotly.js", "lasting.js", "gallery.js"),
    css=(HERE / "gallery.css").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def gallery(packed: dict[str, Any], *, chosen: int, key: str) -> int | None:
    """Draws or updates the gallery of `app.charts.gallery.packed`; the place that was just chosen, or None.

    Choosing and the temperature answer in the page at once; the choice is told to the server besides.
    """
    answer = _gallery(
        data={**packed, "chosen": chosen, "plotly": ADDRESS},
        key=key,
        height="content",
        on_picked_change=lambda: None,
    )
    picked = getattr(answer, "picked", None)
    places = {card["place"] for card in packed["cards"]}
    return int(picked) if isinstance(picked, (int, float)) and int(picked) in places else None
