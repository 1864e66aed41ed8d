"""Colour scales that charts share: their middle is the page, so that "nothing" looks like nothing."""

from __future__ import annotations

Scale = list[list[object]]


def diverging(*, dark: bool) -> Scale:
    """From blue over the page's own colour to orange-red; told apart with any colour vision."""
    if dark:
        return [[0.0, "#7cc4ff"], [0.25, "#2f6fa8"], [0.5, "#1b2025"], [0.75, "#b4551b"], [1.0, "#ffb27a"]]
    return [[0.0, "#14487d"], [0.25, "#6fa8d6"], [0.5, "#f6f7f8"], [0.75, "#ec9a5c"], [1.0, "#9c3d06"]]


def faint(*, dark: bool, strong: bool = False) -> str:
    """A colour for what should stand back."""
    if strong:
        return "#aeb5bd" if dark else "#5a646e"
    return "#4a5158" if dark else "#c9ced4"


def shade(*, dark: bool) -> str:
    """What lies over a place to mark it without hiding it."""
    return "rgba(255,255,255,0.34)" if dark else "rgba(20,25,30,0.34)"
