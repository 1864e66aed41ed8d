"""A gallery as a scheme shows it: pictures in rows, under each what every network says of it."""

from __future__ import annotations

import numpy
import pytest

from app import theme
from app.chart import charts
from app.charts import gallery
from kdcore.answers.gallery import Gallery


def answer(count: int = 7, size: tuple[int, int] = (8, 8), parts: tuple[str, ...] = ("teacher", "student")) -> Gallery:
    draws = numpy.random.default_rng(0)
    logits = {part: draws.normal(size=(count, 3)).astype(numpy.float32) for part in parts}
    for number in range(count):
        logits[parts[0]][number, number % 3] = 9.0
    return Gallery(
        "Seen", "Says 1.", draws.integers(0, 255, (count, *size, 1), dtype=numpy.uint8), list(range(count)),
        numpy.full(count, -1, dtype=numpy.int16), logits, numpy.ones(count, dtype=numpy.float32),
        ["cat", "dog", "emu"], "validation",
    )  # fmt: skip


@pytest.mark.parametrize("dark", [True, False])
def test_under_each_picture_stands_what_each_network_says_in_its_colour(dark: bool) -> None:
    figure = gallery.draw(answer(), dark=dark)
    *words, foot = [note.text for note in figure.layout.annotations]
    assert len(words) == 7
    for number, text in enumerate(words):
        assert text.startswith(f"<span style='color:{theme.COLOURS['teacher']}'>{['cat', 'dog', 'emu'][number % 3]} · ")
        assert f"<br><span style='color:{theme.COLOURS['student']}'>" in text
    assert "the teacher" in foot
    assert "the student" in foot
    assert "truth: unknown" in figure.data[1].text[0]


def test_wide_pictures_stand_fewer_in_a_row_and_keep_their_shape() -> None:
    square, wide = (gallery.draw(answer(24, size), dark=False) for size in ((8, 8), (8, 17)))
    across = [len(set(figure.data[1].x)) for figure in (square, wide)]
    assert across[0] == 12
    assert across[1] == 6
    high = [figure.layout.meta["aspect"] * count / rows - 0.55 * count / 12 for figure, count, rows in
            ((square, 12, 2), (wide, 6, 4))]  # fmt: skip
    assert high == pytest.approx([0.9, 0.9 * 8 / 17]), "a picture's height in widths of its place"


def test_whatever_kind_of_answer_there_is_can_be_drawn() -> None:
    """A scheme may show any of them, as a film on Watch."""
    assert [kind.__name__ for kind, chart in charts().items() if not hasattr(chart, "draw")] == []
