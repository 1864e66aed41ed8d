"""Each method gives, in float64 on a fixed input, the number that its source's own code gives."""

from __future__ import annotations

import pytest
import torch

from kdcore.methods.semckd import calibrated, calibration

from .fixture import FS, FS8, FT, VS, VT, ZS, ZT, Y, batch_of, fx, loss, made, saw

LOGITS = saw(), saw(logits=ZT)
NARROW = saw(maps=(FS,)), saw(maps=(FT,))
EQUAL = saw(maps=(FS8,)), saw(maps=(FT,))
VECTORS = saw(embedding=VS), saw(embedding=VT)

GOLDENS = [
    ("ce", {}, LOGITS, 2.562972192),
    ("kd", {}, LOGITS, 5.546734264),
    ("kd", {"temperature": 1.0}, LOGITS, 2.655129304),
    ("logit_regression", {}, LOGITS, 16.45578608),
    ("logit_regression", {"form": "half_sum"}, LOGITS, 41.1394652),
    ("label_smoothing", {}, LOGITS, 2.558692033),
    ("label_smoothing", {"variant": "km1"}, LOGITS, 2.557621994),
    ("fitnet", {}, EQUAL, 0.9974435517),
    ("at", {}, NARROW, 0.004811925691),
    ("at", {"form": "paper"}, NARROW, 0.2767284689),
    ("nst", {}, NARROW, 0.4962195116),
    ("nst", {"kernel": "linear"}, NARROW, 0.6297896207),
    ("nst", {"kernel": "gaussian"}, NARROW, 0.2413551271),
    ("ab", {}, EQUAL, 1.520681109),
    ("ab", {"reduction": "sum"}, EQUAL, 194.6471819),
    ("afd_attn", {}, NARROW, 0.004811925691),
    ("rkd", {}, VECTORS, 15.64010972),
    ("rkd", {"distance": 1.0, "angle": 0.0}, VECTORS, 0.1658980049),
    ("rkd", {"distance": 0.0, "angle": 1.0}, VECTORS, 0.2298531919),
    ("sp", {}, NARROW, 0.3322733216),
]  # fmt: skip


@pytest.mark.parametrize(("key", "settings", "sides", "golden"), GOLDENS)
def test_the_mean_of_the_terms_is_the_golden(key, settings, sides, golden):
    found = loss(made(key, *sides, **settings)(*sides, batch_of(Y)))
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(golden, rel=1e-7)


def test_the_assistants_source_takes_the_mean_over_classes_too():
    parts = {key: loss(made(key, *LOGITS)(*LOGITS, batch_of(Y))).item() for key in ("ce", "kd")}
    theirs = 0.5 * parts["ce"] + 0.5 * parts["kd"] / ZS.shape[1]
    assert theirs == pytest.approx(1.836159523, rel=1e-7)


def test_semckd_weighs_layer_pairs_as_its_source_does():
    attention = fx((4, 2, 3), 0.9, 0.2).softmax(dim=2)
    assert calibrated(attention, fx((4, 2, 3), 0.5, 0.3).abs()).mean().item() == pytest.approx(0.7425182037, rel=1e-7)


def test_attention_between_unit_vectors_cannot_exceed_its_bound():
    query = torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)
    keys = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]], dtype=torch.float64)
    assert calibration(query, keys).max().item() == pytest.approx(0.7869860422, rel=1e-7)


def test_shallower_layers_count_half_as_much_in_ab():
    once = loss(made("ab", *EQUAL)(*EQUAL, batch_of(Y)))
    three = saw(maps=(FS8,) * 3), saw(maps=(FT,) * 3)
    assert loss(made("ab", *three)(*three, batch_of(Y))).item() == pytest.approx(1.75 * once.item(), rel=1e-12)


def test_only_the_last_layer_of_ab_counts_fully():
    student = saw(maps=(10 * FT, FS8))  # the shallow layer lies beyond the margin nearly everywhere
    shallow, last = saw(maps=(10 * FT,)), saw(maps=(FS8,))
    teacher, one = saw(maps=(FT, FT)), saw(maps=(FT,))
    found = loss(made("ab", student, teacher)(student, teacher, batch_of(Y)))
    parts = [loss(made("ab", side, one)(side, one, batch_of(Y))) for side in (shallow, last)]
    assert found.item() == pytest.approx(parts[0].item() / 2 + parts[1].item(), rel=1e-12)


def test_the_logits_that_the_goldens_stand_on_are_the_documented_ones():
    assert ZS[0, 0].item() == pytest.approx(3 * 0.0998334166)
