"""Charts of boundaries as values: what stands in the figure is what the answer said."""

from __future__ import annotations

import dataclasses
import re

import numpy
import pytest

from app import theme
from app.charts import along, distances, neurons, plane
from kdcore.answers.along import Along
from kdcore.answers.distances import Distances
from kdcore.answers.neurons import Neurons
from kdcore.answers.plane import Plane

PARTS = ("teacher", "student", "baseline")


def a_picture_plane(**more: object) -> Plane:
    axis = numpy.linspace(-5.0, 15.0, 20)
    decided = numpy.zeros((20, 20), dtype=numpy.int16)
    decided[:, 10:] = 2
    answer = Plane(
        title="t",
        says="s 1.",
        x=axis,
        y=axis,
        decisions=dict.fromkeys(PARTS, decided),
        lines={part: numpy.array([[0, 0], [1, 1], [numpy.nan] * 2], dtype=numpy.float32) for part in PARTS},
        disagreement={part: numpy.zeros((20, 20), dtype=numpy.int16) for part in PARTS[1:]},
        agreement={"student": 1.0, "baseline": 0.5},
        agreement_of="the plane",
        points=numpy.array([[0.0, 0.0], [10.0, 0.0], [5.0, 10.0]], dtype=numpy.float32),
        labels=numpy.array([0, 2, 1]),
        class_names=["shoe", "bag", "hat"],
        layers=dict.fromkeys(PARTS, "stage 1"),
        x_axis="x",
        y_axis="y",
        pictures=numpy.zeros((3, 8, 8, 1), dtype=numpy.uint8),
        picture_names=["shoe (#0)", "hat (#1)", "bag (#4)"],
    )
    return dataclasses.replace(answer, **more)


def an_along(epoch: float = 2.0, **more: object) -> Along:
    at = numpy.linspace(0, 1, 5, dtype=numpy.float32)
    said = numpy.stack([1 - at, at, numpy.zeros(5)], axis=1)
    answer = Along(
        title="t",
        says="s 1.",
        at=at,
        probabilities=dict.fromkeys(PARTS, said),
        switches={part: numpy.array([0, 3, 1], dtype=numpy.int32) for part in PARTS},
        regions={"teacher": 9, "student": 5 + int(epoch), "baseline": 5},
        exact={"teacher": False, "student": True, "baseline": True},
        changes=dict.fromkeys(PARTS, 1),
        pictures=numpy.zeros((2, 8, 8, 1), dtype=numpy.uint8),
        ends=["a", "b"],
        epoch=epoch,
        class_names=["shoe", "bag", "hat"],
        line_axis="from a to b",
    )
    return dataclasses.replace(answer, **more)


def some_neurons() -> Neurons:
    values = {
        "student|0": numpy.array([0.2, 0.9, 0.5]), "baseline|0": numpy.array([0.1, 0.2, 0.3]),
        "student|1": numpy.array([0.4]), "baseline|1": numpy.array([0.6]),
    }  # fmt: skip
    return Neurons(
        title="t", says="s 1.", panels=["stage 1", "stage 2"], values=values,
        means={"student": [0.53, 0.4], "baseline": [0.2, 0.6]}, neuron_axis="neurons", value_axis="share",
        reference=[0.5, 0.6], reference_says="never switches", named=2,
    )  # fmt: skip


def some_distances(margin_is: str = "own") -> Distances:
    shares = {"teacher": numpy.array([0, 0, 0.5, 0.5]), "student": numpy.array([0.1, 0.2, 0.3, 0.4])}
    return Distances(
        title="t", says="s 1.", edges=numpy.array([-2, -1, 0, 1, 2.0]), shares=shares,
        wrong={"teacher": 0.0, "student": 0.3}, margin=1.0, margin_is=margin_is,
        inside={"teacher": 0.5, "student": 0.3}, distance_axis="pre-activation", share_axis="share",
    )  # fmt: skip


@pytest.mark.parametrize("dark", [False, True])
def test_each_panel_shows_the_three_pictures_at_their_places(dark: bool) -> None:
    figure = plane.draw(a_picture_plane(), dark=dark)
    assert len(figure.layout.images) == 9
    assert {image.xref for image in figure.layout.images} == {"x", "x2", "x3"}
    for image, (x, y) in zip(figure.layout.images[:3], a_picture_plane().points, strict=True):
        assert image.x == pytest.approx(x)
        assert (image.y > y) == (image.yanchor == "bottom"), "outside of the triangle"
        assert image.source.startswith("data:image/png")
    texts = " ".join(text.text for text in figure.layout.annotations)
    assert "bag (#4)" in texts
    assert "as the teacher on 50.0 % of the plane" in texts


def test_the_name_of_a_class_stands_in_its_region_and_not_under_a_picture() -> None:
    answer = a_picture_plane()
    figure = plane.draw(answer, dark=False)
    found = {text.text: text for text in figure.layout.annotations if text.xref == "x2"}
    for name, label in (("<b>shoe</b>", 0), ("<b>hat</b>", 2)):
        column, row = (int(numpy.abs(answer.x - value).argmin()) for value in (found[name].x, found[name].y))
        assert answer.decisions["student"][row, column] == label
        width = float(answer.x[-1] - answer.x[0])
        for image in figure.layout.images[3:6]:
            up = 1 if image.yanchor == "bottom" else -1
            across = abs(found[name].x - image.x) < image.sizex / 2
            assert not (across and 0 < up * (found[name].y - image.y) < plane.THUMBNAIL * width)
    assert "<b>bag</b>" not in found, "no region decides so"


def boxes(texts: list[object]) -> list[tuple[float, float, float, float]]:
    """What names cover, as wide as the chart takes a letter to be."""
    found = []
    for text in texts:
        kind = "picture" if "(#" in text.text else "class"
        half = (len(text.text) - len("<b></b>")) * plane.LETTER[kind] * 20.0 / 2
        low = text.y - plane.LINE * {"bottom": 0.0, "top": 20.0}.get(text.yanchor, 10.0)
        found.append((text.x - half, text.x + half, low, low + plane.LINE * 20.0))
    return found


def test_long_names_of_classes_cover_no_name_of_a_picture_and_each_other_not() -> None:
    decided = numpy.zeros((20, 20), dtype=numpy.int16)
    decided[:7] = 1
    decided[:7, 12:] = 2
    names = ["Pullover", "Ankle boot", "T-shirt/top"]
    answer = a_picture_plane(
        decisions=dict.fromkeys(PARTS, decided), class_names=names,
        picture_names=["Ankle boot (#0)", "T-shirt/top (#1)", "Pullover (#4)"],
    )  # fmt: skip
    figure = plane.draw(answer, dark=False)
    texts = [text for text in figure.layout.annotations if text.xref == "x2"]
    assert {text.text for text in texts} > {f"<b>{name}</b>" for name in ("Pullover", "Ankle boot")}
    covered = boxes(texts)
    for text, (left, right, low, high) in zip(texts, covered, strict=True):
        if "(#" in text.text:
            continue
        assert -5.0 <= left < right <= 15.0, f"{text.text} is cut off"
        for other, (start, end, below, above) in zip(texts, covered, strict=True):
            apart = right <= start or left >= end or high <= below or low >= above
            assert apart or other is text, f"{text.text} covers {other.text}"


def test_equal_signs_take_the_place_of_decisions() -> None:
    signs = {part: numpy.full((20, 20), 0.75, dtype=numpy.float32) for part in PARTS[1:]}
    figure = plane.draw(a_picture_plane(signs=signs, signs_mean={"student": 0.75, "baseline": 0.6}), dark=True)
    maps = [trace for trace in figure.data if trace.type == "heatmap"]
    assert [trace.name for trace in maps] == ["decides", *["switched as in the teacher"] * 2]
    assert [trace.showscale for trace in maps] == [False, True, False], "one scale for both"
    assert maps[1].z[0][0] == 0.75
    assert "60.0 % of signs as in the teacher" in " ".join(text.text for text in figure.layout.annotations)


def test_eleven_classes_and_more_have_colours() -> None:
    colours = plane.class_colours(12)
    assert len(set(colours[:10])) == 10
    assert not {*colours} & {theme.COLOURS[part] for part in PARTS}


def test_a_line_shows_probabilities_switches_and_regions_over_the_epochs() -> None:
    answers = [an_along(0.0), an_along(1.0), an_along(3.0)]
    shared = along.scales(answers)
    figures = [along.draw(answer, dark=False, fixed=shared) for answer in answers]
    texts = " ".join(text.text for text in figures[1].layout.annotations)
    assert "at least 9 linear regions" in texts
    assert ">Student</span></b>: 6 linear regions" in texts
    over = next(trace for trace in figures[0].data if trace.name == "regions, student")
    assert (list(over.x), list(over.y)) == ([0, 1, 3], [5, 6, 8])
    now = next(trace for trace in figures[1].data if trace.name == "now, student")
    assert (list(now.x), list(now.y)) == ([1], [6])
    assert {trace.name for trace in figures[0].data if trace.xaxis == "x"} == {"shoe", "bag"}, "hat is never likely"
    assert {len(figure.data) for figure in figures} == {len(figures[0].data)}, "a film's frames have one shape"
    assert len({image.source for image in figures[0].layout.images}) == 1
    assert len(figures[0].layout.images) == 6


def test_a_band_shows_what_each_network_decides_along_the_line_in_the_colours_of_the_curves() -> None:
    figure = along.draw(an_along(), dark=False)
    bands = [trace for trace in figure.data if trace.type == "heatmap"]
    assert len(bands) == 3
    for band in bands:
        assert band.z.tolist() == [[0, 0, 0, 1, 1]]
        colours = {colour for _, colour in band.colorscale}
        curves = {trace.line.color for trace in figure.data if trace.name in ("shoe", "bag")}
        assert curves < colours
        assert figure.layout[band.xaxis.replace("x", "xaxis")].range == (0, 1)
    assert "decides" in [text.text for text in figure.layout.annotations]


def test_probabilities_fill_their_panel_alike_in_every_frame() -> None:
    low = numpy.full((5, 3), 0.23)
    answers = [an_along(0.0, probabilities=dict.fromkeys(PARTS, low)), an_along(1.0)]
    assert along.scales(answers[:1])["high"] == [0.3]
    shared = along.scales(answers)
    for answer in answers:
        assert along.draw(answer, dark=True, fixed=shared).layout.yaxis.range == pytest.approx((0, 1.02))
    assert along.draw(answers[0], dark=True).layout.yaxis3.range == pytest.approx((0, 0.306))


def test_smooth_networks_have_no_count() -> None:
    figure = along.draw(
        an_along(regions={}, exact={}, pictures=numpy.zeros((0, 0, 0, 1), dtype=numpy.uint8)), dark=True
    )
    texts = [text.text for text in figure.layout.annotations]
    assert "no network here has linear regions" in texts
    assert sum("smooth" in text for text in texts) == 3
    assert not figure.layout.images


def test_neurons_stand_from_the_highest_to_the_lowest_with_their_numbers() -> None:
    figure = neurons.draw(some_neurons(), dark=False)
    student = next(trace for trace in figure.data if trace.name == "Student" and trace.xaxis == "x")
    assert list(student.y) == [0.9, 0.5, 0.2]
    assert list(student.customdata) == ["neuron 1", "neuron 2", "neuron 0"]
    assert student.line.color == theme.COLOURS["student"]
    assert "the student's highest: 1, 2" in figure.layout.annotations[0].text
    line = next(trace for trace in figure.data if trace.name == "never switches")
    assert list(line.y) == [0.5, 0.5]
    assert len([trace for trace in figure.data if trace.showlegend]) == 3


@pytest.mark.parametrize(("margin_is", "dash", "said"), [("own", "solid", "this run"), ("reference", "dot", "not use")])
def test_the_margin_is_drawn_as_the_runs_own_or_as_a_reference(margin_is: str, dash: str, said: str) -> None:
    figure = distances.draw(some_distances(margin_is), dark=False)
    line = next(shape for shape in figure.layout.shapes if shape.type == "line" and shape.x0 == 1.0)
    assert line.line.dash == dash
    assert any(said in text.text for text in figure.layout.annotations)
    student = next(trace for trace in figure.data if trace.name.startswith("Student"))
    assert "30.0 % on the other side" in student.name
    assert list(student.y) == [0.1, 0.2, 0.3, 0.4, 0.4]


def test_heights_of_distances_keep_their_meaning_over_a_film() -> None:
    fixed = distances.scales([some_distances(), some_distances()])
    assert fixed == {"high": [0.5]}
    assert distances.draw(some_distances(), dark=False, fixed=fixed).layout.yaxis.range[1] == pytest.approx(0.56)


@pytest.mark.parametrize(
    ("chart", "answer", "count"),
    [(along, an_along(), 45 + 9 + 3), (neurons, some_neurons(), 8), (distances, some_distances(), 8)],
)
def test_the_csv_has_a_line_for_each_number(chart: object, answer: object, count: int) -> None:
    lines = list(chart.rows(answer))  # type: ignore[attr-defined]
    assert len(lines) == count + 1
    assert len({len(line) for line in lines}) == 1
    assert all(re.fullmatch(r"[\w ,.×]+", str(cell)) for cell in lines[0])


@pytest.mark.parametrize("dark", [False, True])
def test_every_axis_that_is_seen_is_named(dark: bool) -> None:
    for figure in (
        along.draw(an_along(), dark=dark), neurons.draw(some_neurons(), dark=dark),
        distances.draw(some_distances(), dark=dark), plane.draw(a_picture_plane(), dark=dark),
    ):  # fmt: skip
        assert figure.layout.xaxis.title.text or figure.layout.xaxis4.title.text
        assert figure.layout.yaxis.title.text
