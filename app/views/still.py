"""One picture that is no film: drawn by the film's player, so that it can be taken as PNG and SVG like any other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import plotly.graph_objects as go

from app.charts.film import film, packed
from app.film import play
from app.views.nearness import shares, strip


def still(
    figure: go.Figure, *, about: str, key: str, cells: bool = False, near: Mapping[str, float] | None = None,
    near_of: str = "",
) -> tuple[int, int] | None:  # fmt: skip
    """Draws the figure with its PNG and SVG buttons. `about` names it: with the same one, zoom stays as it is.

    `near` says how near the networks are to the teacher, and `near_of` what that is a share of.

    With `cells`, gives (row, column) of the heat map's field that was clicked just now.
    """
    told = {"name": "still", "epoch": 0.0, "label": about, "says": "", "near": shares(near or {})}
    one = {**film([(packed(figure), told)]), "near": strip(near or {}, near_of)}
    stamp = hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest()[:16]
    film_of_one = {**one, "still": True}
    return play(film_of_one, about=about, stamp=stamp, done=1, total=1, at=(0, None), key=key, cells=cells).cell
