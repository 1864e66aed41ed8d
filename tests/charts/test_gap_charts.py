"""Charts as values: what stands in the figure is what the answer said."""

from __future__ import annotations

import base64
import dataclasses
import json

import numpy
import plotly.graph_objects as go
import pytest

from app import theme
from app.chart import charts
from app.charts import bars, film, map_grid, matrix, plane
from app.charts.scales import calm, diverging, log_ticks
from kdcore.answer import kinds
from kdcore.answers.bars import Bars
from kdcore.answers.map_grid import MapGrid
from kdcore.answers.matrix import Matrix
from kdcore.answers.plane import Plane


def a_grid(size: float = 2.0) -> MapGrid:
    rows = {"Teacher": numpy.arange(8.0, dtype=numpy.float32).reshape(2, 2, 2), "Difference": -numpy.ones((2, 2, 2))}
    return MapGrid(
        title="t",
        says="s 1.",
        picture=numpy.full((4, 4, 1), 0.5),
        picture_says="a 3",
        looks={"teacher": numpy.full((2, 2), 0.25)},
        rows=rows,
        parts={"Teacher": "teacher", "Difference": "difference"},
        notes=dict.fromkeys(rows, "stage 1"),
        scales={"Teacher": [0.0, size], "Difference": [-size, 0.0]},
        channels={"Teacher": [3, 9], "Difference": [3, 9]},
        diverging=["Difference"],
    )


def a_plane() -> Plane:
    decided = {part: numpy.array([[0, 1], [1, 2]], dtype=numpy.int16) for part in ("teacher", "student")}
    return Plane(
        title="t",
        says="s 1.",
        x=numpy.array([-1.0, 1.0]),
        y=numpy.array([0.0, 2.0]),
        decisions=decided,
        lines={part: numpy.array([[0, 0], [1, 1], [numpy.nan] * 2], dtype=numpy.float32) for part in decided},
        disagreement={"student": numpy.zeros((2, 2), dtype=numpy.int16)},
        agreement={"student": 0.875},
        points=numpy.array([[0.0, 1.0], [0.5, 0.5]]),
        labels=numpy.array([0, 2]),
        class_names=["a", "b", "c"],
        layers=dict.fromkeys(decided, "hidden 1, 4 of 4 neurons"),
        x_axis="first input",
        y_axis="second input",
    )


def a_matrix(far: float = 0.2) -> Matrix:
    values = numpy.array([[0.5 + far, 0.5 - far], [0.5, 0.5]], dtype=numpy.float32)
    return Matrix(
        title="t",
        says="s 1.",
        panels={"SemCKD: each row adds up to 1": values},
        rows=["one", "two"],
        columns=["A", "B"],
        row_axis="layer of the student",
        column_axis="layer of the teacher",
        value_axis="share",
        low=0.0,
        high=1.0,
        spread={"SemCKD: each row adds up to 1": 0.05 * numpy.ones((2, 2))},
        centre={"SemCKD: each row adds up to 1": 0.5},
    )


def some_bars() -> Bars:
    return Bars(
        title="t",
        says="s 1.",
        series={"student": numpy.array([0.8, 0.7]), "never": numpy.array([0.6, 0.6])},
        categories=["1 ↔ 1", "2 ↔ 2"],
        category_axis="layers",
        value_axis="share",
        low=0.0,
        high=1.0,
        parts={"student": "student"},
        reference=0.5,
        reference_says="a coin: 50 %",
    )


def named(figure: go.Figure, name: str) -> go.Heatmap:
    return next(trace for trace in figure.data if trace.name == name)


def test_maps_stand_in_a_row_with_gaps_and_the_first_row_of_pixels_on_top() -> None:
    trace = named(map_grid.draw(a_grid(), dark=False), "Teacher")
    z = numpy.asarray(trace.z)
    numpy.testing.assert_array_equal(z[:, [0, 7, 8, 15]], [[2, 2, 3, 3], [0, 0, 1, 1]])
    numpy.testing.assert_array_equal(z[:, [17, 24, 25, 32]], [[6, 6, 7, 7], [4, 4, 5, 5]])
    assert numpy.isnan(z[:, [16, 33]]).all()
    assert len(trace.x) == z.shape[1] + 1
    assert list(trace.meta["across"]) == ["3"] * 16 + [""] + ["9"] * 16 + [""]


@pytest.mark.parametrize("side", [1, 3, 4, 7, 8, 14, 16, 28, 32])
def test_the_columns_of_maps_are_equally_wide_whatever_their_size_and_a_gap_stays_a_gap(side: int) -> None:
    x, y, z, names = map_grid.tiled(numpy.ones((3, side, side)), [0, 1, 2])
    numpy.testing.assert_allclose(numpy.diff(x), x[1], rtol=1e-9)
    assert (x[-1], y[-1], len(names)) == (3.0, 1.0, z.shape[1])
    assert numpy.isnan(z).mean() == pytest.approx(map_grid.GAP, abs=0.01)


def test_all_maps_stand_on_one_pair_of_axes_without_touching_and_within_them() -> None:
    figure = map_grid.draw(a_grid(), dark=False)
    go.Figure(figure.to_dict())  # which plotly checks
    assert {(trace.xaxis, trace.yaxis) for trace in figure.data} == {(None, None)}
    places = [(t.x[0], t.x[-1], t.y[0], t.y[-1]) for t in figure.data]
    (_, wide), (_, tall) = figure.layout.xaxis.range, figure.layout.yaxis.range
    assert all(0 <= left < right <= wide and 0 <= low < high <= tall for left, right, low, high in places)
    for number, (left, right, low, high) in enumerate(places):
        for other in places[number + 1 :]:
            assert right <= other[0] or other[1] <= left or high <= other[2] or other[3] <= low


def test_a_coloured_picture_has_its_first_row_on_top_where_a_grey_one_stands() -> None:
    grey = map_grid.draw(a_grid(), dark=False).data[0]
    image = map_grid.draw(dataclasses.replace(a_grid(), picture=numpy.zeros((4, 4, 3))), dark=False).data[0]
    assert image.type == "image"
    assert image.dy < 0 < image.dx
    assert image.x0 - image.dx / 2 == pytest.approx(grey.x[0])
    assert image.y0 - image.dy / 2 == pytest.approx(grey.y[-1])
    assert image.y0 + 3.5 * image.dy == pytest.approx(grey.y[0])


def test_a_film_has_one_colour_range_for_all_its_frames() -> None:
    fixed = map_grid.scales([a_grid(2.0), a_grid(5.0)])
    assert fixed["Teacher"] == [0.0, 5.0]
    trace = named(map_grid.draw(a_grid(2.0), dark=True, fixed=fixed), "Teacher")
    assert (trace.zmin, trace.zmax) == (0.0, 5.0)
    wide = matrix.scales([a_matrix(0.1), a_matrix(0.3)])["SemCKD: each row adds up to 1"]
    assert wide == pytest.approx([0.2, 0.8], abs=1e-6)


def test_colours_stay_as_they_are_while_a_film_grows_a_little() -> None:
    before = map_grid.scales([a_grid(3.1)])
    assert map_grid.scales([a_grid(3.1), a_grid(3.9)]) == before, "the next snapshot reaches a little further"
    assert map_grid.scales([a_grid(3.1), a_grid(4.2)])["Teacher"][1] > before["Teacher"][1], "nothing is cut off"
    kept = matrix.scales([a_matrix(0.11)])
    assert matrix.scales([a_matrix(0.11), a_matrix(0.14)]) == kept


@pytest.mark.parametrize(("low", "high"), [(0.0, 3.2), (-0.3, 3.2), (0.9, 0.98), (-7.0, -2.0), (0.0, 1e-6), (2.0, 2.0)])
def test_a_calm_range_holds_everything_and_is_at_most_twice_as_wide(low: float, high: float) -> None:
    first, last = calm(low, high)
    assert first <= low + 1e-9
    assert last >= high - 1e-9
    assert last - first <= 2.0 * (high - low) + 1e-12


@pytest.mark.parametrize("dark", [False, True])
def test_colours_turn_at_the_centre_wherever_it_lies(dark: bool) -> None:
    middle = diverging(dark=dark)[2][1]
    scale = diverging(dark=dark, low=-1.0, high=3.0)
    places = {round(float(str(place)), 6): colour for place, colour in scale}
    assert places[0.25] == middle
    assert places[1.0] == diverging(dark=dark)[-1][1]
    assert list(places) == sorted(places)
    assert places[0.0] != diverging(dark=dark)[0][1], "a third of the reach has not the strongest colour"


def test_the_plane_has_one_panel_for_each_network_in_its_colour() -> None:
    figure = plane.draw(a_plane(), dark=False)
    lines = [
        trace
        for trace in figure.data
        if trace.type == "scatter" and trace.mode == "lines" and trace.xaxis and not trace.fill
    ]
    assert [trace.line.color for trace in lines] == [theme.COLOURS["teacher"], theme.COLOURS["student"]]
    assert figure.layout.xaxis2.matches == "x"
    (dot,) = [trace for trace in figure.data if trace.name == "c" and trace.xaxis == "x"]
    assert (numpy.nanmean(dot.x[:6]), numpy.nanmean(dot.y[:6])) == pytest.approx((0.5, 0.5), abs=1e-5)
    assert "87.5 %" in figure.layout.annotations[1].text
    assert figure.layout.xaxis.title.text == "first input"
    regions = [trace for trace in figure.data if trace.name == "decides"]
    assert [trace.zmax for trace in regions] == [2, 2]


def test_the_matrix_says_its_numbers_and_which_way_it_adds_up() -> None:
    figure = matrix.draw(a_matrix(), dark=False)
    assert figure.data[0].text[0][0] == "0.70<br>± 0.05"
    assert "each row adds up to 1" in figure.layout.annotations[0].text
    assert figure.layout.yaxis.autorange == "reversed", "shallow on top"
    assert "even share 0.50" in figure.data[0].colorbar.title.text


def test_panels_with_one_colour_range_share_one_scale() -> None:
    plain = {"Student × teacher": numpy.eye(2), "Student alone × teacher": 0.5 * numpy.eye(2)}
    answer = dataclasses.replace(a_matrix(), panels=plain, spread={}, centre={}, value_axis="linear CKA")
    figure = matrix.draw(answer, dark=False)
    assert [trace.showscale for trace in figure.data] == [False, True]
    assert figure.data[1].colorbar.title.text == "linear CKA"
    assert {(trace.zmin, trace.zmax) for trace in figure.data} == {(0.0, 1.0)}
    both = matrix.draw(dataclasses.replace(answer, centre=dict.fromkeys(plain, 0.5)), dark=False)
    assert [trace.showscale for trace in both.data] == [True, True]


def test_bars_have_the_parts_colour_and_the_line_of_chance() -> None:
    figure = bars.draw(some_bars(), dark=False)
    assert figure.data[0].marker.color == theme.COLOURS["student"]
    assert figure.data[1].type == "scatter"
    assert figure.layout.shapes[0].y0 == 0.5
    assert any(text.text == "a coin: 50 %" for text in figure.layout.annotations)
    assert figure.layout.yaxis.title.text == "share"


def test_a_number_stands_in_its_bar_where_a_mark_would_go_through_it() -> None:
    values = {"student": numpy.array([0.8, 0.7, 0.02]), "never": numpy.array([0.83, 0.6, 0.05])}
    figure = bars.draw(dataclasses.replace(some_bars(), series=values, categories=["a", "b", "c"]), dark=False)
    assert list(figure.data[0].textposition) == ["inside", "outside", "outside"], "a bar of 2 % has no room in it"


def test_ticks_of_a_logarithmic_axis_are_round_and_few() -> None:
    assert log_ticks(-1.2, 0.8) == [0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
    assert log_ticks(-4.1, 1.1) == [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0]
    assert log_ticks(0.32, 0.45) == [2.089, 2.818], "between two round numbers its ends"


def test_a_film_sends_a_trace_once_and_a_heat_map_in_bytes() -> None:
    figures = [film.packed(map_grid.draw(a_grid(size), dark=False)) for size in (2.0, 2.0)]
    told = film.film([(figure, {"name": str(n), "label": "", "says": ""}) for n, figure in enumerate(figures)])
    assert told["frames"][0]["traces"] == told["frames"][1]["traces"]
    assert len(told["traces"]) == len(figures[0]["traces"])
    json.dumps(told, allow_nan=False)
    z = next(trace for trace in told["traces"] if trace.get("name") == "Teacher")["z"]
    levels = numpy.frombuffer(base64.b64decode(z["bytes"]), dtype=numpy.uint8).reshape(z["rows"], z["columns"])
    assert (levels[:, 16] == 255).all(), "a gap"
    back = z["low"] + (z["high"] - z["low"]) * levels[1, [0, 8]] / film.LEVELS
    numpy.testing.assert_allclose(back, [0.0, 1.0], atol=0.01)


@pytest.mark.parametrize(
    ("chart", "answer", "count"),
    [(map_grid, a_grid(), 16), (plane, a_plane(), 14), (matrix, a_matrix(), 4), (bars, some_bars(), 4)],
)
def test_the_csv_has_names_and_every_value(chart: object, answer: object, count: int) -> None:
    names, *lines = chart.rows(answer)  # type: ignore[attr-defined]
    assert len(lines) == count
    assert {len(line) for line in lines} == {len(names)}


def test_every_kind_of_answer_has_one_chart_but_the_one_that_is_a_list() -> None:
    assert {kind.__name__ for kind in set(kinds().values()) - set(charts())} == {"LayerPairs"}
