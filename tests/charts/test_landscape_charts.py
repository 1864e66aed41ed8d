"""Charts of the loss landscape and of visual concepts, looked into as values."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import numpy
import pytest

from app import theme
from app.charts import concept_counts, concepts, loss_line, loss_plane
from app.views.scrubber import table
from kdcore.answers.concepts import Concepts
from kdcore.answers.loss_line import LossLine
from kdcore.answers.loss_plane import LossPlane
from kdcore.concept_learning import learning
from kdcore.events import Snapshot


def line(height: float = 2.0) -> LossLine:
    at = numpy.array([-0.5, 0.0, 0.5, 1.0, 1.5])
    both = {"validation": numpy.array([9.0, 1.0, height, 0.5, 8.0]), "training": numpy.array([7.0, 0.1, 0.2, 0.3, 7.0])}
    right = {split: values / 10 for split, values in both.items()}
    own = {split: numpy.array([1.1, 0.6]) for split in both}
    return LossLine(
        "Along the line", "A ridge of 1.25 nats.", at, both, right, own, own, {"validation": 195, "training": 400},
        1.25, 0.5, 0.7, "cross-entropy", "pictures", "no batch norm",
    )  # fmt: skip


def plane(parts: tuple[str, ...] = ("student", "baseline")) -> LossPlane:
    at = numpy.array([-1.0, 0.0, 1.0])
    loss = {
        part: (number + 1.0) * numpy.array([[10.0, 1, 100], [1, 0.1, 1], [10, 1, 10]])
        for number, part in enumerate(parts)
    }
    rise = {part: numpy.array([[1.0, 3.0], [4.0, 8.0]]) for part in parts}
    return LossPlane(
        "Around", "Rises by 1 nat.", at, loss, dict.fromkeys(parts, 0.1), numpy.array([0.5, 1.0]), rise,
        dict.fromkeys(parts, 2.0), 0.5, 150, "cross-entropy", "pictures", "no batch norm",
    )  # fmt: skip


def kept(part: str = "student", epoch: float = 0.0) -> Concepts:
    entropy = numpy.full((2, 2, 2), 1.0, dtype=numpy.float32)
    entropy[:, 0, 0] = -0.5
    inside = numpy.zeros((2, 2, 2), dtype=numpy.uint8)
    inside[:, 0, 0] = 1
    mask = numpy.kron(inside, numpy.ones((1, 4, 4), dtype=numpy.uint8))
    return Concepts(
        "Kept", "Holds 1.", part, epoch, numpy.full((2, 8, 8, 3), 0.5, numpy.float32), [0, 1], ["ring", "star"], mask,
        inside, entropy, numpy.full(2, 1.0, numpy.float32), inside, numpy.array([[1, 0], [1, 0]], numpy.int32),
        numpy.ones(2, numpy.float32), 0.2, "what the classifier reads", numpy.array([3.0, 4.0 + epoch], numpy.float32),
    )  # fmt: skip


def test_the_range_of_the_loss_shows_all_between_the_ends_of_every_frame() -> None:
    fixed = loss_line.scales([line(2.0), line(6.0)])
    figure = loss_line.draw(line(), dark=False, fixed=fixed)
    low, high = figure.layout.yaxis.range
    assert (low, high) == (0.0, pytest.approx(7.5))
    assert figure.layout.yaxis.title.text == "cross-entropy in nats"


def test_both_ends_stand_in_their_networks_colours_with_their_own_losses() -> None:
    figure = loss_line.draw(line(), dark=True)
    ends = [trace for trace in figure.data if trace.mode == "markers" and trace.xaxis == "x"]
    assert [(trace.x[0], trace.marker.color, trace.y[0]) for trace in ends] == [
        (0, theme.COLOURS["baseline"], 1.1),
        (1, theme.COLOURS["student"], 0.6),
    ]
    assert [(shape.x0, shape.line.color) for shape in figure.layout.shapes[:2]] == [
        (0, theme.COLOURS["baseline"]),
        (1, theme.COLOURS["student"]),
    ]
    assert "195 validation pictures" in {trace.name for trace in figure.data}


def test_a_film_of_lines_has_a_table() -> None:
    snapshots = [Snapshot(0.0, 2, 0, epoch, f"2-{epoch}", ["student"]) for epoch in (0, 5)]
    found = list(csv.reader(io.StringIO(table(snapshots, [line(), line()]))))
    assert found[0] == ["epoch", "inputs", "place", "cross-entropy in nats", "accuracy", "batch norm"]
    assert len(found) == 1 + 2 * 2 * (5 + 2)
    assert found[1][:4] == ["0", "validation", "-0.5", "9"]


def test_both_planes_share_one_logarithmic_scale() -> None:
    figure = loss_plane.draw(plane(), dark=False)
    first, second = (trace for trace in figure.data if trace.type == "contour")
    assert (first.zmin, first.zmax) == (second.zmin, second.zmax) == (-1.0, pytest.approx(math.log10(200)))
    assert first.z[0][2] == pytest.approx(2.0)
    assert [first.showscale, second.showscale] == [False, True]
    assert list(second.colorbar.ticktext) == ["0.1", "1", "10", "100"]
    means = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "lines+markers"]
    assert [list(trace.y) for trace in means] == [[0.0, 2.0, 6.0]] * 2
    assert [trace.line.color for trace in means] == [theme.COLOURS["student"], theme.COLOURS["baseline"]]


def test_one_network_has_one_plane_and_a_loss_of_zero_a_colour() -> None:
    alone = plane(("student",))
    alone.loss["student"][1, 1] = 0.0
    figure = loss_plane.draw(alone, dark=True)
    (only,) = (trace for trace in figure.data if trace.type == "contour")
    assert only.z[1][1] == -3.0
    assert len(list(loss_plane.rows(alone))) == 1 + 9 + 4


def test_what_is_kept_is_orange_and_the_object_is_outlined() -> None:
    figure = concepts.beside({"teacher": kept("teacher"), "student": kept()}, picture=1, dark=False)
    maps = [trace for trace in figure.data if trace.type == "heatmap"]
    assert [trace.name for trace in maps] == ["teacher", "student"]
    assert maps[0].z[0][0] == pytest.approx(1.5)
    assert maps[0].zmin == -maps[0].zmax
    assert list(maps[0].x) == [1.5, 5.5], "a cell lies in the middle of its four pixels"
    outlines = [trace for trace in figure.data if trace.type == "contour"]
    assert outlines[0].z.shape == (8, 8)
    assert "a star" in figure.layout.annotations[0].text
    assert "1 on it, 0 beside" in figure.layout.annotations[1].text
    assert len(list(concepts.rows(kept()))) == 1 + 2 * 4
    assert concepts.draw(kept(), dark=True).data


def test_the_teacher_is_a_level_over_the_students_epochs() -> None:
    learned = {
        "teacher": learning([kept("teacher", 9.0)]),
        "student": learning([kept(epoch=0.0), kept(epoch=5.0)]),
    }
    figure = concept_counts.draw(learned, dark=False)
    level, student = figure.data[0], figure.data[1]
    assert level.mode == "lines"
    assert list(level.y) == [1.0, 1.0]
    assert list(student.x) == [0.0, 5.0]


def test_the_teachers_level_is_drawn_in_both_panels_and_stands_in_the_csv() -> None:
    answer = replace(line(), teacher={"validation": [0.4, 0.9], "training": [0.2, 0.7]})
    figure = loss_line.draw(answer, dark=False)
    levels = [trace for trace in figure.data if trace.legendgroup == "teacher"]
    assert [(set(trace.y), trace.yaxis) for trace in levels] == [({0.4}, "y"), ({0.9}, "y2")]
    assert {trace.line.color for trace in levels} == {theme.COLOURS["teacher"]}
    assert ("validation", "teacher", "0.4", "0.9", "its own statistics") in list(loss_line.rows(answer))
    assert not [trace for trace in loss_line.draw(line(), dark=False).data if trace.legendgroup == "teacher"]
    high = replace(answer, teacher={"validation": [50.0, 0.9]})
    assert loss_line.scales([high])["loss"][1] > 50.0, "it is seen"
