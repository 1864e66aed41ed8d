"""A figure that is laid out by hand: panels, words and colour bars at places measured in widths of a panel."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from app.charts.drawn import drawn
from app.charts.panels import axes, on


class Sheet:
    """A figure, wide and tall in widths of a panel, on which things are placed from the upper left corner."""

    def __init__(self, wide: float, tall: float, *, dark: bool) -> None:
        self.wide, self.tall, self.dark = wide, tall, dark
        self.traces: list[dict[str, Any]] = []
        self.layout: dict[str, Any] = {}
        self.texts: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        self.count = 0

    def axes(self, x: float, y: float, width: float, height: float, across: dict, up: dict) -> dict[str, str]:  # type: ignore[type-arg]
        """New axes at that place."""
        places = [x / self.wide, (x + width) / self.wide], [1 - (y + height) / self.tall, 1 - y / self.tall]
        shared = {"zeroline": False, "automargin": False}
        self.layout |= axes(
            self.count, {**shared, "domain": places[0], **across}, {**shared, "domain": places[1], **up}
        )
        self.count += 1
        return on(self.count - 1)

    def text(self, words: str, *, x: float, y: float, size: int = 12, anchor: str = "bottom") -> None:
        """Words from there to the right; `anchor` is which side of them is at y."""
        self.texts.append({
            "text": words, "x": x / self.wide, "y": 1 - y / self.tall, "xref": "paper", "yref": "paper",
            "showarrow": False, "xanchor": "left", "yanchor": anchor, "align": "left", "font": {"size": size},
        })  # fmt: skip

    def bar(self, title: str, x: float, y: float, height: float) -> dict[str, Any]:
        """A colour bar for a trace."""
        return {
            "title": {"text": title, "font": {"size": 10}, "side": "right"}, "x": x / self.wide, "xanchor": "left",
            "xpad": 0, "ypad": 0, "y": 1 - (y + height) / self.tall, "yanchor": "bottom", "len": height / self.tall,
            "thickness": 8, "tickfont": {"size": 10}, "nticks": 5, "outlinewidth": 0,
        }  # fmt: skip

    def finished(self) -> go.Figure:
        """The figure, dressed. Its `layout.meta["aspect"]` is the height of the plot over its width."""
        shared = {
            "annotations": self.texts, "images": self.images,
            "margin": {"l": 4, "r": 4, "t": 4, "b": 6},
            "height": round(1150 * self.tall / self.wide), "meta": {"aspect": self.tall / self.wide},
            "showlegend": False, "barmode": "group", "modebar": {"bgcolor": "rgba(0,0,0,0)"},
        }  # fmt: skip
        return drawn(self.traces, {**self.layout, **shared}, dark=self.dark)
