"""Registers the canvas component once."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import streamlit as st

from app.live.component import together

HERE = Path(__file__).resolve().parent
SIDE = 112
"""Pixels of a side that come back: enough for any data set's shape, little enough for a click's round trip."""

_canvas = st.components.v2.component(
    "kdlab_canvas",
    js=together(HERE, "lasting.js", "canvas.js"),
    css=(HERE / "canvas.css").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def canvas(*, colour: bool, start: str, key: str) -> bytes | None:
    """A square canvas, light ink on a dark ground; what was just drawn, or None.

    The bytes are grey values, or red, green and blue where `colour` is set, of `SIDE` rows of `SIDE` pixels; none at
    all after everything was wiped off. `start` is the address of a picture that a new canvas begins with, or "".
    """
    answer = _canvas(
        data={"side": SIDE, "colour": colour, "start": start}, key=key, height="content", on_drawn_change=_nothing
    )
    return unpacked(getattr(answer, "drawn", None))


def unpacked(said: Any) -> bytes | None:
    """The bytes that the page sent as base64; None for nothing, or for anything else."""
    if not isinstance(said, str) or len(said) > 4 * SIDE * SIDE * 3:
        return None
    try:
        return base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        return None


def _nothing() -> None:
    """What was drawn is read where the canvas stands; without a callback it could not tell of it."""
