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


def play(
    film: dict[str, Any], *, about: str, done: int, total: int, key: str, cells: bool = False
) -> tuple[int, int] | None:
    """Draws or updates the player of `app.charts.film.film`.

    `about` names what is shown: with the same one, zoom stays as it is. `done` of `total` frames are there. The same
    key keeps the same player. With `cells`, (row, column) of the heat map's field that was clicked just now, else None.
    """
    said = _player(
        data={"film": film, "about": about, "done": done, "total": total, "plotly": ADDRESS, "cells": cells},
        key=key, height="content", on_cell_change=_nothing,
    )  # fmt: skip
    cell = said.cell if cells else None
    if isinstance(cell, list) and len(cell) == 2 and all(type(number) is int and number >= 0 for number in cell):
        return cell[0], cell[1]
    return None


def _nothing() -> None:
    """The click is read where the player is drawn; without a callback the player could not tell of it."""
