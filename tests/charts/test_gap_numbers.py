"""Charts of the gap's numbers as values."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy
import pytest

from app import theme
from app.charts import calibration, class_gain, dark_knowledge, embedding, fidelity, film
from app.charts.pixels import address_of
from kdcore.answers.calibration import Calibration
from kdcore.answers.class_gain import ClassGain
from kdcore.answers.dark_knowledge import DarkKnowledge
from kdcore.answers.embedding import Embedding
from kdcore.answers.fidelity import Fidelity


def some_fidelity() -> Fidelity:
    return Fidelity(
        title="t",
        says="s 1.",
        groups=["test pictures", "training pictures", "test, teacher right", "test, teacher wrong"],
        counts=[10, 20, 10, 0],
        agreement={"student": numpy.array([0.9, 1.0, 0.9, 0.0]), "baseline": numpy.array([0.5, 0.5, 0.5, 0.0])},
        divergence={"student": numpy.array([0.1, 0.2]), "baseline": numpy.array([1.0, 2.0])},
        reverse={"student": numpy.array([0.3, 0.4]), "baseline": numpy.array([0.5, 3.0])},
        wins={"student": numpy.array([6, 1, 2, 1]), "baseline": numpy.array([4, 0, 6, 0])},
        inputs="pictures",
    )


def some_calibration() -> Calibration:
    bins = numpy.array([[0.0, 0.0, 0.0], [0.5, 0.75, 4.0]])
    return Calibration(
        title="t", says="s 1.", bins={"student": bins}, scaled={"student": bins - [[0, 0, 0], [0, 0.2, 0]]},
        temperature={"student": 1.5}, ece={"student": [0.25, 0.05]}, brier={"student": [0.4, 0.3]},
        accuracy={"student": 0.5}, inputs="4 test pictures",
    )  # fmt: skip


def some_classes() -> ClassGain:
    ours, alone = numpy.array([[0.9, 0.1], [0.0, 1.0]]), numpy.array([[0.5, 0.5], [0.25, 0.75]])
    return ClassGain(
        title="t", says="s 1.", class_names=["a", "b"], counts=[10, 4],
        accuracy={"student": ours.diagonal(), "baseline": alone.diagonal()},
        confusion={"student": ours, "baseline": alone},
    )  # fmt: skip


def some_dark_knowledge() -> DarkKnowledge:
    cold, hot = numpy.array([[0.8, 0.15, 0.05], [0.1, 0.8, 0.1], [0.0, 0.3, 0.7]]), numpy.full((3, 3), 1 / 3)
    values = numpy.stack([cold, hot])
    return DarkKnowledge(
        title="t", says="s 1.", temperatures=[1.0, 4.0], class_names=["a", "b", "c"],
        similarity={"teacher": values, "student": values}, likeness={"student": [0.5, -0.25]},
        soft={"teacher": values[:, 0], "student": values[:, 1]}, picture=numpy.full((2, 2, 1), 0.5), picture_says="a b",
    )  # fmt: skip


def some_embedding() -> Embedding:
    places = {part: numpy.arange(6.0).reshape(3, 2) * (1 + n) for n, part in enumerate(("teacher", "student"))}
    return Embedding(
        title="t", says="s 1.", places=places, labels=numpy.array([0, 1, 1]), numbers=numpy.array([4, 7, 9]),
        said={"teacher": numpy.array([0, 1, 1]), "student": numpy.array([0, 1, 0])}, class_names=["a", "b"],
        pictures=numpy.zeros((3, 2, 2, 1), dtype=numpy.uint8), shared={"student": 0.5}, way="PCA",
    )  # fmt: skip


def test_fidelity_has_the_parts_colours_and_stacks_up_to_all() -> None:
    figure = fidelity.draw(some_fidelity(), dark=False)
    assert [trace.marker.color for trace in figure.data[:2]] == [theme.COLOURS["student"], theme.COLOURS["baseline"]]
    assert list(figure.data[0].text) == ["90 %", "100 %", "90 %", "none"], "no share of no pictures"
    stack = [trace for trace in figure.data if trace.xaxis == "x3"]
    assert [trace.name for trace in stack] == list(fidelity.OUTCOMES)
    assert [base + height for base, height in zip(stack[-1].base, stack[-1].y, strict=True)] == pytest.approx([1, 1])
    assert fidelity.scales([some_fidelity()])["divergence"][1] == pytest.approx(3.45)


def test_reliability_leaves_empty_bins_out_and_says_how_many_bins() -> None:
    figure = calibration.draw(some_calibration(), dark=True)
    assert list(figure.data[0].x) == [0.75]
    assert list(figure.data[0].y) == [0.5]
    heading = figure.layout.annotations[0].text
    assert "ECE 25.0 % (2 bins)" in heading
    assert "T = 1.50: 5.0 %" in heading


@pytest.mark.parametrize(
    ("warm", "says"), [(0.05, "T ≤ 0.05"), (20.0, "T ≥ 20"), (0.0503, "T ≤ 0.05"), (2.345, "T = 2.35")]
)
def test_a_temperature_at_the_end_of_what_is_looked_through_says_so(warm: float, says: str) -> None:
    figure = calibration.draw(replace(some_calibration(), temperature={"student": warm}), dark=False)
    assert says in figure.layout.annotations[0].text


def test_how_many_inputs_is_drawn_in_the_last_epochs_range() -> None:
    """Before training all inputs lie in one bin, and nothing else could be seen in a range that reached so far."""
    spread = numpy.array([[0.5, 0.3, 3.0], [0.5, 0.75, 1.0]])
    early, last = some_calibration(), replace(some_calibration(), bins={"student": spread})
    assert calibration.scales([early])["inputs"] == [0.0, 1.0]
    assert calibration.scales([early, last])["inputs"] == [0.0, 0.8]
    figure = calibration.draw(last, dark=False, fixed=calibration.scales([early, last]))
    assert list(figure.layout.yaxis2.tickvals) == [0.4, 0.8]


def test_confusions_are_differences_in_points_on_one_scale() -> None:
    figure = class_gain.draw(some_classes(), dark=False)
    (heat,) = [trace for trace in figure.data if trace.type == "heatmap"]
    numpy.testing.assert_allclose(heat.z, [[40, -40], [-25, 25]])
    assert (heat.zmin, heat.zmax) == pytest.approx((-40, 40))
    assert heat.text[0][1] == "−40"
    assert list(figure.data[0].x) == [0.5, 0.9, None, 0.75, 1.0, None], "from the student alone to the student"
    assert figure.layout.yaxis2.autorange == "reversed"


def test_the_chosen_class_is_framed_in_every_panel_and_one_that_is_not_there_in_none() -> None:
    band, *frames = class_gain.marks(some_classes(), (1, 0))["shapes"]
    assert (band["xref"], band["y0"], band["y1"]) == ("x domain", pytest.approx(0.58), pytest.approx(1.42))
    assert {(one["xref"], one["x0"], one["x1"], one["y0"], one["y1"]) for one in frames} == {
        ("x2", -0.5, 1.5, 0.5, 1.5)
    }
    assert class_gain.marks(some_classes(), (2, 2)) == {"shapes": []}
    frames = dark_knowledge.marks(some_dark_knowledge(), (2, 0))["shapes"]
    assert {(one["xref"], one["y0"], one["y1"]) for one in frames} == {("x", 1.5, 2.5), ("x2", 1.5, 2.5)}
    assert dark_knowledge.marks(some_dark_knowledge(), (3, 0)) == {"shapes": []}


def test_long_names_of_classes_are_cut_stand_on_end_and_have_room() -> None:
    names = ["T-shirt or top", "bag"]
    figure = class_gain.draw(replace(some_classes(), class_names=names), dark=False)
    plain = class_gain.draw(some_classes(), dark=False)
    assert list(figure.layout.xaxis2.tickvals) == names
    assert figure.layout.xaxis2.ticktext[0] == "T-shirt or…"
    assert figure.layout.xaxis2.tickangle == -90
    assert plain.layout.xaxis2.tickangle is None
    assert figure.layout.margin.l > plain.layout.margin.l + 60
    assert not figure.layout.yaxis2.showticklabels, "the rows are those of the panel on the left"


def test_every_temperature_is_in_the_figure_and_starts_at_four() -> None:
    figure = dark_knowledge.draw(some_dark_knowledge(), dark=False)
    (slider,) = figure.layout.sliders
    assert slider.active == 1
    assert [step.label for step in slider.steps] == ["1", "4"]
    changes, layout = slider.steps[0].args
    assert changes["z"][0][0] == [None, 0.15, 0.05], "the diagonal is left out"
    assert changes["zmax"][:2] == pytest.approx([0.3, 0.3])
    assert changes["zmin"][:2] == [0.0, 0.0]
    assert changes["y"][2:] == [[0.8, 0.15, 0.05], [0.1, 0.8, 0.1]]
    assert "0.50 like the teacher's" in layout["annotations"][1]["text"]
    assert "−0.25 like the teacher's" in figure.layout.annotations[1].text
    assert len(changes["z"]) == len(changes["y"]) == len(figure.data)
    assert figure.layout.images[0].source.startswith("data:image/png;base64,")
    json.loads(figure.to_json())


def test_points_are_rows_outlined_where_wrong_on_one_plane_over_a_film() -> None:
    figure = embedding.draw(some_embedding(), dark=False)
    teacher, student = figure.data
    assert list(student.marker.line.width) == [0.0, 0.0, 1.6]
    assert not any(teacher.marker.line.width)
    assert teacher.marker.color[1] == teacher.marker.color[2] != teacher.marker.color[0]
    assert "50 % of the neighbours" in " ".join(text.text for text in figure.layout.annotations)
    ranges = embedding.scales([some_embedding()])
    again = embedding.draw(some_embedding(), dark=False, fixed=ranges)
    assert list(again.data[0].x) == list(teacher.x), "a film of one moment is that moment"


@pytest.mark.parametrize(
    ("chart", "answer", "count"),
    [
        (fidelity, some_fidelity(), 24),
        (calibration, some_calibration(), 4),
        (class_gain, some_classes(), 8),
        (dark_knowledge, some_dark_knowledge(), 48),
        (embedding, some_embedding(), 6),
    ],
)
def test_the_csv_has_names_and_every_value(chart: object, answer: object, count: int) -> None:
    names, *lines = chart.rows(answer)  # type: ignore[attr-defined]
    assert len(lines) == count
    assert {len(line) for line in lines} == {len(names)}


@pytest.mark.parametrize(
    ("chart", "answer"),
    [(fidelity, some_fidelity()), (calibration, some_calibration()), (class_gain, some_classes())],
)
def test_films_are_plain_json(chart: object, answer: object) -> None:
    packed = film.packed(chart.draw(answer, dark=False, fixed=chart.scales([answer])))  # type: ignore[attr-defined]
    json.dumps(film.film([(packed, {"name": "1", "label": "", "says": ""})]), allow_nan=False)


def test_small_pictures_are_enlarged() -> None:
    import base64
    import io

    from PIL import Image

    address = address_of(numpy.array([[[0], [255]]], dtype=numpy.uint8))
    image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert image.size == (96, 48)
    assert (image.getpixel((47, 0)), image.getpixel((48, 0))) == (0, 255)


def test_names_of_classes_in_one_place_do_not_lie_on_one_another() -> None:
    together = numpy.array([[0.0, 0.0], [0.0, 0.01], [4.0, 4.0]])
    answer = replace(
        some_embedding(), places={"teacher": together}, labels=numpy.array([0, 1, 2]), shared={},
        class_names=["shirt", "coat", "bag"], said={"teacher": numpy.array([0, 1, 2])},
    )  # fmt: skip
    figure = embedding.draw(answer, dark=False)
    shifts = {text.text: text.yshift for text in figure.layout.annotations if text.xref == "x"}
    assert shifts == {"<b>shirt</b>": 0, "<b>coat</b>": embedding.LINE, "<b>bag</b>": 0}


def test_nearness_follows_the_temperature() -> None:
    answer = replace(
        some_dark_knowledge(), nearness={"student": 0.0}, nearness_of="correlation of the likenesses at T = 4"
    )
    assert dark_knowledge.nearness(answer) == [
        ({"student": 0.5}, "correlation of the likenesses at T = 1"),
        ({"student": -0.25}, "correlation of the likenesses at T = 4"),
    ]
