"""The strip that says how near the networks are to the teacher."""

from __future__ import annotations

import pytest

from app.theme import COLOURS
from app.views.nearness import percent_of, shares, strip


def test_the_teacher_stands_first_and_every_network_has_its_colour() -> None:
    told = strip({"student": 0.8, "baseline": 0.5}, "test pictures answered alike")
    assert told is not None
    assert told["of"] == "test pictures answered alike"
    assert told["networks"] == {
        "teacher": ["Teacher", COLOURS["teacher"]],
        "student": ["Student", COLOURS["student"]],
        "baseline": ["Student alone", COLOURS["baseline"]],
    }


def test_where_nearness_is_no_question_there_is_no_strip() -> None:
    assert strip({}, "") is None


def test_a_place_lies_on_the_strip() -> None:
    assert shares({"student": 1.2, "baseline": -0.1}) == {"student": 1.0, "baseline": 0.0}


@pytest.mark.parametrize(
    ("share", "words"), [(1.0, "100"), (0.9996, "99.9"), (0.995, "99.5"), (0.87, "87"), (0.004, "0")]
)
def test_only_what_is_the_same_is_called_a_hundred(share: float, words: str) -> None:
    assert percent_of(share) == words
