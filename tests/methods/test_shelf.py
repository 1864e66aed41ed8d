"""The last of the shelf: parameter distributions, overlays, the reused classifier, and two views."""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest
import torch
from torch import nn

from kdcore.methods.ig_kd import Retouched, WithOverlays, evidence, integrated_gradients, overlaid
from kdcore.methods.param_distribution_kr import groups_of, histogram
from kdcore.methods.simkd import WithTeacherHead
from kdcore.network import Network, pool
from kdcore.networks.plain import Plain
from kdcore.response import soft_kl
from kdcore.vocabulary import Seen

from .fixture import METHODS, ZS, ZT, Y, batch_of, both, fx, loss, made, saw

# parameter distribution


def weighing(**layers: torch.Tensor) -> Seen:
    return replace(saw(), parameters=layers)


def test_the_histogram_is_a_distribution_that_loses_nothing():
    found = histogram(torch.tensor([0.0, 100.0, -100.0], dtype=torch.float64))
    assert found.shape == (32,)
    assert found.sum().item() == pytest.approx(1.0)
    assert found[0].item() == pytest.approx(found[-1].item())
    assert found[0] > found[15] > found[8]


def test_the_order_of_weights_does_not_matter_and_their_spread_does():
    weights = fx((6, 8), 0.37, 0.2)
    shuffled = weights.flatten()[torch.randperm(48, generator=torch.Generator().manual_seed(0))].view(6, 8)
    student, teacher = (weighing(a=side, bias=torch.ones(3)) for side in (shuffled, weights))
    method = made("param_distribution_kr", student, teacher, sparsity=0.0)
    found = loss(method(student, teacher, batch_of(Y)))
    shares = histogram((weights.flatten() - weights.mean()) / weights.std(unbiased=False))
    torch.testing.assert_close(found, -(shares * shares.log()).sum())
    for other in (2.0 * weights, weights + 0.5):
        assert loss(method(weighing(a=other), teacher, batch_of(Y))) > found + 1e-3


def test_equal_distributions_are_where_it_is_least():
    teacher = weighing(a=fx((6, 8), 0.37, 0.2))
    leaf = teacher.parameters["a"].clone().requires_grad_()
    method = made("param_distribution_kr", teacher, teacher, sparsity=0.0)
    loss(method(weighing(a=leaf), teacher, batch_of(Y))).backward()
    moved = (2.0 * leaf.detach()).requires_grad_()
    loss(method(weighing(a=moved), teacher, batch_of(Y))).backward()
    assert leaf.grad.norm() < 1e-5 * moved.grad.norm()


def test_layers_are_dealt_by_depth_and_networks_of_any_depth_have_partners():
    deep = {f"layer {number}": torch.full((2, 2), float(number)) for number in range(7)}
    groups = groups_of({**deep, "norm": torch.ones(9)}, 3)
    assert [group.unique().tolist() for group in groups] == [[0, 1, 2], [3, 4], [5, 6]]
    student, teacher = weighing(a=fx((3, 2), 0.3, 0.1)), weighing(**{k: v.double() for k, v in deep.items()})
    terms = made("param_distribution_kr", student, teacher)(student, teacher, batch_of(Y))
    assert all(term.isfinite().all() for term in terms.values())


def test_sparsity_is_the_mean_size_in_the_teachers_deviations():
    student, teacher = weighing(a=fx((6, 8), 0.9, 0.1)), weighing(a=3.0 * fx((5, 4), 0.37, 0.2))
    theirs = teacher.parameters["a"]
    right = 0.5 * ((student.parameters["a"] - theirs.mean()) / theirs.std(unbiased=False)).abs().mean()
    terms = made("param_distribution_kr", student, teacher, sparsity=0.5)(student, teacher, batch_of(Y))
    torch.testing.assert_close(terms["sparsity"], right.expand(4))
    assert "sparsity" not in made("param_distribution_kr", student, teacher, sparsity=0.0)(
        student, teacher, batch_of(Y)
    )


def test_an_exit_without_parameters_is_refused():
    with pytest.raises(ValueError, match="an exit of a network has no parameters"):
        made("param_distribution_kr", saw(), weighing(a=torch.ones(2, 2)))


# overlays


class Linear(Network):
    """A linear network: its integrated gradients are known."""

    title = "Linear"
    layers = ("pixels",)

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        """Nothing."""

    def look(self, images: torch.Tensor) -> Seen:
        return Seen(images.flatten(1) @ self.weight.T, (images,), (images,), images.flatten(1))


PICTURES = fx((4, 3, 4, 4), 0.37, 0.2)


def test_integrated_gradients_of_a_linear_network_are_its_weights_times_the_way():
    network = Linear(fx((5, 48), 0.9, 0.3))
    black = torch.tensor([-1.0, -2.0, -0.5], dtype=torch.float64).view(1, 3, 1, 1)
    found = integrated_gradients(network, PICTURES, black, Y, 3)
    torch.testing.assert_close(found, (PICTURES - black) * network.weight[Y].detach().view(4, 3, 4, 4))
    assert not found.requires_grad


def plain(width: int, seed: int = 0, classes: int = 5) -> Plain:
    torch.manual_seed(seed)
    network = Plain(width=width, stage_count=2)
    network.build((3, 8, 8), classes)
    return network


def test_attributions_add_up_to_what_the_logit_gained():
    network, images = plain(8).eval(), fx((4, 3, 8, 8), 0.37, 0.2).float()
    black = images.amin(dim=(0, 2, 3), keepdim=True)
    found = integrated_gradients(network, images, black, Y, 50)
    with torch.no_grad():
        gained = (network(images) - network(black.expand_as(images)))[torch.arange(4), Y]
    torch.testing.assert_close(found.sum(dim=(1, 2, 3)), gained, rtol=0.01, atol=0.01 * gained.abs().max().item())


def test_evidence_lies_between_black_and_white():
    maps = evidence(PICTURES)
    assert maps.shape == (4, 1, 4, 4)
    assert (maps.amin(dim=(2, 3)) == 0).all()
    assert (maps.amax(dim=(2, 3)) == 1).all()
    assert (evidence(torch.ones(2, 3, 4, 4)) == 0).all()
    black, white = (torch.tensor(edge).view(1, 3, 1, 1) for edge in ([-1.0, -2.0, -3.0], [1.0, 2.0, 3.0]))
    shown = overlaid(PICTURES, maps, share=1.0, black=black, white=white)
    assert shown.amin(dim=(0, 2, 3)).tolist() == [-1.0, -2.0, -3.0]
    assert shown.amax(dim=(0, 2, 3)).tolist() == [1.0, 2.0, 3.0]


def dressed(chance: float, images: torch.Tensor) -> tuple[Network, Network, Plain]:
    """A dressed student, its teacher and the student as it was, whose batch norms are still."""
    student, teacher = plain(4, 1), plain(8, 2).eval()
    torch.manual_seed(0)
    found = METHODS["ig_kd"](chance=chance, steps=4).redress(student, student.look(images), teacher, teacher(images))
    found.train()
    student.eval()
    return found, teacher, student


def test_overlaid_pictures_are_drawn_by_chance_and_the_others_stay_as_they_were():
    images = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network, teacher, student = dressed(0.25, images)
    seen = network.look(images)
    assert isinstance(seen, Retouched)
    assert 0.15 < seen.changed.float().mean() < 0.35
    still = ~seen.changed
    torch.testing.assert_close(seen.logits[still], student(images)[still])
    assert (seen.logits[seen.changed] - student(images)[seen.changed]).abs().max() > 1e-3
    again = network.look(images)
    assert not torch.equal(again.changed, seen.changed), "another draw at each step"
    torch.testing.assert_close(seen.before[seen.changed], teacher(images)[seen.changed], rtol=1e-3, atol=1e-4)


def test_the_teacher_is_asked_about_the_overlaid_picture_and_learns_nothing():
    images = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network, teacher, student = dressed(0.5, images)
    before = [part.clone() for part in teacher.state_dict().values()]
    seen = network.look(images)
    method = METHODS["ig_kd"](temperature=2.0)
    told = replace(teacher.look(images).detach())
    term = method(seen, told, batch_of(torch.zeros(40, dtype=torch.long)))["ig_kd"]
    target = torch.where(seen.changed[:, None], seen.taught, told.logits)
    torch.testing.assert_close(term, soft_kl(seen.logits, target, 2.0))
    term.mean().backward()
    assert all(part.grad is None for part in teacher.parameters())
    assert all(torch.equal(old, new) for old, new in zip(before, teacher.state_dict().values(), strict=True))
    assert not teacher.training
    assert any(part.grad is not None and part.grad.abs().max() > 0 for part in student.parameters())


def test_without_overlays_it_is_plain_soft_targets():
    student, teacher = saw(), saw(logits=ZT)
    plainly = made("kd", student, teacher)(student, teacher, batch_of(Y))["kd"]
    torch.testing.assert_close(made("ig_kd", student, teacher)(student, teacher, batch_of(Y))["ig_kd"], plainly)
    assert plainly.mean().item() == pytest.approx(5.546734264)
    network = plain(4)
    assert METHODS["ig_kd"](chance=0.0).redress(network, ZS, network, ZT) is network


def test_a_dressed_student_is_itself_in_evaluation_and_once_deployed():
    images = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network, _, student = dressed(1.0, images)
    assert network.deployed() is student
    assert set(network.state_dict()) == {f"base.{name}" for name in student.state_dict()}, "no teacher in its snapshot"
    assert torch.equal(network.eval()(images), student(images))
    network.train()
    student.eval()
    with torch.no_grad():
        assert torch.equal(network(images), student(images)), "a peer that teaches looks at what it is given"


def test_redressing_twice_does_not_stack():
    images = torch.rand(20, 3, 8, 8)
    network, teacher, student = dressed(1.0, images)
    twice = METHODS["ig_kd"]().redress(network, None, teacher, None)
    assert isinstance(twice, WithOverlays)
    assert twice.base is student


def test_a_teacher_with_a_sensor_of_its_own_is_refused():
    images = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network, teacher, _ = dressed(0.5, images)
    told = teacher.look(3.0 - 5.0 * images).detach()
    with pytest.raises(ValueError, match="a sensor of its own"):
        METHODS["ig_kd"]()(network.look(images), told, batch_of(torch.zeros(40, dtype=torch.long)))


def test_points_have_no_overlays():
    network, *_ = dressed(1.0, torch.rand(4, 3, 8, 8))
    with pytest.raises(ValueError, match="points in a plane have none"):
        network.look(torch.rand(4, 2))


# the reused classifier


def with_head(images: torch.Tensor, **settings: object) -> tuple[WithTeacherHead, Plain, Plain]:
    student, teacher = plain(4, 1).eval(), plain(8, 2).eval()
    torch.manual_seed(0)
    method = METHODS["simkd"](**settings)
    with torch.no_grad():
        found = method.redress(student, student.look(images), teacher, teacher.look(images))
    assert isinstance(found, WithTeacherHead)
    return found, teacher, student


IMAGES = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_teachers_classifier_answers_and_never_learns():
    network, teacher, student = with_head(IMAGES)
    seen = network.look(IMAGES)
    assert seen.maps[-1].shape == teacher.look(IMAGES).maps[-1].shape
    torch.testing.assert_close(seen.embedding, pool(seen.maps[-1]))
    torch.testing.assert_close(seen.logits, teacher.head(seen.embedding))
    seen.logits.sum().backward()
    assert all(part.grad is None for part in network.head.parameters())
    assert all(part.grad is None for part in student.head.parameters()), "the student's own is not used"
    assert all(part.grad is not None for part in network.projector.parameters())
    assert network.head is not teacher.head
    assert len(network.layers) == len(seen.maps) == len(seen.preacts)
    torch.testing.assert_close(seen.preacts[-1].relu(), seen.maps[-1])


def test_features_like_the_teachers_get_the_teachers_answer():
    network, teacher, _ = with_head(IMAGES)
    told = teacher.look(IMAGES)

    class Told(nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return told.maps[-1]

    network.projector = Told()
    torch.testing.assert_close(network(IMAGES), told.logits)


def test_simkd_is_the_mean_squared_error_of_the_projection():
    network, teacher, _ = with_head(IMAGES)
    method = METHODS["simkd"]()
    method.redress(network, network.look(IMAGES), teacher, teacher.look(IMAGES))
    ours, theirs = network.look(IMAGES), teacher.look(IMAGES)
    method.build(ours.of([1]), theirs.of([1]), 10)
    assert not list(method.parameters()), "the projector is the student's"
    right = nn.functional.mse_loss(ours.maps[-1], theirs.maps[-1], reduction="none").mean(dim=(1, 2, 3))
    batch = batch_of(torch.zeros(6, dtype=torch.long))
    torch.testing.assert_close(method(ours.of([1]), theirs.of([1]), batch)["simkd"], right)
    with pytest.raises(ValueError, match="match the last with the last"):
        method(ours.of([1]), theirs.of([0]), batch)


def test_it_is_deployed_whole_and_without_what_others_added():
    network, teacher, _ = with_head(IMAGES)
    assert network.deployed() is network
    overlays = METHODS["ig_kd"](chance=1.0).redress(plain(4, 1).eval(), None, teacher, None)
    method = METHODS["simkd"]()
    with torch.no_grad():
        both_ways = method.redress(overlays, overlays.look(IMAGES), teacher, teacher.look(IMAGES)).eval()
    bare = both_ways.deployed()
    assert isinstance(bare, WithTeacherHead)
    assert isinstance(bare.base, Plain)
    assert isinstance(both_ways.base, WithOverlays)
    torch.testing.assert_close(bare(IMAGES), both_ways(IMAGES))


def test_a_second_redress_takes_the_classifier_as_it_is_by_then():
    network, teacher, _ = with_head(IMAGES)
    with torch.no_grad():
        teacher.head.weight.mul_(2.0)
    again = METHODS["simkd"]().redress(network, network.look(IMAGES), teacher, teacher.look(IMAGES))
    assert again is network
    torch.testing.assert_close(network.head.weight, teacher.head.weight)


def test_a_teacher_whose_classifier_reads_something_else_is_refused():
    student, teacher = plain(4).eval(), plain(8).eval()
    seen = teacher.look(IMAGES)
    odd = replace(seen, embedding=seen.embedding + 1.0)
    with pytest.raises(ValueError, match="does not classify the average of its last layer"):
        METHODS["simkd"]().redress(student, student.look(IMAGES), teacher, odd)


def test_the_larger_plane_is_averaged_down_before_the_projector():
    teacher = plain(8, 2).eval()
    student = Plain(width=4, stage_count=1)
    student.build((3, 8, 8), 5)
    with torch.no_grad():
        found = METHODS["simkd"]().redress(student.eval(), student.look(IMAGES), teacher, teacher.look(IMAGES))
    assert found.look(IMAGES).maps[-1].shape == teacher.look(IMAGES).maps[-1].shape


def test_an_exit_has_a_projector_for_training_only():
    student, teacher, batch = both("simkd", 5)
    method = made("simkd", student, teacher)
    assert list(method.parameters())
    assert method(student, teacher, batch)["simkd"].shape == (5,)


# two views

STRONG = 3 * fx((4, 5), 1.3, 0.2), 4 * fx((4, 5), 1.7, 0.6)


def two_views(ours: torch.Tensor = ZS, theirs: torch.Tensor = ZT) -> tuple[Seen, Seen]:
    return tuple(
        replace(saw(logits=side), second=saw(logits=stronger))
        for side, stronger in zip((ours, theirs), STRONG, strict=True)
    )


def multi_level(student: Seen, teacher: Seen, **settings: object) -> dict[str, torch.Tensor]:
    return made("mlkd", student, teacher, **{"classes": 1.0, **settings})(student, teacher, batch_of(Y))


def written_out(masked: float) -> dict[str, float]:
    """The three levels, pair by pair in numpy, of both views."""
    found = {"images": 0.0, "pairs": 0.0, "classes": 0.0}
    for view, (ours, theirs) in enumerate(zip((ZS, STRONG[0]), (ZT, STRONG[1]), strict=True)):
        sure = softmax(ZT.numpy())
        for temperature in (2, 3, 4, 5, 6):
            p, q = softmax(ours.numpy() / temperature), softmax(theirs.numpy() / temperature)
            least = view == 0 and temperature in (3, 4, 5)
            images = sure.max(1) <= numpy.quantile(sure.max(1), masked) if least else numpy.ones(4)
            classes = sure.sum(0) <= numpy.quantile(sure.sum(0), masked) if least else numpy.ones(5)
            for i in range(4):
                found["images"] += images[i] * temperature**2 * sum(q[i] * numpy.log(q[i] / p[i])) / 4
                found["pairs"] += images[i] * sum((p[i] @ p[j] - q[i] @ q[j]) ** 2 for j in range(4)) / 4
            for k in range(5):
                gaps = [(p[:, k] @ p[:, m] - q[:, k] @ q[:, m]) ** 2 for m in range(5)]
                found["classes"] += classes[k] * sum(gaps) / 5
    return found


def softmax(logits: numpy.ndarray) -> numpy.ndarray:
    powers = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("masked", [0.5, 1.0])
def test_multi_level_is_what_its_sums_say(masked):
    terms = multi_level(*two_views(), masked=masked)
    for name, right in written_out(masked).items():
        assert terms[name].mean().item() == pytest.approx(right, rel=1e-9), name
    right = nn.functional.cross_entropy(STRONG[0], Y)
    torch.testing.assert_close(terms["labels"].mean(), right)


def test_the_mask_takes_images_out_one_by_one_and_does_not_scale_their_mean():
    student, teacher = two_views()
    whole, masked = (multi_level(student, teacher, masked=share)["images"] for share in (1.0, 0.5))
    sure = ZT.softmax(dim=1).max(dim=1).values
    kept = sure <= sure.quantile(0.5)
    torch.testing.assert_close(masked[kept], whole[kept])
    assert (masked[~kept] < whole[~kept]).all()
    assert 0 < kept.sum() < 4


def test_the_strong_view_is_used_at_every_temperature():
    student, teacher = two_views()
    quiet = replace(student, logits=ZT), replace(teacher, second=replace(student.second, logits=STRONG[0]))
    assert all(multi_level(*quiet)[name].abs().max() < 1e-12 for name in ("images", "pairs", "classes"))
    still = multi_level(replace(student, logits=ZT), teacher)
    right = sum(soft_kl(*STRONG, float(temperature)) for temperature in (2, 3, 4, 5, 6))
    torch.testing.assert_close(still["images"], right)


def test_both_views_are_learned_from_and_labels_may_be_withheld():
    student, teacher = two_views()
    leaves = [side.clone().requires_grad_() for side in (ZS, STRONG[0])]
    seen = replace(student, logits=leaves[0], second=replace(student.second, logits=leaves[1]))
    method = made("mlkd", student, teacher)

    def reported(plain_view, strong_view):
        seen = replace(student, logits=plain_view, second=replace(student.second, logits=strong_view))
        return loss(method(seen, teacher, batch_of(Y)))

    assert torch.autograd.gradcheck(reported, leaves, fast_mode=True)
    for name, term in method(seen, teacher, batch_of(Y)).items():
        found = torch.autograd.grad(term.mean(), leaves, allow_unused=True, retain_graph=True)
        assert found[1].abs().max() > 0
        assert (found[0] is None) == (name == "labels")
    some = torch.tensor([0, -1, -1, 3])
    right = nn.functional.cross_entropy(STRONG[0][[0, 3]], some[[0, 3]])
    torch.testing.assert_close(method(student, teacher, batch_of(some))["labels"].mean(), right)
    assert "labels" not in multi_level(student, teacher, labels=0.0)


def test_relations_do_not_see_the_order_of_classes_and_no_level_a_shift_of_all_logits():
    student, teacher = two_views()
    before = multi_level(student, teacher)
    shifted = replace(student, logits=ZS + 7.0)
    for name, term in multi_level(shifted, teacher).items():
        torch.testing.assert_close(term, before[name])
    order = torch.tensor([3, 1, 4, 0, 2])
    turned = [
        replace(side, logits=side.logits[:, order], second=replace(side.second, logits=side.second.logits[:, order]))
        for side in (student, teacher)
    ]
    for name in ("images", "pairs", "classes"):
        torch.testing.assert_close(multi_level(*turned)[name], before[name])


def test_one_view_alone_is_refused():
    with pytest.raises(ValueError, match="only one was seen here"):
        multi_level(saw(), saw(logits=ZT))
