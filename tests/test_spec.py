"""Knobs are checked at the door, and say what would be right."""

from __future__ import annotations

import pytest

from kdcore.spec import KnobError, Spec, knob


class Lamp(Spec):
    """A lamp."""

    bright: float = knob(0.5, 0.0, 1.0, help="How bright.")
    bulbs: int = knob(2, 1, 9, help="How many bulbs.")
    colour: str = knob("white", choices=("white", "red"), help="Which colour.")
    on: bool = knob(True, help="Whether it is on.")


class RedLamp(Lamp):
    """A red lamp."""

    colour = "red"


def test_defaults_are_there_without_settings() -> None:
    assert Lamp().settings() == {"bright": 0.5, "bulbs": 2, "colour": "white", "on": True}


def test_a_subclass_may_give_another_default() -> None:
    assert RedLamp().settings()["colour"] == "red"
    assert RedLamp.knobs["colour"].default == "red"
    assert Lamp.knobs["colour"].default == "white"


def test_own_knobs_come_first_then_those_of_the_nearest_base() -> None:
    class Switched(Lamp):
        """A lamp with a switch."""

        switch: bool = knob(False, help="Whether it has one.")
        bulbs: int = knob(1, 1, 2, help="Fewer bulbs.")

    class Table(Switched):
        """A lamp for a table."""

        high: float = knob(0.4, 0.1, 1.0, help="How high.")
        colour = "red"

    assert list(Table.knobs) == ["high", "switch", "bulbs", "bright", "colour", "on"]
    assert Table().settings()["colour"] == "red"
    assert Table.knobs["bulbs"].high == 2


def test_whole_numbers_pass_for_numbers_and_the_other_way_only_if_whole() -> None:
    assert Lamp(bright=1).bright == 1.0
    assert Lamp(bulbs=3.0).bulbs == 3
    assert isinstance(Lamp(bulbs=3.0).bulbs, int)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bright": 40.0}, r"bright=40.0 lies outside \[0.0, 1.0\]"),
        ({"bright": float("nan")}, "bright=nan is not a finite number"),
        ({"bright": "much"}, "bright='much' is not a number"),
        ({"bright": True}, "bright=True is not a number"),
        ({"bulbs": 1.5}, "bulbs=1.5 is not a whole number"),
        ({"colour": "blue"}, "colour='blue' is none of white, red"),
        ({"on": 1}, "on=1 is not true or false"),
        ({"glow": 1}, "Lamp has no knob 'glow'; there are bright, bulbs, colour, on"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_be_right(settings: dict, words: str) -> None:
    with pytest.raises(KnobError, match=words) as caught:
        Lamp(**settings)
    assert caught.value.knob in settings
