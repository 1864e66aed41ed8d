"""What is kept for the next question: the same numbers as computed anew, and nobody changes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch

from kdcore import beside
from kdcore.beside import see, seen_anew, sides, view_logits
from kdcore.recalled import Recalled, network_key, size_of, tensors_key
from kdcore.revive import Revived

Given = Callable[..., Revived]


def test_the_teacher_is_looked_at_once_over_a_film(revived: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def counted(moment: Revived, view: str, images: torch.Tensor) -> Any:
        looked.append(view)
        return seen_anew(moment, view, images)

    monkeypatch.setattr(beside, "seen_anew", counted)
    for last in (-1, -2):
        moment = revived("pictures", "kd", last=last)
        who = sides(moment)
        who.look(moment.data.validation)
    assert looked.count("teacher") == 1
    assert looked.count("student") == 2, "it has other weights at another moment"


def test_what_a_view_says_is_kept_under_its_weights_and_the_pictures(revived: Given) -> None:
    moment = revived("pictures", "kd")
    images = moment.data.validation.images[:5]
    first = see(moment, "student", images)
    assert see(moment, "student", images.clone()) is first
    assert see(moment, "baseline", images) is not first
    assert see(moment, "student", images[:4]) is not first
    assert view_logits(moment, "student", images) is not first.logits
    before = network_key(moment, "student")
    weight = next(moment.networks["student"].parameters())
    held = weight.clone()
    with torch.no_grad():
        weight.flatten()[0] += 1.0
    assert network_key(moment, "student") != before
    assert not torch.equal(see(moment, "student", images).logits, first.logits)
    with torch.no_grad():
        weight.copy_(held)
    assert network_key(moment, "student") == before
    assert see(moment, "student", images) is first


def test_keys_tell_numbers_shapes_and_kinds_apart() -> None:
    one = torch.arange(6.0)
    keys = [one, one.view(2, 3), one.double(), one + 1, one[:0], one.view(2, 3).T]
    assert len({tensors_key(key) for key in keys}) == len(keys)
    assert tensors_key(one) == tensors_key(one.clone())
    assert tensors_key(torch.tensor(3.0)) != tensors_key(torch.tensor([3.0]))


def test_the_least_recently_asked_goes_first_and_what_is_too_large_is_not_kept() -> None:
    kept = Recalled(room=4 * 10 * 4)
    ten = torch.zeros(10)
    assert size_of({"a": [ten, numpy.zeros(5)]}) == 40 + 40
    for name in ("a", "b", "c", "d"):
        kept((name,), ten.clone)
    first = kept(("a",), lambda: pytest.fail("it is kept"))
    kept(("e",), ten.clone)
    assert ("b",) not in kept
    assert kept(("a",), lambda: pytest.fail("it is kept")) is first
    kept(("large",), lambda: torch.zeros(30))
    assert ("large",) not in kept
    assert len(kept) == 4
    kept.forget()
    assert len(kept) == 0
