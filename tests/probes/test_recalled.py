"""What is kept for the next question: the same numbers as computed anew, and nobody changes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from torch import nn

from kdcore import beside, outputs, recalled
from kdcore.answer import Answer
from kdcore.beside import lots, see, seen_anew, sides, view_logits
from kdcore.fingerprint import weights_key
from kdcore.outputs import some
from kdcore.probe import Probe
from kdcore.probes import calibration, channel_partners, cka, embeddings
from kdcore.probes.calibration import Calibration
from kdcore.probes.channel_partners import ChannelPartners
from kdcore.probes.cka import Cka
from kdcore.probes.embeddings import Embeddings
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


class Still(nn.Module):
    """A weight, and a buffer that no file of weights has."""

    def __init__(self, weight: float = 1.0, kept: float = 2.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight, 0.0]))
        self.register_buffer("kept", torch.tensor(kept), persistent=False)


class Moving(Still):
    """The same numbers, and another kind."""


def test_a_network_is_known_by_its_kind_and_every_number_in_it() -> None:
    networks = (Still(), Still(weight=1.0 + 2**-23), Still(kept=3.0), Still(weight=-1.0), Moving())
    assert len({weights_key(one) for one in networks}) == len(networks)
    assert weights_key(Still()) == weights_key(Still())


def test_how_weights_lie_in_memory_changes_nothing() -> None:
    one = nn.Conv2d(3, 4, 3)
    before = weights_key(one)
    assert weights_key(one.to(memory_format=torch.channels_last)) == before
    assert weights_key(one.to(torch.bfloat16)) != before


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


@pytest.mark.parametrize(
    ("module", "work", "probe", "other", "shared"),
    [
        (channel_partners, "channels", ChannelPartners(), ChannelPartners(picture=1), True),
        (calibration, "fit_temperature", Calibration(), Calibration(bins=10), True),
        (embeddings, "neighbours", Embeddings(inputs=60), Embeddings(inputs=60, way="tsne"), True),
        (cka, "batch_grams", Cka(), Cka(measure="both"), True),
        (cka, "batch_grams", Cka(), Cka(kernel="rbf"), False),
    ],
)
def test_what_a_control_does_not_change_is_computed_once_and_of_the_others_once_over_a_film(
    revived: Given, monkeypatch: pytest.MonkeyPatch, module: Any, work: str, probe: Probe, other: Probe, shared: bool
) -> None:
    done: list[str] = []
    real = getattr(module, work)
    monkeypatch.setattr(module, work, lambda *given, **named: (done.append(work), real(*given, **named))[1])
    moments = [revived("pictures", "kd", last=last) for last in (-1, -2)]
    probe.ask(moments[0])
    assert len(done) == 3, "teacher, student and student alone"
    probe.ask(moments[1])
    assert len(done) == 4, "the student has other weights"
    found = other.ask(moments[0])
    assert len(done) == (4 if shared else 7)
    recalled.recalled.forget()
    assert same(found, other.ask(moments[0])), "what was kept changes nothing"


def same(first: Answer, second: Answer) -> bool:
    return first.to_bytes() == second.to_bytes()


def test_a_tensor_is_read_once_until_something_is_written_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = recalled.tensor_key
    monkeypatch.setattr(recalled, "tensor_key", lambda tensor: (read.append(1), real(tensor))[1])
    one = torch.arange(6.0)
    first = tensors_key(one)
    assert tensors_key(one) == first
    assert len(read) == 1
    one[2] = 7.0
    assert tensors_key(one) != first
    one[2] = 2.0
    assert tensors_key(one) == first
    assert len(read) == 3


def test_some_of_a_split_is_the_same_object_each_time(revived: Given) -> None:
    data = revived("pictures", "kd").data
    assert some(data.test, 20) is some(data.test, 20)
    assert len(some(data.test, 21)) == 21
    assert not torch.equal(some(data.validation, 20).images, some(data.test, 20).images)
    assert some(data.test, len(data.test)) is data.test


def test_lots_are_all_pictures_in_their_order_and_fewer_where_they_are_large(revived: Given) -> None:
    points, pictures = torch.rand(3000, 2), torch.rand(130, 1, 28, 28)
    for images in (points, pictures):
        assert torch.equal(torch.cat(list(lots(images))), images)
    assert len(lots(points)) == len(lots(pictures)) == 3, "1024 points at a time, or 63 pictures"
    assert [len(lot) for lot in lots(torch.zeros(40, 3, 300, 300))] == [16, 16, 8]
    moment = revived("pictures", "kd")
    said = outputs.outputs(sides(moment), moment.data.test)["student"]
    at_once = seen_anew(moment, "student", moment.data.test.images)
    torch.testing.assert_close(said.logits, at_once.logits)
    torch.testing.assert_close(said.embedding, at_once.embedding.flatten(1))
