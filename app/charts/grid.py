"""Draws a what-if grid: one field a run, filled as the runs finish. No answer of a probe: its rows are runs."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.colors import get_colorscale

from app import theme
from app.charts.drawn import drawn, trace

SCALE = get_colorscale("Cividis")


def draw(
    values: Sequence[Sequence[float | None]],
    texts: Sequence[Sequence[str]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    row_axis: str,
    column_axis: str,
    value_axis: str,
    dark: bool,
) -> go.Figure:
    """The heat map; `values` in percent or points, None where there is nothing yet, `texts` what stands in them."""
    known = [value for row in values for value in row if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    names = [[f"{row_axis} {row}<br>{column_axis} {column}" for column in columns] for row in rows]
    heat = trace(
        "heatmap", z=[list(row) for row in values], zmin=low, zmax=high if high > low else low + 1.0,
        text=[list(row) for row in texts], texttemplate="%{text}", customdata=names,
        x=list(range(len(columns))), y=list(range(len(rows))), colorscale=SCALE, xgap=3, ygap=3, hoverongaps=False,
        colorbar={"title": {"text": value_axis, "side": "right"}, "thickness": 12},
        hovertemplate="%{customdata}<br>%{text}<extra></extra>",
    )  # fmt: skip
    shade = "dark" if dark else "light"
    waiting = [
        {"x": c, "y": r, "text": texts[r][c], "showarrow": False, "font": {"size": 12, "color": theme.INK[shade]}}
        for r, row in enumerate(values) for c, value in enumerate(row) if value is None and texts[r][c]
    ]  # fmt: skip
    boxes = [
        {"type": "rect", "layer": "below", "line": {"width": 0}, "fillcolor": theme.FAINT[shade],
         "x0": c - 0.49, "x1": c + 0.49, "y0": r - 0.47, "y1": r + 0.47}
        for r in range(len(rows)) for c in range(len(columns))
    ]  # fmt: skip
    layout = {
        "height": max(280, 110 + 44 * len(rows)), "margin": {"l": 110, "r": 30, "t": 20, "b": 60}, "shapes": boxes,
        "annotations": waiting, "dragmode": False, "font": {"size": 12},
        "xaxis": _axis(column_axis, columns), "yaxis": {**_axis(row_axis, rows), "range": [len(rows) - 0.5, -0.5]},
    }  # fmt: skip
    return drawn([heat], layout, dark=dark)


def _axis(title: str, names: Sequence[str]) -> dict[str, object]:
    return {
        "title": {"text": title}, "tickvals": list(range(len(names))), "ticktext": list(names), "showgrid": False,
        "zeroline": False, "range": [-0.5, len(names) - 0.5],
    }  # fmt: skip
