"""What a method does not look at may change without changing its loss; what it does look at may not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kdcore.alignment import one_plane

from .fixture import FS, FT, METHODS, VS, VT, ZS, ZT, Y, batch_of, both, fx, loss, made, saw, with_maps

CHANNELS = torch.tensor([4, 2, 0, 5, 1, 3])
ROTATION = torch.linalg.qr(fx((6, 6), 1.1, 0.3) + fx((6, 6), 2.3, 0.1) ** 3 + torch.eye(6, dtype=torch.float64)).Q
TURNED = VS @ ROTATION

MAPS = saw(maps=(FS,)), saw(maps=(FT,))
LOGITS = saw(), saw(logits=ZT)
VECTORS = saw(embedding=VS), saw(embedding=VT)


def before_and_after(key, student, changed, teacher, **settings):
    method = made(key, student, teacher, **settings)
    batch = batch_of(Y)
    return loss(method(student, teacher, batch)), loss(method(changed, teacher, batch))


def check(key, student, changed, teacher, **settings):
    before, after = before_and_after(key, student, changed, teacher, **settings)
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-12)


def check_not(key, student, changed, teacher, **settings):
    before, after = before_and_after(key, student, changed, teacher, **settings)
    assert (after - before).abs() > 1e-4 * before.abs()


SHIFT = torch.tensor([[3.0], [-7.0], [0.5], [40.0]], dtype=torch.float64)


@pytest.mark.parametrize(("key", "settings"), [("kd", {}), ("logit_regression", {"center": True})])
def test_a_constant_added_to_all_logits_of_an_image_is_not_seen(key, settings):
    student, teacher = LOGITS
    check(key, student, saw(logits=ZS + SHIFT), teacher, **settings)
    check(key, teacher, saw(logits=ZT - SHIFT), student, **settings)


def test_uncentred_logit_regression_sees_it():
    check_not("logit_regression", LOGITS[0], saw(logits=ZS + SHIFT), LOGITS[1])


def test_twice_soft_targets_at_an_endless_temperature_are_centred_regression():
    twice = 2 * loss(made("kd", *LOGITS, temperature=20.0)(saw(logits=ZS / 500), saw(logits=ZT / 500), batch_of(Y)))
    centred = loss(made("logit_regression", *LOGITS, center=True)(*LOGITS, batch_of(Y)))
    assert twice.item() * 500**2 == pytest.approx(centred.item(), rel=1e-3)


@pytest.mark.parametrize("key", ["at", "nst", "sp"])
def test_the_order_of_channels_is_not_seen(key):
    check(key, MAPS[0], saw(maps=(FS[:, CHANNELS],)), MAPS[1])


def test_the_order_of_features_is_not_seen_by_rkd():
    check("rkd", VECTORS[0], saw(embedding=VS[:, CHANNELS]), VECTORS[1])


def test_fitnet_sees_the_order_of_channels():
    check_not("fitnet", saw(maps=(FT * 2,)), saw(maps=((FT * 2).flip(1),)), saw(maps=(FT,)))


def test_rkd_sees_neither_rotation_nor_shift_nor_scale():
    check("rkd", VECTORS[0], saw(embedding=TURNED), VECTORS[1])
    check("rkd", VECTORS[0], saw(embedding=VS + 3.0), VECTORS[1])
    check("rkd", VECTORS[0], saw(embedding=VS * 70.0), VECTORS[1])
    check_not("rkd", VECTORS[0], saw(embedding=VS * torch.arange(1, 7)), VECTORS[1])


def test_sp_sees_neither_rotation_nor_scale():
    turned = torch.einsum("nchw,cd->ndhw", FS, ROTATION)
    check("sp", MAPS[0], saw(maps=(turned,)), MAPS[1])
    check("sp", MAPS[0], saw(maps=(FS * 1e-3,)), MAPS[1])
    check_not("sp", MAPS[0], saw(maps=(FS * torch.arange(1, 7).view(6, 1, 1),)), MAPS[1])


def test_at_does_not_see_the_scale_of_an_image():
    check("at", MAPS[0], saw(maps=(FS * torch.tensor([0.01, 2.0, 5.0, 300.0]).view(4, 1, 1, 1),)), MAPS[1])


def test_nst_sees_neither_scale_nor_with_its_default_kernel_sign_of_a_channel():
    scales = torch.tensor([0.1, 2.0, 5.0, 30.0, 1.0, 0.5]).view(6, 1, 1)
    signs = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0, -1.0]).view(6, 1, 1)
    check("nst", MAPS[0], saw(maps=(FS * scales,)), MAPS[1])
    check("nst", MAPS[0], saw(maps=(FS * signs,)), MAPS[1])
    check_not("nst", MAPS[0], saw(maps=(FS * signs,)), MAPS[1], kernel="linear")


def test_ab_sees_only_the_sign_of_the_teacher():
    student, teacher = saw(maps=(FT.flip(0),)), saw(maps=(FT,))
    check("ab", teacher, teacher, student)
    method = made("ab", student, teacher)
    torch.testing.assert_close(
        method(student, saw(maps=(FT * 50,)), batch_of(Y)), method(student, teacher, batch_of(Y))
    )


def test_ab_is_zero_beyond_the_margin_and_has_slope_two_before_it():
    teacher = saw(maps=(torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64).view(1, 4, 1, 1),))
    values = torch.tensor([1.5, 0.25, -1.0, 0.5], dtype=torch.float64, requires_grad=True)
    student = saw(maps=(values.view(1, 4, 1, 1),))
    term = made("ab", student, teacher, reduction="sum")(student, teacher, batch_of(Y[:1]))["ab"]
    term.sum().backward()
    assert term.item() == pytest.approx(0.75**2 + 1.5**2)
    assert values.grad.tolist() == pytest.approx([0.0, -1.5, 0.0, 3.0])


@pytest.mark.parametrize("variant", ["uniform", "km1"])
def test_label_smoothing_does_not_count_withheld_labels(variant):
    student, teacher = LOGITS
    method = made("label_smoothing", student, teacher, variant=variant)
    whole = method(student, teacher, batch_of(Y))["label_smoothing"]
    terms = method(student, teacher, batch_of(torch.tensor([0, -1, 2, -1])))["label_smoothing"]
    assert terms[[1, 3]].tolist() == [0.0, 0.0]
    assert terms.mean().item() == pytest.approx(whole[[0, 2]].mean().item(), rel=1e-12)
    assert method(student, teacher, batch_of(torch.full((4,), -1)))["label_smoothing"].tolist() == [0.0] * 4


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_label_smoothing_is_the_frameworks_own(smoothing):
    found = loss(made("label_smoothing", *LOGITS, smoothing=smoothing)(*LOGITS, batch_of(Y)))
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(ZS, Y, label_smoothing=smoothing))


def test_the_attention_of_at_is_bounded_by_its_plane():
    terms = made("at", *MAPS)(*MAPS, batch_of(Y))["at"]
    assert ((terms >= 0) & (terms <= 2 / 16)).all()


def test_sp_is_bounded_by_the_batch():
    assert 0 <= loss(made("sp", *MAPS)(*MAPS, batch_of(Y))) <= 4 / 4


@pytest.mark.parametrize("number", [1, 2, 7])
@pytest.mark.parametrize("key", ["semckd", "afd_attn"])
def test_attention_sums_to_one_for_any_batch_size(key, number):
    student, teacher, _ = both(key, number)
    attention = made(key, student, teacher).attention(student, teacher)
    ours, theirs = len(student.maps), len(teacher.maps)
    assert attention.shape == ((number, ours, theirs) if key == "semckd" else (number, theirs, ours))
    torch.testing.assert_close(attention.sum(dim=2), torch.ones(attention.shape[:2]))
    assert attention.std() > 0


def test_semckd_with_even_attention_is_the_mean_over_layer_pairs():
    student, teacher, batch = both("semckd", 5, dtype=torch.float64)
    method = made("semckd", student, teacher)
    for embed in method.keys:
        for part in embed.parameters():
            part.data.zero_()
    pairs = zip(*method.view(student, teacher), strict=True)
    errors = torch.stack([(ours - theirs).square().mean(dim=(1, 2, 3)) for ours, theirs in pairs])
    torch.testing.assert_close(method(student, teacher, batch)["semckd"], errors.mean(dim=0))


def test_semckd_in_the_batchs_order_says_which_length_would_fit():
    student, teacher, batch = both("semckd", 5)
    method = made("semckd", student, teacher, row="batch", length=4)
    with pytest.raises(ValueError, match=r"5 pictures.*length=4.*5 or more"):
        method(student, teacher, batch)
    fitting = made("semckd", student, teacher, row="batch", length=8)
    assert fitting(student, teacher, batch)["semckd"].isfinite().all()


@pytest.mark.parametrize("key", ["at", "nst", "ab"])
def test_unequal_numbers_of_layers_are_refused(key):
    student, teacher, batch = both(key, 2)
    method = made(key, student, teacher)
    with pytest.raises(ValueError, match="1 student layers stand beside 2 teacher layers"):
        method(with_maps(student, student.maps[0]), teacher, batch)


@pytest.mark.parametrize("key", ["fitnet", "at", "nst", "ab", "semckd", "afd_attn"])
@pytest.mark.parametrize("planes", [(8, 4), (4, 8), (5, 3), (1, 4)])
def test_unequal_planes_are_brought_together(key, planes):
    student, teacher, batch = both(key, 3)
    draw = torch.Generator().manual_seed(1)

    def resized(seen, plane):
        return with_maps(seen, *(torch.rand(3, m.shape[1], plane, plane, generator=draw) for m in seen.maps))

    student, teacher = resized(student, planes[0]), resized(teacher, planes[1])
    terms = made(key, student, teacher)(student, teacher, batch)
    assert all(term.isfinite().all() for term in terms.values())


@pytest.mark.parametrize("number", [4, 5])
def test_a_larger_plane_is_averaged_down_to_the_smaller(number):
    small, large = FS[:, :, :2, :2], torch.arange(number * number, dtype=torch.float64).view(1, 1, number, number)
    for ours, theirs in (one_plane(small, large), reversed(one_plane(large, small))):
        torch.testing.assert_close(ours, small)
        torch.testing.assert_close(theirs, torch.nn.functional.adaptive_avg_pool2d(large, 2))
    assert [tuple(side.shape[2:]) for side in one_plane(FS[:, :, :1], FT[..., :2])] == [(1, 2), (1, 2)]


@pytest.mark.parametrize("key", ["sp", "rkd"])
def test_the_image_whose_relations_are_wrong_pays_most(key):
    vectors = torch.randn(6, 8, generator=torch.Generator().manual_seed(0)).abs()
    wrong = vectors.clone()
    wrong[3] = vectors[3].flip(0) * 2
    student, teacher = (saw(maps=(side.view(6, 8, 1, 1),), embedding=side) for side in (wrong, vectors))
    for term in made(key, student, teacher)(student, teacher, batch_of(torch.arange(6))).values():
        assert term.argmax() == 3


def test_duplicates_give_rkd_finite_gradients():
    for embedding in (torch.ones(4, 6), torch.cat([VS[:2], VS[:2]]).float()):
        leaf = embedding.clone().requires_grad_()
        student = saw(embedding=leaf)
        loss(made("rkd", student, VECTORS[1])(student, saw(embedding=VT.float()), batch_of(Y))).backward()
        assert leaf.grad.isfinite().all()


def test_rkd_refuses_a_batch_whose_angles_would_fill_the_memory():
    student = saw(embedding=torch.randn(513, 2, generator=torch.Generator().manual_seed(0)))
    batch = batch_of(torch.zeros(513, dtype=torch.long))
    with pytest.raises(ValueError, match=r"513 pictures.*up to 512.*angle=0"):
        made("rkd", student, student)(student, student, batch)
    assert list(made("rkd", student, student, angle=0.0)(student, student, batch)) == ["distance"]


def test_the_view_of_nst_is_what_its_kernel_compares():
    for kernel in ("poly2", "linear"):
        method = made("nst", *MAPS, kernel=kernel)
        (ours,), (theirs,) = method.view(*MAPS)
        torch.testing.assert_close(
            (ours - theirs).square().flatten(1).sum(dim=1), method(*MAPS, batch_of(Y))["nst"], rtol=1e-9, atol=1e-12
        )


def test_a_connector_stands_only_where_channels_differ():
    student, teacher, _ = both("fitnet", 2)
    assert list(made("fitnet", student, teacher).parameters())
    assert not list(made("fitnet", teacher, teacher).parameters())
    assert not list(made("ab", replace(teacher), teacher).parameters())


def test_the_folder_holds_these_methods():
    asked = {"logit_regression", "label_smoothing", "fitnet", "at", "nst", "ab", "semckd", "afd_attn", "rkd", "sp"}
    assert asked <= METHODS.keys()
