"""Layers are paired by resolution first, by depth second."""

from __future__ import annotations

import pytest

from kdcore.pairing import PairingError, automatic, named

STUDENT = [(8, 16, 16), (16, 8, 8), (32, 4, 4)]
TEACHER = [(16, 16, 16), (16, 16, 16), (32, 8, 8), (32, 8, 8), (64, 4, 4)]


def test_each_student_layer_gets_the_deepest_teacher_layer_of_its_resolution() -> None:
    found = automatic("each", "middle", student=STUDENT, teacher=TEACHER)
    assert found.pairs == ((0, 1), (1, 3), (2, 4))
    assert "same resolution" in found.why


def test_without_a_common_resolution_depth_decides() -> None:
    found = automatic("each", "middle", student=STUDENT, teacher=[(9, 7, 7), (9, 5, 5), (9, 3, 3)])
    assert found.pairs == ((0, 0), (1, 1), (2, 2))
    assert "same relative depth" in found.why


def test_one_pair_is_the_middle_or_the_last() -> None:
    assert automatic("one", "middle", student=STUDENT, teacher=TEACHER).pairs == ((1, 3),)
    assert automatic("one", "last", student=STUDENT, teacher=TEACHER).pairs == ((2, 4),)


def test_layers_without_a_plane_go_by_depth() -> None:
    flat = [(64, 1, 1)]
    assert automatic("each", "middle", student=flat, teacher=[(32, 8, 8), (64, 4, 4)]).pairs == ((0, 1),)
    deep = [(64, 1, 1)] * 4
    assert automatic("each", "middle", student=deep, teacher=deep).pairs == ((0, 0), (1, 1), (2, 2), (3, 3))


def test_all_means_every_layer_with_every_layer() -> None:
    assert len(automatic("all", "middle", student=STUDENT, teacher=TEACHER).pairs) == 15


def test_a_named_pairing_is_checked() -> None:
    assert named("each", [(0, 4), (2, 0)], student=STUDENT, teacher=TEACHER).pairs == ((0, 4), (2, 0))
    with pytest.raises(PairingError, match="student layer 3: the student has layers 0 to 2"):
        named("each", [(3, 0)], student=STUDENT, teacher=TEACHER)
    with pytest.raises(PairingError, match="teacher layer 5"):
        named("one", [(0, 5)], student=STUDENT, teacher=TEACHER)
    with pytest.raises(PairingError, match="one pair"):
        named("one", [(0, 0), (1, 1)], student=STUDENT, teacher=TEACHER)
    with pytest.raises(PairingError, match="compares outputs"):
        named("nothing", [(0, 0)], student=STUDENT, teacher=TEACHER)
