"""Registers the film component once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from app.live.component import ADDRESS, together

HERE = Path(__file__).resolve().parent

_player = st.components.v2.component(
    "kdlab_film",
    js=together(HERE, "plotly.js", "lasting.js", "moment.js", "stills.js", "film.js"),
    css=(HERE / "film.css").read_text(encoding="utf-8"),
    isolate_styles=False,
)


@dataclass(frozen=True)
class Told:
    """What whoever looks at a film did with it."""

    cell: tuple[int, int] | None = None
    """(row, column) of the heat map's field that was clicked just now."""
    moved: bool = False
    """Whether another epoch was chosen just now."""
    epoch: float | None = None
    """That epoch; None for the newest, whichever that is."""
    rows: tuple[int, ...] = ()
    """The points chosen, sorted."""


def play(
    film: dict[str, Any],
    *,
    about: str,
    stamp: str,
    done: int,
    total: int,
    at: tuple[int, float | None],
    key: str,
    cells: bool = False,
    brush: bool = False,
    standing: Sequence[int] = (),
) -> Told:
    """Draws or updates the player of `app.charts.film.film`.

    `about` names what is shown: with the same one, zoom stays as it is. With the same `stamp` nothing is drawn again.
    `done` of `total` frames are there. `at` is (turn, epoch or None for the newest): a higher turn than the page has
    seen moves all its films there. The same key keeps the same player. With `cells` the fields of heat maps can be
    clicked, with `brush` the points of the first `layout.meta["panels"]` traces chosen; while none is, those
    `standing` out.
    """
    said = _player(
        data={
            "film": film, "about": about, "stamp": stamp, "done": done, "total": total, "plotly": ADDRESS,
            "at": {"turn": at[0], "epoch": at[1]}, "cells": cells, "brush": brush,
            "standing": list(standing),
        },
        key=key, height="content", on_cell_change=_nothing, on_epoch_change=_nothing, on_rows_change=_nothing,
    )  # fmt: skip
    found: dict[str, Any] = {name: said.get(name) for name in ("cell", "epoch", "rows")}
    cell, moved, rows = found["cell"], found["epoch"], found["rows"]
    clicked = cells and isinstance(cell, list) and len(cell) == 2 and all(_place(number) for number in cell)
    chosen = brush and isinstance(rows, list) and all(_place(number) for number in rows)
    epoch: Any = moved.get("epoch") if isinstance(moved, dict) else None
    known = type(epoch) in (int, float) and math.isfinite(epoch) and epoch >= 0
    return Told(
        cell=(cell[0], cell[1]) if clicked else None,
        moved=isinstance(moved, dict) and (epoch is None or known),
        epoch=float(epoch) if known else None,
        rows=tuple(sorted(set(rows))) if chosen else (),
    )


def _place(number: Any) -> bool:
    return type(number) is int and number >= 0


def _nothing() -> None:
    """What was done is read where the player is drawn; without a callback the player could not tell of it."""
