"""Feature methods: the source's numbers, the identities they rest on, and what each does and does not look at."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from kdcore.fusion import Fusion, enlarged
from kdcore.methods.afd_channel import attended_error, shapes_of
from kdcore.methods.cankd import standardised
from kdcore.methods.ft import factor_error, normalised_factor
from kdcore.methods.mgd import kept
from kdcore.methods.ofd import margin, measured_margin, partial_error
from kdcore.methods.reviewkd import context_error
from kdcore.methods.unikd import gaussian_kl
from kdcore.methods.vid import LEAST, log_scale_of, surprise
from kdcore.recipe import Recipe
from kdcore.rehearsal import rehearse
from kdcore.stage import Losses, set_stage

from .fixture import FS, FS8, FT, METHODS, VS, VT, Y, batch_of, both, fx, loss, made, saw, with_maps

EQUAL = saw(maps=(FS8,)), saw(maps=(FT,))
VECTORS = saw(embedding=VS), saw(embedding=VT)
ROTATION = torch.linalg.qr(fx((6, 6), 1.1, 0.3) + fx((6, 6), 2.3, 0.1) ** 3 + torch.eye(6, dtype=torch.float64)).Q
SCALES = torch.tensor([0.01, 2.0, 5.0, 300.0], dtype=torch.float64)
PLACES = torch.tensor([5, 0, 11, 3, 14, 9, 1, 7, 2, 15, 4, 13, 8, 6, 12, 10])

GOLDENS = [
    ("pkt", {}, VECTORS, 0.1471701028),
    ("pkt", {"reduction": "row"}, VECTORS, 0.5886804112),
    ("cankd", {}, EQUAL, 0.9950650206),
    ("ickd", {}, EQUAL, 1.954420646),
]


def exactly(number: float) -> object:
    return pytest.approx(number, rel=1e-7)


def value(key: str, student, teacher, **settings) -> torch.Tensor:
    return loss(made(key, student, teacher, **settings)(student, teacher, batch_of(Y)))


@pytest.mark.parametrize(("key", "settings", "sides", "golden"), GOLDENS)
def test_the_mean_of_the_terms_is_the_golden(key, settings, sides, golden):
    found = value(key, *sides, **settings)
    assert found.dtype == torch.float64
    assert found.item() == exactly(golden)


@pytest.mark.parametrize(("norm", "golden"), [("whole", 0.1009588475), ("places", 0.02565208425)])
def test_factors_are_compared_as_their_sources_do(norm, golden):
    ours, theirs = normalised_factor(FS8, norm), normalised_factor(FT, norm)
    assert factor_error(ours, theirs).mean().item() == exactly(golden)


def test_the_overhauled_distance_is_the_sources():
    target = FT.clamp(min=-0.25)
    assert (partial_error(FS8, target).sum() / 4).item() == exactly(91.43501307)


def test_ofd_applies_that_distance_with_the_margins_it_measured():
    method = made("ofd", *EQUAL, reduction="sum")
    method.margin0.fill_(-0.25)
    assert loss(method(*EQUAL, batch_of(Y))).item() == exactly(91.43501307)
    mean = made("ofd", *EQUAL)
    mean.margin0.fill_(-0.25)
    assert loss(mean(*EQUAL, batch_of(Y))).item() == exactly(91.43501307 / 128)


@pytest.mark.parametrize(
    ("mean", "deviation", "golden"), [(0.0, 1.0, -0.7978845608), (0.5, 2.0, -1.427107959), (4.0, 1.0, -3.0)]
)
def test_the_margin_is_the_mean_of_what_is_negative(mean, deviation, golden):
    found = margin(torch.tensor(mean, dtype=torch.float64), torch.tensor(deviation, dtype=torch.float64))
    assert found.item() == exactly(golden)


def test_a_measured_margin_is_what_the_negative_values_of_a_channel_come_to():
    draw = torch.Generator().manual_seed(0)
    preact = torch.randn(64, 3, 40, 40, generator=draw) * torch.tensor([1.0, 2.0, 0.5]).view(3, 1, 1)
    preact = preact + torch.tensor([0.3, -1.0, 0.4]).view(3, 1, 1)
    right = [channel[channel < 0].mean().item() for channel in preact.unbind(1)]
    assert measured_margin(preact).tolist() == pytest.approx(right, rel=0.02)


def test_the_margin_of_a_constant_channel_is_finite():
    assert margin(torch.tensor([0.0, 2.0, -2.0]), torch.zeros(3)).tolist() == pytest.approx([0.0, 0.0, -2.0], abs=1e-9)


def test_ofd_lets_the_student_be_where_the_teacher_is_off():
    below = partial_error(torch.tensor([-5.0, -0.5, 0.5, 2.0]), torch.tensor([-0.25, -0.25, -0.25, 1.0]))
    assert below.tolist() == [0.0, 0.0, 0.5625, 1.0]


def test_the_spread_of_vid_starts_as_told():
    assert log_scale_of(5.0) == exactly(4.993229183)
    assert made("vid", *EQUAL).variances()[0].tolist() == pytest.approx([5.0] * 8)
    assert made("vid", *EQUAL, variance=0.3).variances()[0].tolist() == pytest.approx([0.3] * 8)


def test_the_surprise_of_vid_is_the_sources():
    five = torch.full((8,), 5.0, dtype=torch.float64)
    assert surprise(FS8, FT, five).mean().item() == exactly(0.9044633114)
    assert surprise(FT, FT, five).mean().item() == exactly(0.8047189562)


def test_the_best_spread_of_vid_is_the_mean_squared_error():
    spread = (FS8 - FT).square().mean(dim=(0, 2, 3)).requires_grad_()
    surprise(FS8, FT, spread).mean().backward()
    assert spread.grad.abs().max() < 1e-12
    assert LEAST == 1e-5


@pytest.mark.parametrize(
    ("ours", "theirs", "golden"),
    [
        (FS8, FT, 0.6783075413),
        (fx((2, 4, 8, 8), 0.29, 0.1), fx((2, 4, 8, 8), 0.41, 0.6), 0.569782196),
    ],
)
def test_the_context_error_of_reviewkd_is_the_sources(ours, theirs, golden):
    assert context_error(ours, theirs).mean().item() == exactly(golden)
    assert context_error(ours, ours).tolist() == [0.0] * len(ours)


def test_the_weights_of_the_grids_add_up_to_one():
    one = torch.ones(2, 3, 8, 8)
    assert context_error(one, 3 * one).tolist() == pytest.approx([4.0, 4.0])


def test_reviewkd_rises_over_its_warm_up():
    student, teacher, batch = both("reviewkd", 3)
    half = made("reviewkd", student, teacher, warmup=1.0)(student, teacher, batch)["reviewkd"]
    torch.testing.assert_close(half * 2, made("reviewkd", student, teacher)(student, teacher, batch)["reviewkd"])


def test_the_gaussian_divergence_of_unikd_is_the_closed_form():
    theirs, ours = (fx((4, 6), 0.3, 0.1), fx((4, 6), 0.5, 0.2)), (fx((4, 6), 0.7, 0.3), fx((4, 6), 0.9, 0.4))
    assert gaussian_kl(ours, theirs).mean().item() == exactly(6.068921227)
    assert gaussian_kl(ours, ours).abs().max() < 1e-12
    flat = torch.zeros(4, 6, dtype=torch.float64)
    apart = (theirs[0] - ours[0]).square().sum(dim=1) / 2
    torch.testing.assert_close(gaussian_kl((ours[0], flat), (theirs[0], flat)), apart)
    gaussian = torch.distributions.Normal
    right = torch.distributions.kl_divergence(
        gaussian(theirs[0], (theirs[1] / 2).exp()), gaussian(ours[0], (ours[1] / 2).exp())
    )
    torch.testing.assert_close(gaussian_kl(ours, theirs), right.sum(dim=1))


def test_unikd_counts_only_known_labels_and_can_leave_the_answers_alone():
    student, teacher, _ = both("unikd", 4)
    method = made("unikd", student, teacher, logits=0.0)
    terms = method(student, teacher, batch_of(torch.tensor([0, -1, 2, -1])))
    assert set(terms) == {"gaussian", "anchor"}
    assert terms["anchor"][[1, 3]].tolist() == [0.0, 0.0]
    assert method(student, teacher, batch_of(torch.full((4,), -1)))["anchor"].tolist() == [0.0] * 4


def test_evenly_attended_channels_give_the_sources_number():
    even = torch.full((4, 8), 1 / 8, dtype=torch.float64)
    assert attended_error(shapes_of(FS8), shapes_of(FT), even).mean().item() == exactly(0.1242934088)


def test_attention_over_channels_sums_to_one_and_even_attention_is_the_golden():
    method = made("afd_channel", *EQUAL)
    shares = method.attention(EQUAL[1])[0]
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(4, dtype=torch.float64))
    assert shares.std() > 1e-4
    for parameter in method.attentions.parameters():
        nn.init.zeros_(parameter)
    assert loss(method(*EQUAL, batch_of(Y))).item() == exactly(0.1242934088)


@pytest.mark.parametrize("reduction", ["mean", "row"])
def test_pkt_sees_neither_rotation_nor_the_scale_of_an_image(reduction):
    before = value("pkt", *VECTORS, reduction=reduction)
    for changed in (VS @ ROTATION, VS * SCALES.view(4, 1), VS[:, [4, 2, 0, 5, 1, 3]]):
        after = value("pkt", saw(embedding=changed), VECTORS[1], reduction=reduction)
        torch.testing.assert_close(after, before, rtol=1e-4, atol=0.0)  # lengths have a floor of 1e-7 added to them
    assert abs(value("pkt", saw(embedding=VS + 1.0), VECTORS[1], reduction=reduction) - before) > 1e-3 * before


def test_the_rows_of_pkt_are_divergences():
    method = made("pkt", *VECTORS, reduction="row")
    (ours,), (theirs,) = method.view(*VECTORS)
    right = torch.distributions.kl_divergence(
        torch.distributions.Categorical(probs=theirs), torch.distributions.Categorical(probs=ours)
    )
    torch.testing.assert_close(method(*VECTORS, batch_of(Y))["pkt"], right, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("norm", ["whole", "places"])
def test_factors_do_not_show_the_scale_of_an_image(norm):
    scaled = FS8 * SCALES.view(4, 1, 1, 1)
    torch.testing.assert_close(normalised_factor(scaled, norm), normalised_factor(FS8, norm))


def test_the_paraphraser_learns_from_the_teacher_alone_and_the_translator_from_the_factors():
    student, teacher, batch = both("ft", 4, dtype=torch.float64)
    method = made("ft", student, teacher)
    leaf = student.maps[0].clone().requires_grad_()
    terms = method(with_maps(student, leaf), teacher, batch)
    terms["reconstruction"].mean().backward(retain_graph=True)
    assert leaf.grad is None
    assert all(part.grad is None for part in method.translator.parameters())
    assert all(part.grad is not None for part in method.paraphraser.parameters())
    method.zero_grad(set_to_none=True)
    terms["factor"].mean().backward()
    assert leaf.grad.abs().max() > 0
    assert all(part.grad is None for part in [*method.paraphraser.parameters(), *method.rebuilder.parameters()])


@pytest.mark.parametrize("key", [key for key, method in METHODS.items() if method.own_terms])
def test_terms_of_its_own_send_the_student_nothing_and_the_others_do(key):
    student, teacher, batch = both(key, 4, dtype=torch.float64)
    parts = [student.logits, *student.maps, *student.preacts, student.embedding]
    leaves = [part.requires_grad_() for part in parts]
    terms = made(key, student, teacher)(student, teacher, batch)
    assert set(METHODS[key].own_terms) < set(terms)
    for name, term in terms.items():
        found = torch.autograd.grad(term.mean(), leaves, allow_unused=True, retain_graph=True)
        assert (name in METHODS[key].own_terms) == all(gradient is None for gradient in found), name


def test_cankd_starts_as_the_plain_comparison_and_does_not_see_a_channels_shift_or_scale():
    student, teacher = EQUAL
    shifts = torch.arange(8, dtype=torch.float64).view(8, 1, 1)
    torch.testing.assert_close(standardised(FT * (1 + shifts) - 3 * shifts), standardised(FT), rtol=1e-4, atol=1e-4)
    assert value("cankd", saw(maps=(50 * FT * (1 + shifts) + shifts,)), teacher) < 1e-4
    right = 0.5 * (torch.nn.functional.instance_norm(FS8) - torch.nn.functional.instance_norm(FT)).square().mean(
        dim=(1, 2, 3)
    )
    torch.testing.assert_close(made("cankd", student, teacher)(student, teacher, batch_of(Y))["cankd"], right)


def test_cankd_reads_the_teacher_place_by_place():
    student, teacher = EQUAL
    method = made("cankd", student, teacher)
    nn.init.ones_(method.adds[1].weight)
    asked, answers, said = (conv(side) for conv, side in ((method.asks, FS8), (method.answers, FT), (method.says, FT)))
    answers, said = (nn.functional.max_pool2d(side, 2).flatten(2) for side in (answers, said))
    right = torch.zeros(4, 4, 4, 4, dtype=torch.float64)
    for row in range(4):
        for column in range(4):
            for place in range(4):
                alike = (asked[:, :, row, column] * answers[:, :, place]).sum(dim=1, keepdim=True) / 4
                right[:, :, row, column] += alike * said[:, :, place]
    torch.testing.assert_close(method.read(FS8, FT), method.adds(right))


def test_ickd_sees_neither_places_nor_the_scale_but_the_order_of_channels():
    before = value("ickd", *EQUAL)
    moved = FS8.flatten(2)[:, :, PLACES].view_as(FS8)
    torch.testing.assert_close(value("ickd", saw(maps=(moved,)), EQUAL[1]), before)
    torch.testing.assert_close(value("ickd", saw(maps=(FS8 * 17.0,)), EQUAL[1]), before)
    assert value("ickd", saw(maps=(FT.flip(1),)), EQUAL[1]) > 1e-3


@pytest.mark.parametrize(("hides", "shape"), [("channels", (400, 8, 1, 1)), ("places", (400, 1, 4, 4))])
def test_the_mask_hides_the_share_that_it_is_told_and_belongs_to_image_and_moment(hides, shape):
    maps, index = torch.zeros(400, 8, 4, 4), torch.arange(400)
    mask = kept(maps, index, share=0.3, hides=hides, seed=5, moment=7)
    assert mask.shape == shape
    assert mask.mean().item() == pytest.approx(0.7, abs=0.03)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    order = index.flip(0)
    assert torch.equal(kept(maps, order, share=0.3, hides=hides, seed=5, moment=7), mask[order])
    for other in ({"seed": 6, "moment": 7}, {"seed": 5, "moment": 8}):
        assert (kept(maps, index, share=0.3, hides=hides, **other) != mask).float().mean() > 0.2


def test_the_mask_of_mgd_follows_the_seed_and_hides_the_student_not_the_teacher():
    student, teacher, batch = both("mgd", 5)
    first, again = (made("mgd", student, teacher, share=0.5)(student, teacher, batch)["mgd"] for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0.0, atol=0.0)
    whole = made("mgd", student, teacher, share=0.0)
    assert not torch.equal(whole(student, teacher, batch)["mgd"], first)
    rebuilt = whole.generator(whole.connector(student.maps[0]))
    torch.testing.assert_close(
        whole(student, teacher, batch)["mgd"], (rebuilt - teacher.maps[0]).square().mean(dim=(1, 2, 3))
    )


def test_gates_lie_between_nothing_and_all_and_deeper_layers_reach_shallower_ones():
    maps = [fx((2, 4, 8, 8), 0.3, 0.1).float(), fx((2, 6, 4, 4), 0.5, 0.2).float(), fx((2, 8, 1, 1), 0.7, 0.3).float()]
    torch.manual_seed(0)
    fusion = Fusion([4, 6, 8], 5).eval()
    leaves = [layer.requires_grad_() for layer in maps]
    fused = fusion(leaves)
    assert [tuple(layer.shape) for layer in fused] == [(2, 5, 8, 8), (2, 5, 4, 4), (2, 5, 1, 1)]
    reach = torch.autograd.grad(fused[0].sum(), leaves)
    assert all(gradient.abs().max() > 0 for gradient in reach)
    assert torch.autograd.grad(fusion(leaves)[2].sum(), leaves, allow_unused=True)[:2] == (None, None)
    both_ways = torch.zeros(2, 10, 8, 8)
    assert all(0 < share < 1 for share in fusion.gates[0](both_ways).flatten().tolist())


def test_enlarging_repeats_places_as_the_nearest_do():
    small = FS[:, :, :2, :2]
    for plane in ((2, 2), (4, 4), (6, 2)):
        torch.testing.assert_close(enlarged(small, plane), nn.functional.interpolate(small, size=plane, mode="nearest"))
    assert enlarged(small, (3, 3)).shape == (4, 6, 3, 3)
    assert enlarged(FS, (2, 2)).shape == (4, 6, 2, 2)


@pytest.mark.parametrize("key", ["ofd", "vid", "reviewkd", "afd_channel"])
def test_unequal_numbers_of_layers_are_refused(key):
    student, teacher, batch = both(key, 2)
    method = made(key, student, teacher)
    with pytest.raises(ValueError, match="1 student layers stand beside 2 teacher layers"):
        method(with_maps(student, student.maps[0]), teacher, batch)


@pytest.mark.parametrize("key", ["ft", "ofd", "vid", "reviewkd", "cankd", "unikd", "ickd", "afd_channel", "mgd"])
@pytest.mark.parametrize("planes", [(8, 4), (4, 8), (5, 3), (1, 4)])
def test_unequal_planes_are_brought_together(key, planes):
    student, teacher, batch = both(key, 3)
    draw = torch.Generator().manual_seed(1)

    def resized(seen, plane):
        return with_maps(seen, *(torch.rand(3, m.shape[1], plane, plane, generator=draw) for m in seen.maps))

    student, teacher = resized(student, planes[0]), resized(teacher, planes[1])
    method = made(key, student, teacher)
    assert all(term.isfinite().all() for term in method(student, teacher, batch).values())
    ours, theirs = method.view(student, teacher)
    assert [side.shape for side in ours] == [side.shape for side in theirs]


def test_where_channels_agree_there_is_no_connector():
    _, teacher, _ = both("ickd", 2)
    assert not list(made("ickd", teacher, teacher).parameters())
    assert not list(made("cankd", teacher, teacher).connector.parameters())


def test_halves_of_a_normal_have_the_textbook_mean():
    half = margin(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)).item()
    assert half == exactly(-math.sqrt(2 / math.pi))


def small_run(key: str) -> Recipe:
    network = {"is": "plain", "stage_count": 2}
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 200},
            "teacher": {**network, "width": 8},
            "student": {**network, "width": 4},
            "methods": [{"is": "ce"}, {"is": key}],
            "training": {"epochs": 1, "teacher_epochs": 1, "batch": 64},
        }
    )


@pytest.mark.parametrize("key", [key for key, method in METHODS.items() if method.own_terms])
def test_a_rehearsal_does_not_call_terms_of_its_own_silent(key):
    assert not [warning for warning in rehearse(small_run(key)).warnings if warning.startswith(key)]


def test_ofd_measures_the_teacher_as_it_is_when_the_lesson_begins():
    stage = set_stage(small_run("ofd"))
    between = Losses(stage)
    before = between.knowledge("student", "teacher").objective.methods["ofd"].margin0
    with torch.no_grad():
        for parameter in stage.cast["teacher"].parameters():
            parameter.mul_(3.0)
    after = between.knowledge("student", "teacher").objective.methods["ofd"].margin0
    assert (after - before).abs().min() > 1e-3


def test_the_folder_holds_these_methods():
    asked = {"pkt", "ft", "ofd", "vid", "reviewkd", "cankd", "unikd", "ickd", "afd_channel", "mgd"}
    assert asked <= METHODS.keys()
