"""The charts of feature-map matching as values: what stands in the figure is what the answer said."""

from __future__ import annotations

import numpy
import plotly.graph_objects as go
import pytest

from app import theme
from app.charts import channel_partners, film, method_view
from kdcore.answers.channel_partners import ChannelPartners
from kdcore.answers.method_view import MethodView


def some(*shape: int, seed: int = 0) -> numpy.ndarray:
    return numpy.random.default_rng(seed).normal(size=shape).astype(numpy.float32)


def partners(pairs: int = 3, side: int = 2) -> ChannelPartners:
    links = numpy.array([[2, 5, 0.9], [0, 1, 0.5], [1, 0, -0.1]], dtype=numpy.float32)[:pairs]
    shown = list(range(pairs))
    return ChannelPartners(
        title="t",
        says="s 1.",
        layers={"teacher": "stage 2, 6 channels of 2×2", "student": "a, 3 channels", "baseline": "b, 3 channels"},
        links={"student": links, "baseline": links * [1, 1, 0.5]},
        shown={"student": shown, "baseline": shown},
        maps={
            key: some(pairs, side, side, seed=number)
            for number, key in enumerate(("student", "student/teacher", "baseline", "baseline/teacher"))
        },
        map_says="a channel",
        explained={"student": numpy.array([0.1, 0.9, 0.5]), "baseline": numpy.array([0.2, 0.3, 0.1])},
        inputs="pictures",
    )


SHAPES = {"plane": (3, 3), "channels": (4, 2, 2), "matrix": (3, 5), "images": (4, 4), "classes": (3,), "numbers": (7,)}


def view(*kinds: str, parts: tuple[str, ...] = ("teacher", "student", "baseline"), picture: int = 4) -> MethodView:
    drawn = [
        {"part": number, "kind": kind, "name": f"thing {number}", "layers": "stage 1 ↔ stage 2", "value": "energy",
         "rows": "row", "columns": "column", "names": [], "note": "",
         "channels": [2, 3, 5, 8] if kind == "channels" else []}
        for number, kind in enumerate(kinds)
    ]  # fmt: skip
    return MethodView(
        title="t",
        says="s 1.",
        method="at",
        methods={"at": "Attention"},
        without={},
        parts=[f"thing {number}, stage 1 ↔ stage 2" for number in range(len(kinds))],
        drawn=drawn,
        values={
            f"{number}/{part}": some(*SHAPES[kind], seed=place)
            for number, kind in enumerate(kinds)
            for place, part in enumerate(parts)
        },
        distance={part: [0.25] * len(kinds) for part in parts if part != "teacher"},
        labels=[0, 0, 1, 2],
        class_names=["cat", "a dog of a very long name", "owl"],
        picture=numpy.full((picture, picture, 1), 0.5),
        picture_says="validation picture 0, of class cat",
        inputs="pictures",
    )


def said(figure: go.Figure) -> str:
    return " ".join(str(note.text) for note in figure.layout.annotations)


@pytest.mark.parametrize("dark", [False, True])
def test_a_link_is_as_wide_as_its_correlation_and_the_best_stands_first(dark: bool) -> None:
    figure = channel_partners.draw(partners(), dark=dark)
    links = [trace for trace in figure.data if trace.type == "bar"]
    assert [trace.marker.color for trace in links] == [theme.COLOURS["student"], theme.COLOURS["baseline"]]
    numpy.testing.assert_allclose(links[0].width, [0.81, 0.45, 0.015], atol=1e-6)
    assert list(links[0].x) == sorted(links[0].x)
    words = [list(trace.text) for trace in figure.data if trace.name == "correlation"]
    assert words == [["0.90", "0.50", "−0.10"], ["0.45", "0.25", "−0.05"]]


def test_both_channels_of_a_link_stand_in_its_column_on_one_scale() -> None:
    answer = partners()
    figure = channel_partners.draw(answer, dark=False)
    maps = [trace for trace in figure.data if trace.type == "heatmap"]
    assert [trace.name for trace in maps] == ["Student", "Teacher", "Student alone", "Teacher"]
    assert {(trace.zmin, trace.zmax) for trace in maps} == {(-3.0, 3.0)}
    assert [name for name in dict.fromkeys(maps[0].meta["across"]) if name] == ["2", "0", "1"]
    assert [name for name in dict.fromkeys(maps[1].meta["across"]) if name] == ["5", "1", "0"]
    numpy.testing.assert_allclose(maps[0].z[1][[0, 8]], answer.maps["student"][0, 0])


def test_the_curves_fall_and_their_means_are_said() -> None:
    figure = channel_partners.draw(partners(), dark=False)
    curves = {trace.name: list(trace.y) for trace in figure.data[-2:]}
    assert curves == {"Student": [0.9, 0.5, 0.1, 0.1], "Student alone": [0.3, 0.2, 0.1, 0.1]}
    assert "50 % on average" in said(figure)
    assert "mean correlation 0.43" in said(figure)


def test_with_more_pairs_than_columns_it_says_so() -> None:
    answer = partners()
    few = ChannelPartners(**{**vars(answer), "shown": {part: [0, 2] for part in answer.links},
                             "maps": {key: maps[:2] for key, maps in answer.maps.items()}})  # fmt: skip
    assert "2 of 3 pairs, evenly spread from best to worst" in said(channel_partners.draw(few, dark=False))


def test_its_table_has_a_line_for_each_of_the_teachers_channels() -> None:
    heads, *lines = channel_partners.rows(partners(2))
    assert len(heads) == len(lines[0]) == 5
    assert lines[0] == ("Student", "", 0, "", "0.1")
    assert lines[1] == ("Student", 0, 1, "0.5", "0.9")


@pytest.mark.parametrize("kind", ["plane", "channels", "matrix", "images"])
@pytest.mark.parametrize("dark", [False, True])
def test_a_row_lays_three_networks_and_two_differences_side_by_side(kind: str, dark: bool) -> None:
    answer = view(kind)
    figure = method_view.draw(answer, dark=dark)
    names = ["Teacher", "Student", "Student alone", "Student − teacher", "Student alone − teacher"]
    assert [trace.name for trace in figure.data] == names
    values, differences = figure.data[:3], figure.data[3:]
    assert len({(trace.zmin, trace.zmax) for trace in values}) == 1
    assert {trace.zmin for trace in differences} == {-differences[0].zmax}
    assert [trace.showscale for trace in figure.data] == [False, False, True, False, True]
    first = answer.values["0/student"] - answer.values["0/teacher"]
    shown = numpy.array(differences[0].z, dtype=float)
    if kind == "channels":
        numpy.testing.assert_allclose(shown[::-1][:2, :2], first[0])
        numpy.testing.assert_allclose(shown[::-1][3:5, 3:5], first[3])
        assert "channels 2, 3, 5, 8" in said(figure)
    else:
        numpy.testing.assert_allclose(shown[::-1], first)
    assert "25 % away" in said(figure)
    assert "thing 0, stage 1 ↔ stage 2" in said(figure)


def test_edges_run_upwards_and_fit_the_values() -> None:
    for kind in ("plane", "channels", "matrix", "images"):
        for trace in method_view.draw(view(kind), dark=False).data:
            height, width = numpy.array(trace.z).shape
            assert (len(trace.x), len(trace.y)) == (width + 1, height + 1)
            assert (numpy.diff(trace.x) > 0).all()
            assert (numpy.diff(trace.y) > 0).all()


def test_relations_name_their_classes_and_leave_the_diagonal_out_of_the_scale() -> None:
    answer = view("images")
    for part in ("teacher", "student", "baseline"):
        numpy.fill_diagonal(answer.values[f"0/{part}"], 100.0)
    figure = method_view.draw(answer, dark=False)
    assert figure.data[0].zmax < 10
    assert list(figure.layout.xaxis.ticktext) == ["cat", "a dog of a…", "owl"]
    assert list(figure.layout.xaxis.tickvals) == [1.0, 2.5, 3.5]
    assert list(figure.layout.yaxis.tickvals) == [3.0, 1.5, 0.5]
    assert figure.layout.xaxis.title.text == "pictures, by class"


def test_classes_are_bars_and_many_numbers_lines_in_the_teachers_order() -> None:
    figure = method_view.draw(view("classes", "numbers"), dark=False)
    bars, lines = figure.data[:3], figure.data[3:]
    assert [trace.marker.color for trace in bars] == [
        theme.COLOURS[part] for part in ("teacher", "student", "baseline")
    ]
    assert list(bars[0].x) == ["cat", "a dog of a…", "owl"]
    assert list(lines[0].y) == sorted(lines[0].y, reverse=True)
    assert figure.layout.yaxis.title.text == "energy"


def test_without_a_student_alone_there_is_one_difference() -> None:
    figure = method_view.draw(view("plane", parts=("teacher", "student")), dark=False)
    assert [trace.name for trace in figure.data] == ["Teacher", "Student", "Student − teacher"]


def test_colours_keep_their_meaning_over_a_film() -> None:
    calm, wild = view("plane"), view("plane")
    wild.values["0/student"] *= 10
    fixed = method_view.scales([calm, wild])
    low, high, far = fixed["0"]
    assert low <= min(float(values.min()) for one in (calm, wild) for values in one.values.values())
    assert high >= max(float(values.max()) for one in (calm, wild) for values in one.values.values())
    assert far >= numpy.abs(wild.values["0/student"] - wild.values["0/teacher"]).max() - 1e-6
    figures = [method_view.draw(one, dark=False, fixed=fixed) for one in (calm, wild)]
    assert figures[0].data[0].zmax == figures[1].data[0].zmax
    made = film.film([(film.packed(figure), {"name": "a", "label": "b", "says": "c"}) for figure in figures])
    assert len(made["frames"]) == 2
    assert len(made["traces"]) == 5 + 2, "what has not changed is sent once"


def test_the_table_has_a_line_for_each_number() -> None:
    heads, *lines = method_view.rows(view("plane", "classes"))
    assert len(lines) == 3 * (9 + 3)
    assert {len(line) for line in lines} == {len(heads)}
