"""What charts with panels side by side share: names of the networks, places, headings."""

from __future__ import annotations

from typing import Any

from app.theme import COLOURS

NAMES = {"teacher": "Teacher", "student": "Student", "baseline": "Student alone"}
FAMILY = '"Source Sans", "Source Sans Pro", sans-serif'
"""The page's own letters."""


def spans(count: int, *, space: float) -> list[tuple[float, float]]:
    """Equal parts of [0, 1] with space between them."""
    each = (1 - space * (count - 1)) / count
    return [(number * (each + space), number * (each + space) + each) for number in range(count)]


def suffix(number: int) -> str:
    """What plotly's axes of a panel end with, panels counted from 0."""
    return "" if number == 0 else str(number + 1)


def named(part: str) -> str:
    """The network's name in its colour."""
    return f"<b><span style='color:{COLOURS[part]}'>{NAMES[part]}</span></b>"


def heading(text: str, left: float, *, y: float = 1.01, size: int = 13) -> dict[str, Any]:
    """An annotation above a panel."""
    return {
        "text": text, "x": left, "y": y, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom",
        "showarrow": False, "align": "left", "font": {"size": size},
    }  # fmt: skip
