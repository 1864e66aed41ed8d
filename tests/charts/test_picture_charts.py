"""The gallery and the attributions as values: what stands on the page is what the answer said."""

from __future__ import annotations

import base64
import io
import json

import numpy
import pytest
from PIL import Image

from app import theme
from app.charts import attribution, gallery
from kdcore.answers.attribution import Attribution
from kdcore.answers.gallery import Gallery

PARTS = ("teacher", "student", "baseline")


def a_gallery(classes: int = 3) -> Gallery:
    logits = numpy.zeros((2, classes), dtype=numpy.float32)
    logits[0, 0] = numpy.log(4.0)
    return Gallery(
        title="2 pictures",
        says="2 of 9.",
        pictures=numpy.arange(2 * 4 * 4, dtype=numpy.uint8).reshape(2, 4, 4, 1),
        places=[5, 3],
        truth=numpy.array([1, 2], dtype=numpy.int16),
        logits={part: numpy.roll(logits, number, axis=1) for number, part in enumerate(PARTS)},
        divergence=numpy.array([0.5, 0.25], dtype=numpy.float32),
        class_names=[f"class {number}" for number in range(classes)],
        split="validation",
    )


def an_attribution(channels: int = 1) -> Attribution:
    methods = ["Integrated Gradients", "Grad-CAM, last layer"]
    maps = {f"{part}/{method}": numpy.full((4, 4), -2.0) for part in PARTS for method in methods}
    maps["student/Integrated Gradients"] = numpy.linspace(-1.0, 4.0, 16).reshape(4, 4)
    del maps["baseline/Grad-CAM, last layer"]
    return Attribution(
        title="t",
        says="s 1.",
        pictures=dict.fromkeys(PARTS, numpy.full((4, 4, channels), 0.5)),
        said=dict.fromkeys(PARTS, "7 (50 %)"),
        methods=methods,
        maps=maps,
        notes=dict.fromkeys(maps, "stage 3, 2×2"),
        agreement={"student/Integrated Gradients": [0.654, 0.3]},
        completeness={part: [1.0, 1.0] for part in PARTS},
        explained="7",
        class_names=["7", "8"],
    )


def test_cards_say_who_says_what_and_how_surely() -> None:
    packed = gallery.packed(a_gallery())
    json.dumps(packed, allow_nan=False)
    first = packed["cards"][0]
    assert (first["place"], first["said"]) == (5, {"teacher": 0, "student": 1, "baseline": 2})
    assert "truth class 1: teacher class 0 (67 %), student class 1 (67 %)" in first["about"]
    assert first["measure"] == "KL 0.50"
    assert [part["colour"] for part in packed["parts"]] == [theme.COLOURS[part] for part in PARTS]
    assert first["logits"]["student"] == pytest.approx([0.0, numpy.log(4.0), 0.0], abs=1e-4)


def test_pictures_come_back_pixel_by_pixel() -> None:
    address = gallery.packed(a_gallery())["cards"][1]["picture"]
    kind, data = address.split(",")
    assert kind == "data:image/png;base64"
    pixels = numpy.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    numpy.testing.assert_array_equal(pixels, a_gallery().pictures[1, ..., 0])
    assert gallery.png(numpy.zeros((4, 4, 3), dtype=numpy.uint8)).startswith("data:image/png")


def test_of_many_classes_the_likely_ones_have_bars() -> None:
    card = gallery.packed(a_gallery(classes=100))["cards"][0]
    assert len(card["classes"]) == gallery.CLASSES
    assert {0, 1, 2} <= set(card["classes"])
    assert card["classes"] == sorted(card["classes"])


def test_softmax_is_warmed_and_survives_large_logits() -> None:
    numpy.testing.assert_allclose(gallery.softmax(numpy.array([0.0, numpy.log(4.0)]), 2.0), [1 / 3, 2 / 3])
    assert numpy.isfinite(gallery.softmax(numpy.array([0.0, 5000.0]))).all()


def test_other_pictures_are_another_gallery() -> None:
    other = Gallery(**{**vars(a_gallery()), "places": [5, 4]})
    assert gallery.packed(a_gallery())["about"] == gallery.packed(a_gallery())["about"]
    assert gallery.packed(other)["about"] != gallery.packed(a_gallery())["about"]


@pytest.mark.parametrize("dark", [False, True])
def test_each_map_has_its_own_strength_and_says_logits(dark: bool) -> None:
    figure = attribution.draw(an_attribution(), dark=dark)
    maps = {trace.name: trace for trace in figure.data if "/" in trace.name}
    assert len(maps) == 5
    ours = maps["student/Integrated Gradients"]
    assert numpy.max(ours.z) == 1.0
    assert numpy.min(ours.z) == pytest.approx(-0.25)
    assert numpy.max(ours.customdata) == 4.0
    assert (ours.zmin, ours.zmax) == (-1.0, 1.0)
    assert [trace.showscale for trace in maps.values()].count(True) == 1
    assert all(axis.autorange == "reversed" for axis in figure.select_yaxes()), "the first row of pixels on top"
    assert "logits" in ours.hovertemplate


def test_agreement_stands_over_the_map_and_what_is_missing_is_said() -> None:
    texts = [text.text for text in attribution.draw(an_attribution(), dark=False).layout.annotations]
    assert "<b>agrees 65 %</b><br>stage 3, 2×2" in texts
    assert "none" in texts
    assert any("the same everywhere" in text for text in texts), "a map that cannot be compared"
    assert any("says 7 (50 %)" in text for text in texts)


def test_pictures_in_colour_are_drawn_in_colour() -> None:
    figure = attribution.draw(an_attribution(channels=3), dark=False)
    assert [trace.type for trace in figure.data].count("image") == 3


@pytest.mark.parametrize(
    ("chart", "answer", "count"), [(gallery, a_gallery(), 6), (attribution, an_attribution(), 5 * 16)]
)
def test_the_csv_has_names_and_every_value(chart: object, answer: object, count: int) -> None:
    names, *lines = chart.rows(answer)  # type: ignore[attr-defined]
    assert len(lines) == count
    assert {len(line) for line in lines} == {len(names)}
