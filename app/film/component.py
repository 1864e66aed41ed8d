"""Registers the film component once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from app.live.component import ADDRESS

HERE = Path(__file__).resolve().parent

_player = st.components.v2.component(
    "kdlab_film",
    js=(HERE / "film.js").read_text(encoding="utf-8"),
    css=(HERE / "film.css").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def play(film: dict[str, Any], *, about: str, done: int, total: int, key: str) -> None:
    """Draws or updates the player of `app.charts.film.film`.

    `about` names what is shown: with the same one, zoom stays as it is. `done` of `total` frames are there. The same
    key keeps the same player.
    """
    _player(
        data={"film": film, "about": about, "done": done, "total": total, "plotly": ADDRESS}, key=key, height="content"
    )
