"""Figures put together from plain dictionaries, as plotly.js reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from app import theme


def trace(kind: str, **settings: Any) -> dict[str, Any]:
    """A trace of that type."""
    return {"type": kind, **settings}


def drawn(traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any], *, dark: bool) -> go.Figure:
    """A figure in the house's look. As plotly.js wants it: a title is {"text"}, a colour scale a list; of the layout's
    lists those that are empty are left out.

    Plotly checks nothing of it: that would cost ten to forty times what the rest does, at every frame of a film. The
    tests let it check what each chart draws.
    """
    said = {name: value for name, value in layout.items() if value != []}
    return go.Figure(data=list(traces), layout={"template": theme.look(dark=dark), **said}, _validate=False)
