"""Attention over layers as a value: what stands in the figure is what the answer says, and widths are shares."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise

import numpy
import pytest

from app import theme
from app.charts import film, layer_attention, layer_flow, matrix
from kdcore.answers.layer_attention import LayerAttention
from kdcore.answers.matrix import Matrix

MEAN = numpy.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], dtype=numpy.float32)


def an_answer(mean: numpy.ndarray = MEAN) -> LayerAttention:
    one = mean[:, ::-1]
    return LayerAttention(
        title="t", says="s 1.", method="semckd", attends="student", rows=["a", "b"], columns=["k", "l", "m"],
        student_layers=[0, 1], teacher_layers=[0, 1, 2], count=64, mean=mean, spread=mean / 10, one=one,
        entropy=numpy.array([1.0, 0.5], dtype=numpy.float32), entropy_spread=numpy.array([0.1, 0.2]),
        entropy_one=numpy.array([0.9, 0.4]), similarity=numpy.array([[0.9, 0.5, 0.1], [0.2, 0.3, 0.7]]),
        similarity_alone=numpy.array([[0.8, 0.4, 0.0], [0.1, 0.2, 0.6]]), measure="linear CKA",
        correlation=0.75, by_depth=[[0, 1], [1, 2]], strongest=[[0, 0], [1, 2]], number=5,
        picture=numpy.full((4, 4, 1), 0.5), picture_says="a 7",
    )  # fmt: skip


def turned(answer: LayerAttention) -> LayerAttention:
    """The same with the teacher's layers attending."""
    return dataclasses.replace(
        answer, attends="teacher", rows=answer.columns, columns=answer.rows, student_layers=[0, 1, 2],
        teacher_layers=[0, 1],
        **{name: getattr(answer, name).T for name in ("mean", "spread", "one", "similarity", "similarity_alone")},
        by_depth=[pair[::-1] for pair in answer.by_depth], strongest=[pair[::-1] for pair in answer.strongest],
    )  # fmt: skip


@pytest.mark.parametrize("attention", [MEAN, MEAN.T, numpy.array([[1.0]]), numpy.array([[1.0, 0.0], [0.0, 1.0]])])
def test_the_widths_of_all_bands_sum_to_one_and_are_the_attention(attention: numpy.ndarray) -> None:
    drawn = layer_flow.bands(attention)
    assert sum(band.width for band in drawn) == pytest.approx(1.0)
    attending = attention.sum()
    for band in drawn:
        assert band.width == pytest.approx(attention[band.row, band.column] / attending)
        x, y = layer_flow.outline(band)
        half = len(x) // 2
        assert (x[0], x[half - 1]) == (0.0, 1.0)
        for place in range(half):
            assert y[-1 - place] - y[place] == pytest.approx(band.width, abs=2e-4), "as wide all along"


@pytest.mark.parametrize("attention", [MEAN, MEAN.T])
def test_bands_lie_beside_each_other_at_both_ends_with_a_gap_between_layers(attention: numpy.ndarray) -> None:
    drawn = layer_flow.bands(attention)
    for edge, of in (("left", "column"), ("right", "row")):
        ordered = sorted(drawn, key=lambda band, edge=edge: getattr(band, edge))
        for one, other in pairwise(ordered):
            gap = layer_flow.GAP if getattr(one, of) != getattr(other, of) else 0.0
            assert getattr(other, edge) - getattr(one, edge) - one.width == pytest.approx(gap, abs=1e-6)


@pytest.mark.parametrize("answer", [an_answer(), turned(an_answer())], ids=["student attends", "teacher attends"])
def test_the_mean_one_picture_and_the_similarity_stand_in_the_figure(answer: LayerAttention) -> None:
    figure = layer_attention.draw(answer, dark=False)
    mean, one, alike = (trace for trace in figure.data if trace.type == "heatmap")
    for trace, values in ((mean, answer.mean), (one, answer.one), (alike, answer.similarity)):
        numpy.testing.assert_array_equal(trace.z, values)
    assert mean.text[0][0] == f"{answer.mean[0, 0]:.2f}<br>± {answer.spread[0, 0]:.2f}"
    assert (mean.zmin, mean.zmax) == (one.zmin, one.zmax)
    assert (mean.zmin + mean.zmax) / 2 == pytest.approx(answer.even)
    flows = [trace for trace in figure.data if trace.name and "→" in trace.name]
    assert len(flows) == 2 * answer.mean.size
    assert {trace.line.color for trace in flows} == {theme.colour(answer.attends)}
    layers = {trace.name: trace.fillcolor for trace in figure.data if trace.name and trace.name.startswith("layers of")}
    assert layers == {f"layers of the {part}": theme.colour(part) for part in ("teacher", "student")}
    said = " ".join(text.text for text in figure.layout.annotations)
    assert "picture 5 (a 7)" in said
    assert "rank correlation 0.75" in said
    assert ("each row" if answer.attends == "student" else "each column") in said
    assert figure.layout.images[0].source.startswith("data:image/png")


def test_entropy_stands_in_nats_with_its_deviation_and_its_share_of_the_largest() -> None:
    figure = layer_attention.draw(an_answer(), dark=True)
    mean, one = (trace for trace in figure.data if trace.type == "bar")
    assert list(mean.x) == [1.0, 0.5]
    assert list(mean.error_x.array) == pytest.approx([0.1, 0.2])
    assert one.error_x.array is None
    shares = next(trace for trace in figure.data if trace.name == "share of the largest entropy")
    assert list(shares.text) == ["91 %", "46 %"], "of ln 3"
    axis = figure.layout[mean.xaxis.replace("x", "xaxis")]
    assert axis.title.text == "entropy, nats"
    assert axis.range[1] == pytest.approx(numpy.log(3), rel=0.03)
    upright = [trace for trace in layer_attention.draw(turned(an_answer()), dark=True).data if trace.type == "bar"]
    assert list(upright[0].y) == [1.0, 0.5]


def test_frames_and_rings_mark_the_strongest_and_those_of_like_depth_in_all_three_matrices() -> None:
    figure = layer_attention.draw(an_answer(), dark=False)
    frames = [trace for trace in figure.data if trace.name == "strongest mean attention"]
    rings = [trace for trace in figure.data if trace.name == "pair of like depth"]
    assert len(frames) == len(rings) == 3
    for trace in frames:
        corners = [(round(x), round(y)) for x, y in zip(trace.x, trace.y, strict=True) if x is not None]
        assert {(y, x) for x, y in corners} == {(0, 0), (1, 2)}
    for trace in rings:
        assert {(round(y), round(x)) for x, y in zip(trace.x, trace.y, strict=True)} == {(0, 1), (1, 2)}


def test_attention_stands_against_similarity_sorted_by_it() -> None:
    figure = layer_attention.draw(an_answer(), dark=False)
    lines = [trace for trace in figure.data if trace.name in ("student's a", "student's b")]
    assert list(lines[0].x) == pytest.approx([0.1, 0.5, 0.9])
    assert list(lines[0].y) == pytest.approx([0.2, 0.3, 0.5])
    even = next(trace for trace in figure.data if trace.name.startswith("even share"))
    assert list(even.y) == pytest.approx([1 / 3, 1 / 3])


def test_a_film_keeps_its_colours_and_its_number_of_traces() -> None:
    flat = an_answer(numpy.full((2, 3), 1 / 3, dtype=numpy.float32))
    fixed = layer_attention.scales([flat, an_answer()])
    low, high = fixed["attention"]
    assert 0.8 <= high <= 1.0
    assert low == pytest.approx(2 * (1 / 3) - high), "an even share has the colour in the middle"
    figures = [layer_attention.draw(answer, dark=False, fixed=fixed) for answer in (flat, an_answer())]
    assert len(figures[0].data) == len(figures[1].data)
    assert figures[0].data[0].zmax == figures[1].data[0].zmax
    for figure in figures:
        json.dumps(film.packed(figure))


def test_inputs_that_are_no_pictures_have_no_thumbnail() -> None:
    answer = dataclasses.replace(an_answer(), picture=numpy.zeros((0, 0, 1)))
    figure = layer_attention.draw(answer, dark=False)
    assert not figure.layout.images
    assert any("input 5" in text.text for text in figure.layout.annotations)


def test_the_csv_has_a_line_for_each_pair() -> None:
    head, *lines = layer_attention.rows(an_answer())
    assert len(lines) == 6
    assert len({len(line) for line in [head, *lines]}) == 1
    assert lines[0][:3] == ("a", "k", "0.5")
    assert [line[head.index("linear CKA, student alone")] for line in lines][:2] == ["0.8", "0.4"]
    assert [line[head.index("strongest")] for line in lines] == [1, 0, 0, 0, 0, 1]
    _, *lines = layer_attention.rows(dataclasses.replace(an_answer(), similarity_alone=numpy.zeros((0, 0))))
    assert {line[6] for line in lines} == {""}


def test_the_student_alone_stands_small_in_the_similarity_where_there_is_room() -> None:
    alike = [trace for trace in layer_attention.draw(an_answer(), dark=False).data if trace.type == "heatmap"][-1]
    assert alike.text[0][0].startswith("0.90<br>")
    assert "alone 0.80" in alike.text[0][0]
    assert alike.hovertext[1][2] == "0.70, of the student alone 0.60"
    without = dataclasses.replace(an_answer(), similarity_alone=numpy.zeros((0, 0)))
    figure = layer_attention.draw(without, dark=False)
    assert [trace for trace in figure.data if trace.type == "heatmap"][-1].text[0][0] == "0.90"
    assert not any("student alone" in text.text for text in figure.layout.annotations)
    many = numpy.full((2, 5), 0.5)
    wide = dataclasses.replace(
        an_answer(), columns=list("klmno"), mean=many / 2.5, spread=many, one=many / 2.5, similarity=many,
        similarity_alone=many, teacher_layers=[0, 1, 2, 3, 4],
    )  # fmt: skip
    alike = [trace for trace in layer_attention.draw(wide, dark=False).data if trace.type == "heatmap"][-1]
    assert alike.text[0][0] == "0.50", "five fields are too narrow"
    assert "of the student alone 0.50" in alike.hovertext[0][0]


def test_a_chosen_field_is_framed_in_every_panel_of_a_matrix() -> None:
    values = numpy.array([[0.1, 0.2], [0.3, 0.4]], dtype=numpy.float32)
    answer = Matrix(
        title="t", says="s 1.", panels={"CKA: x": values, "SVCCA: x": values, "CKA: y": values}, rows=["a", "b"],
        columns=["k", "l"], row_axis="layer of the student", column_axis="layer of the teacher",
        value_axis="similarity", low=0.0, high=1.0, spread={}, centre={},
    )  # fmt: skip
    shapes = matrix.marks(answer, (1, 0))["shapes"]
    assert {shape["xref"] for shape in shapes} == {"x", "x2", "x3"}
    for shape in shapes:
        assert (round((shape["x0"] + shape["x1"]) / 2), round((shape["y0"] + shape["y1"]) / 2)) == (0, 1)
    assert matrix.marks(answer, (5, 0)) == {"shapes": []}
    figure = matrix.draw(answer, dark=False)
    assert [trace.showscale for trace in figure.data] == [False, False, True], "one scale stands for all"
