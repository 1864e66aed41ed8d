"""What no run should have, and some have: one class only, one picture, layers that do not fit. Every probe answers or
says why not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, replace

import numpy
import pytest
import torch

from kdcore.catalog import PROBES
from kdcore.dataset import Data, Split
from kdcore.probe import ProbeError
from kdcore.revive import Revived

Given = Callable[..., Revived]
LONG = ("concepts", "loss_plane", "loss_line", "conventions")
"""Probes that take seconds; they are asked with their least."""


def of_class(split: Split, label: int) -> Split:
    return split.of((split.truth == label).nonzero().flatten())


def first(split: Split) -> Split:
    return split.of(torch.tensor([0]))


def every(data: Data, change: Callable[[Split], Split]) -> Data:
    return replace(
        data, train=change(data.train), teacher_train=change(data.teacher_train), validation=change(data.validation),
        test=change(data.test),
    )  # fmt: skip


def least(key: str) -> dict[str, object]:
    """The settings that make a probe quick."""
    knobs = PROBES[key].knobs
    return {
        name: knobs[name].low for name in ("grid", "points", "inputs", "samples") if name in knobs and key in LONG
    }  # fmt: skip


def answered_or_said(key: str, moment: Revived, **settings: object) -> None:
    try:
        answer = PROBES[key](**{**least(key), **settings}).ask(moment)
    except ProbeError as error:
        said = str(error)
    else:
        said = answer.says
        arrays = [
            item
            for entry in fields(answer)
            if not entry.name.startswith("lines")  # a NaN row ends each line
            for item in _items(getattr(answer, entry.name))
        ]
        assert not [item for item in arrays if numpy.isinf(item.astype(float)).any()]
    assert len(said) < 600
    assert "\n" not in said
    assert not re.search(r"\b(nan|inf)\b", said)


def _items(value: object) -> list[numpy.ndarray]:
    values = value.values() if isinstance(value, dict) else [value]
    return [item for item in values if isinstance(item, numpy.ndarray)]


@pytest.mark.parametrize("key", sorted(PROBES))
def test_one_class_only(key: str, revived: Given) -> None:
    for kind in (("pictures", "kd"), ("points",)):
        moment = revived(*kind)
        label = int(moment.data.test.truth[0])
        answered_or_said(key, replace(moment, data=every(moment.data, lambda split, one=label: of_class(split, one))))


@pytest.mark.parametrize("key", sorted(PROBES))
def test_one_picture_only(key: str, revived: Given) -> None:
    moment = revived("pictures", "fitnet")
    answered_or_said(key, replace(moment, data=every(moment.data, first)))


@pytest.mark.parametrize("key", sorted(key for key, probe in PROBES.items() if "student_layer" in probe.knobs))
def test_layers_of_unlike_shapes(key: str, revived: Given) -> None:
    moment = revived("pictures", "kd", student={"is": "mlp", "width": 6}, teacher={"is": "plain", "width": 6})
    for student in (-1, 0, 1):
        answered_or_said(key, moment, student_layer=student, teacher_layer=0)
    with pytest.raises(ProbeError, match=r"_layer=99|more than two dimensions"):
        PROBES[key](teacher_layer=99, student_layer=0).ask(moment)
