"""The colours, chart template and number formats of the whole app. No Streamlit."""

from __future__ import annotations

import math
from typing import Any

from plotly.colors import get_colorscale

COLOURS: dict[str, str] = {
    "teacher": "#2f7fc1",
    "student": "#dd6b10",
    "baseline": "#868e96",
    "assistant": "#a566c4",
    "peer": "#0f9d77",
}
"""Part -> colour: told apart with any colour vision, and readable on white and on black (contrast 3 or more)."""

DASHES: dict[str, str] = {
    "teacher": "dash", "student": "solid", "baseline": "dot", "assistant": "dashdot", "peer": "solid",
}  # fmt: skip
"""The same told apart without colour."""

CATEGORICAL: tuple[str, ...] = (
    "#2f7fc1", "#dd6b10", "#0f9d77", "#a566c4", "#b58900", "#d14b6f", "#3aa3a8", "#7a8b2d", "#8a6d5b", "#868e96",
)  # fmt: skip
"""For series that are no part (terms of a loss, runs, classes)."""

TERMS: tuple[str, ...] = CATEGORICAL[2:9]
"""For the terms of a loss: none is the colour of a part."""

SEQUENTIAL: list[list[Any]] = get_colorscale("Viridis")
DIVERGING = "RdBu"

INK = {"light": "#1f2933", "dark": "#e6e8eb"}
FAINT = {"light": "#dfe3e8", "dark": "#3a4048"}

CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "responsive": True,
    "toImageButtonOptions": {"format": "svg", "filename": "kdlab"},
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
}
"""What st.plotly_chart takes as `config`: the camera button gives SVG."""


def colour(part: str, number: int = 0) -> str:
    """The colour of a part; for several of one part (peers) the later ones come from the general list."""
    if number == 0 and part in COLOURS:
        return COLOURS[part]
    return CATEGORICAL[(2 + number) % len(CATEGORICAL)]


def look(*, dark: bool) -> dict[str, Any]:
    """The look of every figure, as a plain template: transparent, thin grid, ink that suits the page."""
    shade = "dark" if dark else "light"
    axis = {
        "gridcolor": FAINT[shade], "zerolinecolor": FAINT[shade], "linecolor": FAINT[shade], "automargin": True,
        "ticklabeloverflow": "allow",  # to see which labels to hide, each would be measured, a fifth of the drawing
    }  # fmt: skip
    return {
        "layout": {
            "font": {"color": INK[shade], "size": 13},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(CATEGORICAL),
            "xaxis": axis,
            "yaxis": dict(axis),
            "margin": {"l": 48, "r": 12, "t": 44, "b": 40},
            "title": {"font": {"size": 15}, "x": 0, "xanchor": "left", "xref": "paper"},
            "legend": {"orientation": "h", "y": -0.2, "x": 0},
            "hoverlabel": {"align": "left"},
        }
    }


def percent(value: float | None, *, of: int | None = None) -> str:
    """A fraction in [0, 1] as "87.4 %": as many digits as `of` pictures can tell apart (one without `of`)."""
    if value is None or not math.isfinite(value):
        return "–"
    digits = 1 if of is None else 0 if of < 100 else 1 if of < 20_000 else 2
    return f"{100 * value:.{digits}f} %"


def points(difference: float | None) -> str:
    """A difference of two fractions as "+3.2 points" (percentage points)."""
    if difference is None or not math.isfinite(difference):
        return "–"
    return f"{100 * difference:+.1f} points".replace("-", "−")


def seconds(value: float | None) -> str:
    """A time as "340 ms", "8.2 s", "1 min 05 s" or "2 h 10 min"."""
    if value is None or not math.isfinite(value) or value < 0:
        return "–"
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 10:
        return f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(value: float | None) -> str:
    """A whole number as "940", "12,345", "1.24 M", "3.1 G"."""
    if value is None or not math.isfinite(value):
        return "–"
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:,.0f}"


def size(value: float | None) -> str:
    """Bytes as "740 B", "12 kB", "3.4 MB"."""
    if value is None or not math.isfinite(value):
        return "–"
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.0f} B"


def rate(value: float | None) -> str:
    """Pictures per second as "12,300 pictures/s", at three digits."""
    if not value or not math.isfinite(value):
        return "–"
    step = 10 ** max(0, math.floor(math.log10(value)) - 2)
    return f"{round(value / step) * step:,.0f} pictures/s"
