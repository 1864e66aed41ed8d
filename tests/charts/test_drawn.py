"""Figures that plotly does not check are what it would have made of them."""

from __future__ import annotations

import numpy
import plotly.graph_objects as go
import pytest

from app import theme
from app.charts.drawn import drawn, trace


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_the_figure_that_plotly_makes_piece_by_piece(dark: bool) -> None:
    across, values = numpy.arange(3.0), numpy.array([0.5, numpy.nan, 2.0], dtype=numpy.float32)
    expected = go.Figure()
    expected.add_trace(go.Scatter(x=across, y=values, mode="lines", marker_color="#123456", name="one"))
    template = go.layout.Template(theme.look(dark=dark))
    expected.update_layout(template=template, height=300, xaxis_title_text="a", yaxis={"range": [0, 1]})
    made = drawn(
        [trace("scatter", x=across, y=values, mode="lines", marker={"color": "#123456"}, name="one")],
        {"height": 300, "xaxis": {"title": {"text": "a"}}, "yaxis": {"range": [0, 1]}, "shapes": []}, dark=dark,
    )  # fmt: skip
    assert made == expected
    assert made.data[0].marker.color == "#123456", "it can be read as any figure"
    assert drawn([], {}, dark=dark).layout.template == template


def test_what_plotly_does_not_know_or_writes_otherwise_is_found_by_these_tests() -> None:
    with pytest.raises(ValueError, match="colour"):
        drawn([trace("scatter", colour="red")], {}, dark=False)
    with pytest.raises(AssertionError, match="otherwise"):
        drawn([], {"xaxis": {"title": "in short"}}, dark=False)
