"""Attributions: captum by completeness and closed forms, Grad-CAM by captum, agreement by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy
import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from scipy.stats import spearmanr
from torch import nn

from kdcore.answer import kinds
from kdcore.attributions import (
    CAM,
    FEWEST,
    GRADIENTS,
    MOST,
    PATCHES,
    alike,
    grad_cams,
    integrated_gradients,
    maps_of,
    maps_of_many,
    occlusion,
    ranks,
    steps_for,
    window_of,
    work_of,
)  # fmt: skip
from kdcore.network import macs_of
from kdcore.networks.plain import Plain
from kdcore.networks.vit import ViT
from kdcore.probe import ProbeError
from kdcore.probes.attribution import AttributionOfClass
from kdcore.probes.attribution_agreement import OTHER, AttributionAgreement
from kdcore.probes.disagreements import Disagreements
from kdcore.revive import Revived
from kdcore.vocabulary import Seen

Given = Callable[..., Revived]


def linear() -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
    """A linear network of (1, 8, 8) pictures with 3 classes, and its weights."""
    torch.manual_seed(0)
    weights = torch.randn(3, 1, 8, 8)
    return weights, lambda images: torch.einsum("nchw,kchw->nk", images, weights) + 0.7


def test_gradients_of_a_linear_network_are_weight_times_difference() -> None:
    weights, logits = linear()
    image, baseline = torch.randn(1, 1, 8, 8), torch.randn(1, 1, 8, 8)
    for steps in (1, 16):
        found = integrated_gradients(logits, image, baseline=baseline, target=2, steps=steps)
        torch.testing.assert_close(found, (weights[2] * (image - baseline)[0]), atol=1e-5, rtol=1e-4)


def test_gradients_of_a_cube_are_complete_where_one_gradient_is_not() -> None:
    image, baseline = torch.full((1, 1, 2, 2), 2.0), torch.zeros(1, 1, 2, 2)

    def logits(images: torch.Tensor) -> torch.Tensor:
        return images.pow(3).flatten(1).sum(dim=1, keepdim=True)

    found = integrated_gradients(logits, image, baseline=baseline, target=0, steps=4)
    torch.testing.assert_close(found, torch.full((1, 2, 2), 8.0))


def test_occlusion_of_a_linear_network_is_the_mean_over_the_patches_that_cover_a_place() -> None:
    weights, logits = linear()
    image, baseline = torch.randn(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    rows, columns, down, across = window_of(8, 8)
    assert (rows, columns, down, across) == (2, 2, 1, 1)
    part = (weights[1] * image[0])[0]
    wanted, covered = torch.zeros(8, 8), torch.zeros(8, 8)
    for top in range(0, 8 - rows + 1, down):
        for left in range(0, 8 - columns + 1, across):
            here = (slice(top, top + rows), slice(left, left + columns))
            wanted[here] += part[here].sum()
            covered[here] += 1
    found = occlusion(logits, image, baseline=baseline, target=1)
    torch.testing.assert_close(found[0], wanted / covered, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("side", "places"), [(8, 49), (28, 64), (32, 49), (64, 49)])
def test_occlusion_covers_every_place_in_about_as_many_patches(side: int, places: int) -> None:
    rows, _, down, _ = window_of(side, side)
    assert (-(-(side - rows) // down) + 1) ** 2 == places


class Small(nn.Module):
    """Two convolutions whose activations are modules, so that captum can hook them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(6, 3)

    def look(self, images: torch.Tensor) -> Seen:
        one = self.first(images)
        two = self.second(one)
        embedding = two.mean(dim=(2, 3))
        return Seen(self.head(embedding), (one, two), (one, two), embedding)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.look(images).logits


def test_grad_cam_is_captums() -> None:
    torch.manual_seed(0)
    network, image = Small().eval(), torch.randn(1, 1, 8, 8)
    found = grad_cams(network.look, image, target=1)
    for layer, module in enumerate((network.first, network.second)):
        theirs = LayerGradCam(network, module).attribute(image, target=1, relu_attributions=True)
        torch.testing.assert_close(found[layer], theirs[0, 0].detach())
    assert float(found[1].max()) > 0


def test_pictures_explained_together_are_explained_as_one_by_one() -> None:
    torch.manual_seed(0)
    network, images = Small().eval(), torch.randn(5, 1, 8, 8)
    baselines, targets = torch.randn(5, 1, 8, 8), [0, 2, 1, 1, 2]
    together = maps_of_many(network.look, images, baselines=baselines, targets=targets, steps=20)
    for number, (found, target) in enumerate(zip(together, targets, strict=True)):
        one = slice(number, number + 1)
        alone = maps_of(network.look, images[one], baseline=baselines[one], target=target, steps=20)
        assert found.maps.keys() == alone.maps.keys()
        assert found.layers == alone.layers
        assert found.total == pytest.approx(alone.total, abs=1e-5)
        for name, values in alone.maps.items():
            torch.testing.assert_close(found.maps[name], values, atol=1e-5, rtol=1e-4)


def test_a_transformers_maps_lie_beside_the_way_and_have_no_grad_cam() -> None:
    network = ViT(depth=2)
    network.build((1, 8, 8), 3)
    assert grad_cams(network.eval().look, torch.randn(1, 1, 8, 8), target=0) == {}


def test_agreement_is_cosine_and_spearman_of_absolute_values() -> None:
    one = numpy.array([[1.0, -2.0], [0.0, 2.0]])
    assert alike(-3 * one, one) == pytest.approx((1.0, 1.0))
    other = numpy.array([[0.0, 1.0], [5.0, 1.0]])
    cosine, rank = alike(one, other) or (0.0, 0.0)
    assert cosine == pytest.approx(4 / (3 * numpy.sqrt(27)))
    assert rank == pytest.approx(spearmanr(numpy.abs(one).ravel(), other.ravel()).statistic)
    assert alike(numpy.ones((2, 2)), one) is None
    numpy.testing.assert_array_equal(ranks(numpy.array([5.0, 1.0, 5.0, 7.0])), [2.5, 1.0, 2.5, 4.0])


def test_work_is_what_the_flop_counter_counts_and_sets_the_steps() -> None:
    network = Plain(width=4)
    network.build((1, 16, 16), 10)
    assert work_of(network.eval(), torch.zeros(1, 1, 16, 16)) == macs_of(network, (1, 16, 16))
    assert steps_for(1000) == MOST
    assert steps_for(10**10) == FEWEST
    assert FEWEST < steps_for(20_000_000) < MOST


def test_maps_of_a_trained_pair_are_complete_and_agree_as_measured(revived: Given) -> None:
    moment = revived("pictures", "kd")
    answer = AttributionOfClass(picture=4, explained=2).ask(moment)
    image = moment.data.validation.images[4:5]
    black = (-moment.data.mean / moment.data.std).expand_as(image)
    for part, role in (("teacher", "teacher"), ("student", "student"), ("baseline", "baseline")):
        network = moment.networks[role]
        gap = float(network(image)[0, 2] - network(black)[0, 2])
        total, told = answer.completeness[part]
        assert told == pytest.approx(gap, abs=1e-4)
        assert total == pytest.approx(gap, abs=0.03 * max(1.0, abs(gap)))
        assert answer.maps[f"{part}/{GRADIENTS}"].sum() == pytest.approx(total, abs=1e-3)
        assert answer.maps[f"{part}/{PATCHES}"].shape == (8, 8)
        assert answer.maps[f"{part}/{CAM}, last layer"].min() >= 0
    assert answer.notes[f"student/{CAM}, last layer"] == "stage 2, 4×4"
    assert f"student/{CAM}, third to last" not in answer.maps, "it has two layers"
    assert f"teacher/{CAM}, third to last" in answer.maps
    ours, theirs = (numpy.abs(answer.maps[f"{part}/{GRADIENTS}"]).ravel() for part in ("student", "teacher"))
    wanted = ours @ theirs / numpy.sqrt((ours @ ours) * (theirs @ theirs))
    assert answer.agreement[f"student/{GRADIENTS}"][0] == pytest.approx(wanted, abs=1e-5)
    assert answer.explained == "2"


def test_the_class_follows_whom_it_was_asked_of(revived: Given) -> None:
    moment = revived("pictures", "kd")
    image, truth = moment.data.validation.images[7:8], int(moment.data.validation.truth[7])
    for explained, wanted in (
        (-1, int(moment.networks["teacher"](image).argmax())),
        (-2, int(moment.networks["student"](image).argmax())),
        (-3, truth),
    ):
        assert AttributionOfClass(picture=7, explained=explained).ask(moment).explained == str(wanted)


def test_agreement_over_pictures_is_the_mean_of_theirs_and_knows_its_chance(revived: Given) -> None:
    moment = revived("pictures", "kd")
    answer = AttributionAgreement(inputs=6).ask(moment)
    assert answer.categories[0] == GRADIENTS
    singles = [AttributionOfClass(picture=number).ask(moment) for number in range(6)]
    cam = f"{CAM}, last layer"
    for part, name in (("student", "student"), ("baseline", "student alone")):
        wanted = [one.agreement[f"{part}/{cam}"][0] for one in singles if f"{part}/{cam}" in one.agreement]
        assert answer.series[name][answer.categories.index(cam)] == pytest.approx(numpy.mean(wanted), abs=1e-4)
    assert len(answer.series[OTHER]) == len(answer.categories)
    assert "student" in answer.parts
    assert OTHER not in answer.parts


def test_disagreements_are_all_there_sorted_by_divergence(revived: Given) -> None:
    moment = revived("pictures", "kd")
    answer = Disagreements(most=200).ask(moment)
    images = moment.data.validation.images
    logits = {role: moment.networks[role](images) for role in ("teacher", "student", "baseline")}
    wanted = (logits["student"].argmax(1) != logits["teacher"].argmax(1)).nonzero().flatten().tolist()
    assert sorted(answer.places) == wanted
    divergence = F.kl_div(
        logits["student"].log_softmax(1), logits["teacher"].log_softmax(1), log_target=True, reduction="none"
    ).sum(1)
    numpy.testing.assert_allclose(answer.divergence, divergence[answer.places].numpy(), atol=1e-5)
    assert list(answer.divergence) == sorted(answer.divergence, reverse=True)
    numpy.testing.assert_allclose(answer.logits["baseline"], logits["baseline"][answer.places].numpy(), atol=1e-4)
    pixels = moment.data.pixels(images[answer.places[:1]])[0].permute(1, 2, 0) * 255
    numpy.testing.assert_allclose(answer.pictures[0], pixels.numpy(), atol=0.5)


def test_nearness_is_the_share_answered_alike_whichever_pictures_are_shown(revived: Given) -> None:
    moment = revived("pictures", "kd")
    images = moment.data.validation.images
    said = {role: moment.networks[role](images).argmax(1) for role in ("teacher", "student", "baseline")}
    for which in ("disagreements", "both wrong"):
        answer = Disagreements(which=which).ask(moment)
        for part in ("student", "baseline"):
            assert answer.nearness[part] == pytest.approx(float((said[part] == said["teacher"]).float().mean()))
        assert answer.nearness_of == "validation pictures answered alike"


def test_filters_part_the_disagreements_and_orders_sort_them(revived: Given) -> None:
    moment = revived("pictures", "kd")

    def places(**settings: object) -> list[int]:
        return Disagreements(most=200, **settings).ask(moment).places

    parted = [place for which in ("teacher right", "student right", "both wrong") for place in places(which=which)]
    assert sorted(parted) == sorted(places())
    everything = Disagreements(which="everything", order="student surest", most=10).ask(moment)
    sure = torch.from_numpy(everything.logits["student"]).softmax(1).max(1).values.tolist()
    assert sure == sorted(sure, reverse=True)
    assert everything.title.startswith(f"{len(moment.data.validation)} pictures of the split, the first 10")
    assert Disagreements(split="test", which="everything", most=1).ask(moment).split == "test"
    assert "of the first 16 validation pictures" in Disagreements(inputs=16).ask(moment).says


def test_no_picture_is_an_answer_too(revived: Given) -> None:
    moment = revived("pictures", "kd")
    twins = Revived(**{**vars(moment), "networks": {**moment.networks, "student": moment.networks["teacher"]}})
    answer = Disagreements().ask(twins)
    assert answer.title.startswith("No picture")
    assert "on 0 of 30" in answer.says
    back = kinds()["Gallery"]
    assert isinstance(answer, back)
    assert answer.pictures.shape[0] == 0
    assert len(answer.to_bytes()) > 0


@pytest.mark.parametrize(
    ("probe", "key", "words"),
    [
        (Disagreements(), ("points",), "points in a plane are no pictures"),
        (AttributionOfClass(), ("points",), "no places that could speak"),
        (AttributionAgreement(), ("points",), "no places that could speak"),
        (AttributionOfClass(picture=99), ("pictures", "kd"), "picture=99: there are 30 validation pictures"),
        (AttributionOfClass(explained=10), ("pictures", "kd"), "explained=10: the classes are 0 to 9"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(
    probe: Disagreements, key: tuple[str, ...], words: str, revived: Given
) -> None:
    with pytest.raises(ProbeError, match=words):
        probe.ask(revived(*key))


def test_without_captum_it_says_what_to_install(revived: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ProbeError, match="pip install captum"):
        AttributionOfClass().ask(revived("pictures", "kd"))
