"""The strip that says how near student and student alone are to the teacher: above a film, or on its own."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import streamlit as st

from app.charts.panels import NAMES
from app.theme import COLOURS

EARLY = 0.12
"""Below this share a name stands to the right of its dot, where there is room."""


def strip(near: Mapping[str, float], of: str) -> dict[str, Any] | None:
    """What the film's player needs to draw the strip once; None where nearness is no question."""
    if not near:
        return None
    return {"of": of, "networks": {part: [NAMES[part], COLOURS[part]] for part in ("teacher", *near)}}


def shares(near: Mapping[str, float]) -> dict[str, float]:
    """part -> its place on the strip, in [0, 1]."""
    return {part: min(max(share, 0.0), 1.0) for part, share in near.items()}


def draw_strip(near: Mapping[str, float], of: str) -> None:
    """The strip where there is no film; nothing where nearness is no question."""
    if not near:
        return
    dots, said = [_dot("teacher", 1.0, NAMES["teacher"])], []
    for part, share in shares(near).items():
        said.append(f"{NAMES[part]} {percent_of(share)} %")
        dots.append(_dot(part, share, said[-1]))
    told = html.escape(f"How near to the teacher ({of}): {', '.join(said)}")
    st.html(
        f'<div class="kdlab-near" role="img" aria-label="{told}"><span class="of"><b>How near to the teacher</b> '
        f'{html.escape(of)}</span><div class="track">{"".join(dots)}</div></div>'
    )


def percent_of(share: float) -> str:
    """As the film writes it: what is not the same is never called 100."""
    return f"{int(1000 * share) / 10:.1f}" if 0.994 < share < 1.0 else f"{100 * share:.0f}"


def _dot(part: str, share: float, name: str) -> str:
    early = " early" if share < EARLY else ""
    return (
        f'<span class="dot {part}{early}" data-near="{share:.6g}" style="--part: {COLOURS[part]}; '
        f'left: {100 * share:.4g}%"><span class="name">{html.escape(name)}</span></span>'
    )
