"""Response methods: the numbers of their sources' code, and what the formulas promise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from kdcore.methods.dist import disagreement
from kdcore.methods.dkd import label_or_not, log_kl, split_by_label
from kdcore.methods.tfkd_reg import virtual_teacher
from kdcore.methods.wsld import teachability
from kdcore.response import soft_kl

from .fixture import ZS, ZT, Y, batch_of, loss, made, saw

LOGITS = saw(), saw(logits=ZT)
SHIFT = torch.tensor([[3.0], [-7.0], [0.5], [40.0]], dtype=torch.float64)
SCALE = torch.tensor([[3.0], [0.1], [0.5], [40.0]], dtype=torch.float64)

GOLDENS = [
    ("tfkd_reg", {}, 4.357106969),
    ("tfkd_reg", {"form": "repo"}, 0.182272102),
    ("dkd", {}, 42.12077092),
    ("dkd", {"beta": 0.0}, 0.8626053414),
    ("dkd", {"alpha": 0.0, "beta": 1.0}, 5.157270698),
    ("dist", {"temperature": 1.0}, 2.338062991),
    ("dist", {}, 41.30889682),
    ("ls_kd", {}, 0.9895823095),
    ("ls_kd", {"spread": "paper"}, 1.225957775),
    ("wsld", {}, 3.108186232),
]


def value(key, student=LOGITS[0], teacher=LOGITS[1], labels=Y, **settings):
    return loss(made(key, student, teacher, **settings)(student, teacher, batch_of(labels)))


@pytest.mark.parametrize(("key", "settings", "golden"), GOLDENS)
def test_the_mean_of_the_terms_is_the_golden(key, settings, golden):
    assert value(key, **settings).item() == pytest.approx(golden, rel=1e-7)


def test_the_virtual_teacher_softens_as_paper_and_code_say():
    virtual = virtual_teacher(Y, classes=5, correct=0.99, dtype=torch.float64)
    assert (virtual / 20).softmax(dim=1)[0, 0].item() == pytest.approx(0.2521414435, rel=1e-9)
    assert (virtual.exp() / 20).softmax(dim=1)[1, 1].item() == pytest.approx(0.208017125, rel=1e-8)


@pytest.mark.parametrize("key", ["dkd", "dist", "ls_kd", "wsld", "tfkd_reg", "hard_label_kd"])
def test_a_constant_added_to_all_logits_of_an_image_is_not_seen(key):
    before = value(key)
    torch.testing.assert_close(value(key, saw(logits=ZS + SHIFT)), before, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(value(key, teacher=saw(logits=ZT - SHIFT)), before, rtol=1e-9, atol=1e-12)


def test_ls_kd_does_not_see_how_loud_either_side_is_and_kd_does():
    torch.testing.assert_close(value("ls_kd", saw(logits=ZS * SCALE)), value("ls_kd"), rtol=1e-6, atol=0)
    torch.testing.assert_close(value("ls_kd", teacher=saw(logits=ZT * SCALE)), value("ls_kd"), rtol=1e-6, atol=0)
    assert (value("kd", saw(logits=ZS * SCALE)) - value("kd")).abs() > 0.1


def test_dist_sees_neither_scale_nor_shift_of_the_probabilities():
    ours, theirs = ZS.softmax(dim=1), ZT.softmax(dim=1)
    for dim in (0, 1):
        lines = zip(ours.unbind(1 - dim), theirs.unbind(1 - dim), strict=True)
        right = 1.0 - torch.stack([torch.corrcoef(torch.stack(line))[0, 1] for line in lines])
        torch.testing.assert_close(disagreement(ours, theirs, dim=dim).sum(dim=dim), right)
        torch.testing.assert_close(disagreement(ours * 3.0 + 7.0, theirs, dim=dim).sum(dim=dim), right)
    assert 0 <= value("dist") <= 2 * 2 * 16


def test_dist_of_what_is_constant_on_both_sides_is_nothing_and_on_one_side_half():
    flat = torch.zeros(4, 5, dtype=torch.float64)
    assert value("dist", saw(logits=flat), saw(logits=flat)).item() == 0.0
    assert value("dist", saw(logits=flat), temperature=1.0).item() == pytest.approx(0.5 + 0.5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_soft_targets_fall_apart_into_the_two_terms_of_dkd(temperature):
    ours, theirs = (split_by_label(side / temperature, Y) for side in (ZS, ZT))
    binary = log_kl(label_or_not(*ours), label_or_not(*theirs))
    ranking = log_kl(ours[1].log_softmax(dim=1), theirs[1].log_softmax(dim=1))
    doubt = 1.0 - (ZT / temperature).softmax(dim=1).gather(1, Y.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(soft_kl(ZS, ZT, temperature), temperature**2 * (binary + doubt * ranking))


def test_the_ranking_of_dkd_does_not_see_the_labels_own_logit():
    moved = ZS.scatter_add(1, Y.unsqueeze(1), torch.full((4, 1), 5.0, dtype=torch.float64))
    method = made("dkd", *LOGITS)
    before, after = (method(saw(logits=side), LOGITS[1], batch_of(Y)) for side in (ZS, moved))
    torch.testing.assert_close(after["ranking"], before["ranking"])
    assert ((after["label"] - before["label"]).abs() > 1e-3).all()


def test_two_classes_have_no_ranking():
    student, teacher = saw(logits=ZS[:, :2]), saw(logits=ZT[:, :2])
    terms = made("dkd", student, teacher)(student, teacher, batch_of(Y % 2))
    assert terms["ranking"].tolist() == [0.0] * 4
    torch.testing.assert_close(terms["label"], soft_kl(ZS[:, :2], ZT[:, :2], 4.0))


def test_dkd_rises_over_its_warmup():
    method = made("dkd", *LOGITS, warmup=0.5)
    found = [loss(method(*LOGITS, replace(batch_of(Y), progress=progress))).item() for progress in (0.0, 0.25, 0.5, 1)]
    assert found == pytest.approx([0.0, 42.12077092 / 2, 42.12077092, 42.12077092], rel=1e-7)


def test_dkd_gives_a_finite_gradient_where_the_student_is_sure():
    logits = torch.tensor([[400.0, 0.0, 0.0], [-400.0, 0.0, 0.0]], requires_grad=True)
    student, teacher = saw(logits=logits), saw(logits=torch.tensor([[0.0, 1.0, 2.0], [3.0, 1.0, 2.0]]))
    loss(made("dkd", student, teacher)(student, teacher, batch_of(torch.tensor([0, 0])))).backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("key", ["tfkd_reg", "dkd", "wsld"])
def test_withheld_labels_do_not_count(key):
    method = made(key, *LOGITS)
    whole = method(*LOGITS, batch_of(Y))
    part = method(*LOGITS, batch_of(torch.tensor([0, -1, 2, -1])))
    none = method(*LOGITS, batch_of(torch.full((4,), -1)))
    for name, term in part.items():
        assert term[[1, 3]].tolist() == [0.0, 0.0]
        assert term.mean().item() == pytest.approx(whole[name][[0, 2]].mean().item(), rel=1e-12)
        assert none[name].tolist() == [0.0] * 4


def test_a_virtual_teacher_that_knows_nothing_is_uniform_soft_targets():
    uniform = soft_kl(ZS, torch.zeros_like(ZS), 20.0).mean()
    torch.testing.assert_close(value("tfkd_reg", correct=0.2), uniform, rtol=1e-6, atol=0)


def test_at_temperature_one_teacher_free_kd_mixed_with_cross_entropy_is_smoothing_over_the_wrong_classes():
    share, correct = 0.6, 0.9
    leaf, other = (ZS.clone().requires_grad_() for _ in range(2))
    virtual = value("tfkd_reg", saw(logits=leaf), temperature=1.0, correct=correct)
    ((1 - share) * F.cross_entropy(leaf, Y) + share * virtual).backward()
    value("label_smoothing", saw(logits=other), variant="km1", smoothing=share * (1 - correct)).backward()
    torch.testing.assert_close(leaf.grad, other.grad, rtol=1e-6, atol=1e-9)


def test_wsld_counts_an_image_by_how_much_better_the_teacher_fits_it():
    sure = 30 * F.one_hot(Y, 5).double()
    assert teachability(torch.zeros(4, 5).double(), sure, Y).min() > 0.999
    assert teachability(sure, torch.zeros(4, 5).double(), Y).max() < 1e-6
    equal = teachability(ZS, ZS, Y)
    torch.testing.assert_close(equal, torch.full_like(equal, 1 - torch.e**-1), rtol=1e-6, atol=0)


def test_the_weights_of_wsld_are_held_fixed():
    leaf = ZS.clone().requires_grad_()
    value("wsld", saw(logits=leaf)).backward()
    right = 2.0 * teachability(ZS, ZT, Y).unsqueeze(1) * ((ZS / 2).softmax(dim=1) - (ZT / 2).softmax(dim=1)) / 4
    torch.testing.assert_close(leaf.grad, right)


def test_hard_labels_are_cross_entropy_where_the_teacher_is_right():
    right = saw(logits=ZT.scatter(1, Y.unsqueeze(1), 9.0))
    torch.testing.assert_close(value("hard_label_kd", teacher=right), F.cross_entropy(ZS, Y))
    assert (value("hard_label_kd", teacher=saw(logits=right.logits.roll(1, dims=1))) - F.cross_entropy(ZS, Y)).abs() > 0


def test_equal_logits_stay_where_they_are_in_ls_kd():
    student = saw(logits=torch.ones(4, 5, dtype=torch.float64, requires_grad=True))
    value("ls_kd", student).backward()
    assert student.logits.grad.tolist() == [[0.0] * 5] * 4


def test_the_views_show_what_is_compared():
    (ours,), (theirs,) = made("ls_kd", *LOGITS).view(*LOGITS)
    torch.testing.assert_close(ours.std(dim=1), torch.ones(4).double())
    torch.testing.assert_close(soft_kl(ours, theirs, 2.0).mean(), value("ls_kd"))
    (ours,), _ = made("dist", *LOGITS).view(*LOGITS)
    torch.testing.assert_close(ours.sum(dim=1), torch.ones(4).double())
