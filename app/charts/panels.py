"""What charts with panels side by side share: names of the networks, places, headings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.theme import COLOURS, INK

NAMES = {"teacher": "Teacher", "student": "Student", "baseline": "Student alone"}
FAMILY = '"Source Sans", "Source Sans Pro", sans-serif'
"""The page's own letters."""
SHORT = 3
"""Letters of a class's name that have room below a heat map as they are; longer names stand on end."""
MOST = 11
"""Letters of a name on end."""
LETTER = 7.5
"""Pixels of a letter beside an axis."""


def spans(count: int, *, space: float) -> list[tuple[float, float]]:
    """Equal parts of [0, 1] with space between them."""
    each = (1 - space * (count - 1)) / count
    return [(number * (each + space), number * (each + space) + each) for number in range(count)]


def suffix(number: int) -> str:
    """What plotly's axes of a panel end with, panels counted from 0."""
    return "" if number == 0 else str(number + 1)


def on(number: int) -> dict[str, str]:
    """Which axes a trace of that panel stands on."""
    return {"xaxis": f"x{suffix(number)}", "yaxis": f"y{suffix(number)}"}


def within(number: int) -> dict[str, str]:
    """To which axes a text, a shape or a picture in that panel refers."""
    return {"xref": f"x{suffix(number)}", "yref": f"y{suffix(number)}"}


def axes(number: int, across: Mapping[str, Any], up: Mapping[str, Any]) -> dict[str, Any]:
    """Layout of that panel's axes."""
    end = suffix(number)
    return {f"xaxis{end}": {"anchor": f"y{end}", **across}, f"yaxis{end}": {"anchor": f"x{end}", **up}}


def named(part: str) -> str:
    """The network's name in its colour."""
    return f"<b><span style='color:{COLOURS[part]}'>{NAMES[part]}</span></b>"


def class_ticks(names: Sequence[str]) -> dict[str, Any]:
    """The ticks of an axis of classes, long names cut."""
    return {"tickvals": list(names), "ticktext": [cut(name) for name in names]}


def cut(name: str) -> str:
    """A class's name in MOST letters."""
    return name if len(name) <= MOST else f"{name[: MOST - 1]}…"


def on_end(names: Sequence[str]) -> bool:
    """Whether such names stand on end below a heat map."""
    return max(map(len, names)) > SHORT


def beside(names: Sequence[str]) -> int:
    """Pixels that such names and an axis title take left of a panel."""
    return round(42 + LETTER * min(MOST, max(map(len, names))))


def row_frames(row: int, columns: int, panels: Iterable[int]) -> list[dict[str, Any]]:
    """Frames around a row of the heat maps in these panels; they show on every colour."""
    return [
        {
            "type": "rect", **within(number), "layer": "above", "x0": -0.5, "x1": columns - 0.5,
            "y0": row - 0.5, "y1": row + 0.5, "line": {"color": colour, "width": width},
        }
        for number in panels for colour, width in ((INK["light"], 5), ("#ffffff", 2))
    ]  # fmt: skip


def heading(text: str, left: float, *, y: float = 1.01, size: int = 13) -> dict[str, Any]:
    """An annotation above a panel."""
    return {
        "text": text, "x": left, "y": y, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom",
        "showarrow": False, "align": "left", "font": {"size": size},
    }  # fmt: skip
