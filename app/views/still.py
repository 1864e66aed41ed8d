"""One picture that is no film: drawn by the film's player, so that it can be taken as PNG and SVG like any other."""

from __future__ import annotations

import hashlib
import json

import plotly.graph_objects as go

from app.charts.film import film, packed
from app.film import play


def still(figure: go.Figure, *, about: str, key: str, cells: bool = False) -> tuple[int, int] | None:
    """Draws the figure with its PNG and SVG buttons. `about` names it: with the same one, zoom stays as it is.

    With `cells`, gives (row, column) of the heat map's field that was clicked just now.
    """
    one = film([(packed(figure), {"name": "still", "epoch": 0.0, "label": about, "says": ""})])
    stamp = hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest()[:16]
    film_of_one = {**one, "still": True}
    return play(film_of_one, about=about, stamp=stamp, done=1, total=1, at=(0, None), key=key, cells=cells).cell
