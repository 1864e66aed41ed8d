"""Laws of the folder: a probe answers with what it promises, in a sentence with a number, the same each time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy
import pytest
import torch

from kdcore.answer import Answer, answer_from_bytes
from kdcore.catalog import PROBES
from kdcore.probe import ProbeError
from kdcore.recalled import recalled
from kdcore.revive import Revived

FITS = {
    "fidelity": ("pictures", "kd"),
    "calibration": ("pictures", "kd"),
    "confusion": ("pictures", "kd"),
    "dark_knowledge": ("pictures", "kd"),
    "embeddings": ("pictures", "kd"),
    "conventions": ("pictures", "kd"),
    "feature_maps": ("pictures", "fitnet"),
    "boundaries": ("points",),
    "sign_agreement": ("pictures", "fitnet"),
    "picture_plane": ("pictures", "fitnet"),
    "line_regions": ("pictures", "fitnet"),
    "neuron_agreement": ("pictures", "ab"),
    "sign_flips": ("pictures", "kd"),
    "boundary_distance": ("pictures", "ab"),
    "layer_assignment": ("pictures", "semckd"),
    "disagreements": ("pictures", "kd"),
    "attribution": ("pictures", "kd"),
    "attribution_agreement": ("pictures", "kd"),
    "cka": ("pictures", "fitnet"),
    "suggest_pairs": ("pictures", "fitnet"),
    "loss_line": ("pictures", "kd"),
    "loss_plane": ("pictures", "kd"),
    "concepts": ("shapes", "kd"),
    "channel_partners": ("pictures", "fitnet"),
    "method_view": ("pictures", "at"),
}


def arrays(answer: Answer) -> dict[str, numpy.ndarray]:
    found = {}
    for entry in fields(answer):
        value = getattr(answer, entry.name)
        for name, item in value.items() if isinstance(value, dict) else [("", value)]:
            if isinstance(item, numpy.ndarray):
                found[f"{entry.name}/{name}"] = item
    return found


@pytest.mark.parametrize("key", sorted(PROBES))
def test_answers_as_it_promises_and_the_same_again(key: str, revived: Callable[..., Revived]) -> None:
    moment = revived(*FITS[key])
    answer = PROBES[key]().ask(moment)
    assert type(answer).__name__ == PROBES[key].answers
    assert any(letter.isdigit() for letter in answer.says)
    assert answer.says.endswith(".")
    again = arrays(PROBES[key]().ask(moment))
    for name, values in arrays(answer).items():
        if not name.startswith("lines/"):  # a NaN row ends each line
            assert numpy.isfinite(values).all(), name
        numpy.testing.assert_array_equal(values, again[name])


def numbers(value: Any) -> list[bytes]:
    """Everything in a value that could be changed."""
    if isinstance(value, torch.Tensor):
        return [value.detach().cpu().numpy().tobytes(), str(value.requires_grad).encode()]
    if isinstance(value, numpy.ndarray):
        return [value.tobytes()]
    if isinstance(value, dict):
        return [one for each in value.values() for one in numbers(each)]
    if isinstance(value, list | tuple):
        return [one for each in value for one in numbers(each)]
    if is_dataclass(value) and not isinstance(value, type):
        return [one for entry in fields(value) for one in numbers(getattr(value, entry.name))]
    return [repr(value).encode()]


@pytest.mark.parametrize("key", sorted(PROBES))
def test_a_probe_answers_from_what_is_kept_as_it_does_anew_and_changes_none_of_it(
    key: str, revived: Callable[..., Revived]
) -> None:
    moment = revived(*FITS[key])
    torch.manual_seed(0)
    anew = PROBES[key]().ask(moment).to_bytes()
    kept = {name: numbers(value) for name, (value, _) in recalled._kept.items()}
    torch.manual_seed(0)
    assert PROBES[key]().ask(moment).to_bytes() == anew
    assert {name: numbers(recalled._kept[name][0]) for name in kept} == kept


@pytest.mark.parametrize("key", sorted(PROBES))
def test_nearness_is_a_share_of_student_and_student_alone(key: str, revived: Callable[..., Revived]) -> None:
    answer = PROBES[key]().ask(revived(*FITS[key]))
    assert answer.nearness.keys() <= {"student", "baseline"}
    assert all(0.0 <= share <= 1.0 + 1e-6 for share in answer.nearness.values()), "finite, and a share"
    assert bool(answer.nearness) == bool(answer.nearness_of)
    if answer.nearness:
        assert "student" in answer.nearness


def test_a_teacher_is_as_near_to_itself_as_can_be(revived: Callable[..., Revived]) -> None:
    moment = revived("pictures", "kd")
    moment = dataclasses.replace(
        moment,
        networks={**moment.networks, "student": moment.networks["teacher"]},
    )
    for key in ("fidelity", "dark_knowledge", "embeddings", "line_regions"):
        answer = PROBES[key]().ask(moment)
        assert answer.nearness["student"] == pytest.approx(1.0, abs=1e-3), key
        assert answer.nearness["baseline"] < answer.nearness["student"], key


def test_an_answer_that_was_kept_before_there_was_nearness_can_still_be_read(
    revived: Callable[..., Revived]
) -> None:  # fmt: skip
    kept = PROBES["fidelity"]().ask(revived("pictures", "kd")).to_bytes()
    length = int.from_bytes(kept[:8], "little")
    header = json.loads(kept[8 : 8 + length])
    plain = json.loads(header["__metadata__"]["answer"])
    del plain["nearness"], plain["nearness_of"]
    header["__metadata__"]["answer"] = json.dumps(plain)
    written = json.dumps(header).encode()
    back = answer_from_bytes(len(written).to_bytes(8, "little") + written + kept[8 + length :])
    assert back.says
    assert back.nearness == {}


@pytest.mark.parametrize("key", sorted(PROBES))
def test_comes_back_from_its_file_as_it_was(key: str, revived: Callable[..., Revived]) -> None:
    answer = PROBES[key]().ask(revived(*FITS[key]))
    back = answer_from_bytes(answer.to_bytes())
    assert type(back) is type(answer)
    for entry in fields(answer):
        if not arrays(answer).keys() & {f"{entry.name}/{name}" for name in ("", *_names(answer, entry.name))}:
            assert getattr(back, entry.name) == getattr(answer, entry.name)
    for name, values in arrays(answer).items():
        numpy.testing.assert_array_equal(values, arrays(back)[name])


@pytest.mark.parametrize("key", sorted(PROBES))
def test_can_be_asked_before_anyone_was_taught_or_says_why_not(key: str, revived: Callable[..., Revived]) -> None:
    moment = revived(*FITS[key], last=0)
    assert moment.lessons == []
    if key in ("layer_assignment", "method_view"):
        with pytest.raises(ProbeError, match="nobody was taught"):
            PROBES[key]().ask(moment)
    else:
        assert PROBES[key]().ask(moment).says


def test_a_file_that_holds_no_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="no answer"):
        answer_from_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")


def _names(answer: Answer, name: str) -> list[str]:
    value = getattr(answer, name)
    return list(value) if isinstance(value, dict) else []
