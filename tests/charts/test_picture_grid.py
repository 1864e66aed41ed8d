"""Made pictures in rows, each with its words under it."""

from __future__ import annotations

import numpy
import pytest

from app.charts import picture_grid
from kdcore.answers.picture_grid import PictureGrid


def answer(count: int = 14, channels: int = 1) -> PictureGrid:
    pictures = numpy.random.default_rng(0).integers(0, 255, (count, 8, 8, channels), dtype=numpy.uint8)
    shares = numpy.linspace(0.2, 1.0, count, dtype=numpy.float32)
    names = [f"class {number}" for number in range(count)]
    return PictureGrid("Made", "Says 1.", pictures, names, shares, "class that the teacher sees", "how sure it is")


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_picture_has_its_words(channels: int, dark: bool) -> None:
    figure = picture_grid.draw(answer(channels=channels), dark=dark)
    texts = " ".join(note.text for note in figure.layout.annotations)
    assert all(f"class {number} " in texts for number in range(14))
    assert "class that the teacher sees" in texts


def test_the_csv_says_every_picture() -> None:
    lines = list(picture_grid.rows(answer()))
    assert len(lines) == 15
    assert len({len(line) for line in lines}) == 1
