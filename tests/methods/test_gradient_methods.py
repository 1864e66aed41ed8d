"""What the methods of slopes, of parameters and of the sources study compute, against formulas written out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from kdcore.fisher import class_weights, curvature, feature_weights, mean_one
from kdcore.looking import look, look_frozen
from kdcore.methods.sobolev import mixtures
from kdcore.networks.mlp import MLP
from kdcore.networks.plain import Plain
from kdcore.networks.vit import ViT
from kdcore.slopes import slope
from kdcore.vocabulary import Batch, Classifier

from .fixture import VS8, VT, ZS, ZT, Y, batch_of, both, fx, loss, made, saw
from .live import again, with_logits

U = fx((5, 8), 0.45, 0.3)
LOGITS = saw(), saw(logits=ZT)
FEATURES = saw(embedding=VS8), replace(saw(logits=ZT, embedding=VT), classifier=Classifier(U, torch.zeros(5).double()))
EVERY = {"inputs", "classifier", "parameters"}


@pytest.mark.parametrize(
    ("key", "settings", "sides", "golden"),
    [
        ("hsu_logit", {}, LOGITS, 2 * 41.1394652),
        ("hsu_logit_g", {"scale": "fisher"}, LOGITS, 7.091290891),
        ("hsu_logit_full", {}, LOGITS, 1.718870675),
        ("hsu_feat", {}, FEATURES, 7.380739087),
        ("hsu_feat_g", {"scale": "fisher"}, FEATURES, 2.430598116),
        ("hsu_feat_g", {}, FEATURES, 6.673856507),
    ],
)
def test_the_sources_study_gives_its_goldens(key, settings, sides, golden):
    found = loss(made(key, *sides, **settings)(*sides, batch_of(Y)))
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(golden, rel=1e-7)


def test_half_the_forms_are_the_goldens_of_the_expansion():
    assert 0.5 * curvature(ZT, ZS - ZT).mean().item() == pytest.approx(0.8594353376, rel=1e-7)
    half = 0.5 * (class_weights(ZT) * (ZS - ZT).square()).sum(dim=1).mean()
    assert half.item() == pytest.approx(3.545645446, rel=1e-7)
    assert feature_weights(ZT, U)[0].sum().item() == pytest.approx(3.550589684, rel=1e-7)


def test_the_fisher_forms_are_sums_over_gradients_of_log_probabilities():
    logits = ZT.clone().requires_grad_()
    chances = ZT.softmax(dim=1)
    whole = torch.zeros(4, 5, 5, dtype=torch.float64)
    for label in range(5):
        (slopes,) = torch.autograd.grad(logits.log_softmax(dim=1)[:, label].sum(), logits)
        whole += chances[:, label, None, None] * slopes[:, :, None] * slopes[:, None, :]
    change = ZS - ZT
    torch.testing.assert_close(torch.einsum("ni,nij,nj->n", change, whole, change), curvature(ZT, change))
    torch.testing.assert_close(whole.diagonal(dim1=1, dim2=2), class_weights(ZT))
    features = torch.einsum("kd,nkl,le->nde", U, whole, U).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(features, feature_weights(ZT, U))


def test_the_whole_form_is_twice_the_divergence_of_a_small_difference():
    change = 1e-3 * fx((4, 5), 1.1, 0.2)
    divergence = F.kl_div((ZT + change).log_softmax(1), ZT.softmax(1), reduction="none").sum(1)
    torch.testing.assert_close(curvature(ZT, change), 2 * divergence, rtol=3e-3, atol=0.0)


def test_only_the_whole_form_is_blind_to_a_constant_added_to_all_logits():
    shifted = saw(logits=ZS + torch.tensor([[3.0], [-7.0], [0.5], [40.0]], dtype=torch.float64))
    for key, blind in (("hsu_logit", False), ("hsu_logit_g", False), ("hsu_logit_full", True)):
        method = made(key, *LOGITS)
        before, after = (loss(method(side, LOGITS[1], batch_of(Y))).item() for side in (LOGITS[0], shifted))
        assert (abs(after - before) < 1e-9) is blind


def test_weights_of_a_teacher_that_is_sure_vanish_unless_they_are_brought_to_a_mean_of_one():
    sure = 300 * torch.eye(5, dtype=torch.float64)
    assert class_weights(sure).max() < 1e-12
    assert feature_weights(sure, U).max() < 1e-12
    assert torch.equal(mean_one(class_weights(sure)), torch.ones(5, 5).double())
    torch.testing.assert_close(mean_one(class_weights(ZT)).mean(dim=1), torch.ones(4).double())


def test_feature_weights_do_not_drown_in_a_large_common_part_of_the_classifier():
    near = feature_weights(ZT.float(), (U + 1000.0).float())
    torch.testing.assert_close(near, feature_weights(ZT, U).float(), rtol=1e-3, atol=1e-4)


def linear_pair():
    """Two networks that are one matrix: (N, 3) points, C = 4, in float64."""
    torch.manual_seed(0)
    images = torch.randn(6, 3, dtype=torch.float64)
    sides = []
    for _ in range(2):
        matrix = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
        leaf = images.clone().requires_grad_()
        sides.append((matrix, replace(saw(logits=leaf @ matrix.T), inputs=leaf)))
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    return sides, Batch(images, labels, torch.arange(6), 0.3)


def test_slopes_of_linear_networks_are_their_matrices():
    ((ours, student), (theirs, teacher)), batch = linear_pair()
    hot = F.one_hot(batch.labels, 4)
    slopes = [(seen.logits.softmax(1) - hot) @ matrix for matrix, seen in ((ours, student), (theirs, teacher))]
    expected = 0.5 * (slopes[0] - slopes[1]).square().sum(dim=1)
    torch.testing.assert_close(made("at_grad", student, teacher)(student, teacher, batch)["at_grad"], expected)
    rows = [F.normalize(matrix[batch.labels], dim=1) for matrix in (ours, theirs)]
    expected = 2 - 2 * (rows[0] * rows[1]).sum(dim=1)
    found = made("jacobian_match", student, teacher)(student, teacher, batch)["jacobian_match"]
    torch.testing.assert_close(found, expected)


def test_sobolev_is_on_average_the_squared_difference_of_all_slopes():
    ((ours, student), (theirs, teacher)), batch = linear_pair()

    def jacobian(matrix, seen):
        mean = seen.logits.softmax(1) @ matrix
        return matrix[None] - mean[:, None]

    expected = (jacobian(ours, student) - jacobian(theirs, teacher)).square().sum(dim=(1, 2))
    method = made("sobolev", student, teacher)
    draws = [method(student, teacher, replace(batch, progress=step / 2000))["sobolev"] for step in range(2000)]
    torch.testing.assert_close(torch.stack(draws).mean(dim=0), expected, rtol=0.1, atol=0.0)


def test_mixtures_point_everywhere_alike_and_are_the_same_when_asked_again():
    found = mixtures(torch.arange(20_000), 4, 77)
    assert torch.equal(found, mixtures(torch.arange(20_000), 4, 77))
    assert not torch.equal(found, mixtures(torch.arange(20_000), 4, 78))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(20_000).double())
    assert found.mean(dim=0).abs().max() < 0.02
    torch.testing.assert_close(found.T @ found / 20_000, torch.eye(4).double() / 4, atol=0.02, rtol=0.0)


@pytest.mark.parametrize("key", ["jacobian_match", "lwm"])
def test_a_louder_teacher_is_no_other_teacher(key):
    student, teacher, batch = both(key, 5, dtype=torch.float64)
    method = made(key, student, teacher)
    torch.testing.assert_close(
        method(student, replace(teacher, logits=3.0 * teacher.logits), batch), method(student, teacher, batch)
    )


def test_at_grad_and_sobolev_hear_a_louder_teacher():
    for key in ("at_grad", "sobolev"):
        student, teacher, batch = both(key, 5, dtype=torch.float64)
        louder = replace(teacher, logits=3.0 * teacher.logits)
        before, after = (loss(made(key, student, teacher)(student, one, batch)).item() for one in (teacher, louder))
        assert abs(after - before) > 0.01 * before


@pytest.mark.parametrize("key", ["at_grad", "jacobian_match"])
def test_the_teachers_first_choice_stands_in_for_a_withheld_label(key):
    student, teacher, batch = both(key, 5, dtype=torch.float64)
    method, choice = made(key, student, teacher), teacher.logits.argmax(dim=1)
    withheld = method(student, teacher, replace(batch, labels=torch.full((5,), -1)))[key]
    torch.testing.assert_close(withheld, method(student, teacher, replace(batch, labels=choice))[key])
    named = method(student, teacher, replace(batch, labels=(choice + 1) % 5))[key]
    assert (withheld - named).abs().max() > 0.05 * withheld.max()


def plain(width: int = 4) -> Plain:
    torch.manual_seed(width)
    network = Plain(width=width, stage_count=2)
    network.build((1, 8, 8), 5)
    return network.double().eval()


IMAGES = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()


def test_evidence_in_a_pooled_last_layer_is_the_classifiers_row_on_the_map():
    student, teacher = look(plain(4), IMAGES, EVERY), look_frozen(plain(6), IMAGES, EVERY)
    choice = teacher.logits.argmax(dim=1)
    expected = []
    for seen in (student, teacher):
        cam = torch.einsum("nc,nchw->nhw", seen.classifier.weight[choice], seen.maps[-1]).relu().flatten(1)
        expected.append(F.normalize(cam, dim=1))
    sides = student.of([1]), teacher.of([1])
    found = made("lwm", *sides)(*sides, batch_of(Y))["lwm"]
    torch.testing.assert_close(found, (expected[0] - expected[1]).abs().sum(dim=1))


def test_a_layer_that_the_logits_do_not_come_from_is_refused():
    torch.manual_seed(0)
    network = ViT(depth=1)
    network.build((1, 8, 8), 5)
    seen = look(network, IMAGES.float(), EVERY).of([0])
    with pytest.raises(ValueError, match="copy that the network's logits do not come from"):
        made("lwm", seen, seen)(seen, seen, batch_of(Y))


@pytest.mark.parametrize("key", ["at_grad", "jacobian_match", "sobolev"])
def test_slopes_on_inputs_are_refused_where_nothing_was_kept_or_shapes_differ(key):
    student, teacher, batch = both(key, 4)
    method = made(key, student, teacher)
    with pytest.raises(ValueError, match='reads "inputs"'):
        method(student, replace(teacher, inputs=None), batch)
    with pytest.raises(ValueError, match='reads "inputs"'):
        slope(teacher, teacher.logits.detach().sum(dim=1), teacher.inputs, learning=False)
    other = again(teacher, torch.randn(4, 1, 4, 4))
    with pytest.raises(ValueError, match=r"the student sees inputs of shape \(1, 8, 8\), the teacher of \(1, 4, 4\)"):
        method(student, other, batch)
    assert method.view(replace(student, inputs=None), teacher) is None if key != "sobolev" else True


def test_weight_distance_pulls_by_the_difference_itself():
    student, teacher = look(plain(4), IMAGES, EVERY), look_frozen(plain(4), IMAGES, EVERY)
    other = {name: tensor + 0.25 for name, tensor in teacher.parameters.items()}
    method = made("weight_distance", student, teacher)
    found = method(student, replace(teacher, parameters=other), batch_of(Y))["weight_distance"]
    numbers = sum(tensor.numel() for tensor in other.values())
    torch.testing.assert_close(found, torch.full((4,), 0.5 * 0.25**2 * numbers).double())
    found.mean().backward()
    for tensor in student.parameters.values():
        torch.testing.assert_close(tensor.grad, torch.full_like(tensor, -0.25))


def test_weights_of_unlike_networks_are_refused_by_name_and_shape():
    student, teacher = look(plain(4), IMAGES, EVERY), look_frozen(plain(6), IMAGES, EVERY)
    with pytest.raises(ValueError, match=r"stem.0.0.weight is of shape \(4, 1, 3, 3\) in the student and of shape \(6"):
        made("weight_distance", student, teacher)
    with pytest.raises(ValueError, match="no parameters of its own"):
        made("weight_distance", replace(student, parameters={}), teacher)


@pytest.mark.parametrize("key", ["srrl", "hsu_feat_g"])
def test_a_teacher_without_a_linear_classifier_is_refused(key):
    student, teacher, _ = both(key, 4)
    with pytest.raises(ValueError, match="the teacher has no linear classifier on its embedding"):
        made(key, student, replace(teacher, classifier=None))


def test_srrl_sends_the_students_features_through_the_teachers_classifier():
    student, teacher, batch = both("srrl", 5, dtype=torch.float64)
    method = made("srrl", student, teacher)
    features = method.connector(student.embedding)
    terms = method(student, teacher, batch)
    torch.testing.assert_close(terms["feature"], (features - teacher.embedding).square().mean(1))
    said = features @ teacher.classifier.weight.T + teacher.classifier.bias
    torch.testing.assert_close(terms["regression"], (said - teacher.logits).square().mean(1))


@pytest.mark.parametrize("kind", [Plain, MLP])
def test_the_classifier_that_is_seen_makes_the_logits_of_the_embedding(kind):
    torch.manual_seed(0)
    network = kind()
    network.build((1, 8, 8), 5)
    seen = look(network, IMAGES.float(), EVERY)
    torch.testing.assert_close(F.linear(seen.embedding, *seen.classifier), seen.logits)
    assert dict(seen.parameters) == dict(network.named_parameters())


def test_a_look_without_such_reads_is_a_plain_look_and_a_frozen_one_leaves_no_graph():
    network = plain(4)
    seen = look(network, IMAGES, {"logits", "maps"})
    assert seen.inputs is None
    assert seen.classifier is None
    assert not seen.parameters
    kept = look_frozen(network, IMAGES, {"logits", "classifier", "parameters"})
    assert not kept.logits.requires_grad
    assert not kept.classifier.weight.requires_grad
    live = look_frozen(network, IMAGES, EVERY)
    live.logits.sum().backward()
    assert live.inputs.grad is not None
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())


def test_other_logits_keep_their_slopes_in_this_fixture():
    student, _, _ = both("at_grad", 3)
    moved = with_logits(student, torch.zeros(3, 5))
    assert moved.logits.abs().max() == 0
    torch.testing.assert_close(
        slope(moved, moved.logits[:, 0], moved.inputs, learning=False),
        slope(student, student.logits[:, 0], student.inputs, learning=False),
    )
