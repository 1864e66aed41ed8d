"""What is kept of a look at many inputs: bits that say what the values said, and no second look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch

from kdcore import glances
from kdcore.alignment import to_plane
from kdcore.beside import connected, seen_anew, sides
from kdcore.chosen_pictures import choose_pictures, sides_images
from kdcore.glances import added_up, all_off, share_alike
from kdcore.patience import Stopped, told
from kdcore.probes.picture_plane import PicturePlane, axes_through, corners, points_between, shares_of
from kdcore.revive import Revived

Given = Callable[..., Revived]


@pytest.mark.parametrize("plane", [(1, 1), (3, 5), (6, 6), (7, 9), (8, 8)])
def test_bits_say_which_neurons_are_on_however_they_lie_in_memory(plane: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ours, theirs = torch.randn(2, 5, 3, *plane)
    kept = []
    for preacts in (ours, theirs.contiguous(memory_format=torch.channels_last)):
        signs = all_off(5, 3, plane)
        for rows in (slice(0, 2), slice(2, 5)):
            signs.write(rows, preacts[rows])
        assert torch.equal(signs.on(), preacts > 0)
        kept.append(signs)
    chosen = torch.tensor([2, 0, 2])
    assert torch.equal(kept[0].of(chosen).on(), ours[:, chosen] > 0)
    alike = ((ours > 0) == (theirs > 0)).flatten(1).double().mean(dim=1)
    numpy.testing.assert_allclose(share_alike(*kept), alike, atol=1e-7)


@pytest.mark.parametrize("plane", [(4, 4), (2, 8), (8, 8), (1, 1), (3, 5)])
def test_sums_have_the_signs_of_means(plane: tuple[int, int]) -> None:
    torch.manual_seed(0)
    preacts = torch.randn(4, 3, 8, 8)
    assert torch.equal(added_up(preacts, plane) > 0, to_plane(preacts, plane) > 0)


def test_another_layer_and_equal_signs_take_no_further_look(revived: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = revived("pictures", "kd")
    looked: list[int] = []

    def counted(moment: Revived, view: str, images: torch.Tensor) -> Any:
        looked.append(len(images))
        return seen_anew(moment, view, images)

    monkeypatch.setattr(glances, "seen_anew", counted)
    PicturePlane(grid=12).ask(moment)
    assert sum(looked) == 3 * 12 * 12
    PicturePlane(grid=12, shade="signs", student_layer=0, teacher_layer=0).ask(moment)
    pictures = len(moment.data.validation)
    assert sum(looked) == 3 * (12 * 12 + pictures), "the pictures on which partners are chosen are looked at once"
    for student in (0, 1):
        for teacher in (0, 1, 2):
            for shade in ("signs", "decisions"):
                PicturePlane(grid=12, shade=shade, student_layer=student, teacher_layer=teacher).ask(moment)
    assert sum(looked) == 3 * (12 * 12 + pictures)
    PicturePlane(grid=12, picture=5).ask(moment)
    assert sum(looked) == 3 * (2 * 12 * 12 + pictures)


def test_signs_over_a_plane_go_through_the_runs_connector(revived: Given) -> None:
    moment = revived("pictures", "ab")
    answer = PicturePlane(grid=9, shade="signs").ask(moment)
    assert "student through its connector" in answer.title
    who = sides(moment)
    seen = who.look(moment.data.validation, 2)
    places = choose_pictures(moment.data, (-1, -1, -1))
    anchors = corners(sides_images(moment.data, places, "student"), places)
    shares = shares_of(anchors, *axes_through(anchors, 9))
    points = points_between(sides_images(moment.data, places, "student"), shares)
    inputs = points.rows(slice(0, points.count))
    s, t, _ = who.pair(seen, -1, -1)
    found = {part: moment.networks[part].look(inputs) for part in ("student", "teacher")}
    joined = connected(who, found["student"], found["teacher"], (s, t), before_activation=True)
    assert joined is not None
    same = ((joined.student > 0) == (joined.teacher > 0)).flatten(1).float().mean(dim=1)
    numpy.testing.assert_allclose(answer.signs["student"].reshape(-1), same.numpy(), atol=1e-5)


def test_a_look_at_a_plane_says_how_far_it_is_and_can_be_stopped(revived: Given) -> None:
    moment = revived("pictures", "kd")
    shares: list[float] = []

    def waits(share: float) -> None:
        shares.append(share)
        if len(shares) == 2:
            raise Stopped

    with told(waits), pytest.raises(Stopped):
        PicturePlane(grid=40).ask(moment)
    heard = len(shares)
    with told(shares.append):
        PicturePlane(grid=40).ask(moment)
    assert len(shares) - heard >= 3 * 40 * 40 // glances.TOGETHER
    assert max(shares) == 1.0
    assert shares[heard] < 0.1
