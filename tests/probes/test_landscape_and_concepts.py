"""The probes of the loss landscape and of visual concepts against the networks' own losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy
import pytest
import torch
import torch.nn.functional as F

from kdcore.gap import divergence
from kdcore.probe import Probe, ProbeError
from kdcore.probes import loss_plane
from kdcore.probes.concepts import Concepts
from kdcore.probes.loss_line import LossLine
from kdcore.probes.loss_plane import LossPlane
from kdcore.recalled import recalled
from kdcore.revive import Revived

Given = Callable[..., Revived]
SMALL = {"grid": 3, "inputs": 40}


def logits(moment: Revived, role: str) -> torch.Tensor:
    with torch.no_grad():
        return moment.networks[role](moment.data.validation.images)


def own_loss(moment: Revived, role: str) -> float:
    each = F.cross_entropy(logits(moment, role).double(), moment.data.validation.truth, reduction="none")
    return float(each.mean())


@pytest.mark.parametrize("data", ["pictures", "points"])
def test_both_ends_of_the_line_are_the_networks_own_losses(data: str, revived: Given) -> None:
    moment = revived(data, *(["kd"] if data == "pictures" else []))
    answer = LossLine(batch_norm="interpolated", points=5, inputs=5000).ask(moment)
    for end, role in ((0.0, "baseline"), (1.0, "student")):
        place = answer.at.tolist().index(end)
        assert answer.loss["validation"][place] == own_loss(moment, role)
        assert answer.own_loss["validation"][int(end)] == own_loss(moment, role)
        right = logits(moment, role).argmax(dim=1) == moment.data.validation.truth
        assert answer.accuracy["validation"][place] == float(right.double().mean())
    assert answer.counts["validation"] == len(moment.data.validation)


def test_statistics_estimated_again_change_the_line_but_not_the_networks_own_losses(revived: Given) -> None:
    moment = revived("pictures", "kd")
    again, kept = (LossLine(batch_norm=way, points=5).ask(moment) for way in ("re-estimated", "interpolated"))
    numpy.testing.assert_array_equal(again.own_loss["training"], kept.own_loss["training"])
    assert not numpy.array_equal(again.loss["training"], kept.loss["training"])
    assert "estimated again" in again.statistics
    points = revived("points")
    numpy.testing.assert_array_equal(
        LossLine(points=5).ask(points).loss["training"],
        LossLine(points=5, batch_norm="interpolated").ask(points).loss["training"],
    )


def test_kl_at_the_end_of_the_line_is_that_of_student_and_teacher(revived: Given) -> None:
    moment = revived("points")
    answer = LossLine(loss="kl", points=5, inputs=5000).ask(moment)
    expected = float(divergence(logits(moment, "teacher"), logits(moment, "student")).mean())
    assert answer.own_loss["validation"][1] == pytest.approx(expected, rel=1e-9)


def test_nearness_is_the_probability_on_the_same_classes_whichever_loss_is_walked_along(revived: Given) -> None:
    moment = revived("points")
    theirs = logits(moment, "teacher").double().softmax(dim=1)
    expected = {
        role: float(torch.minimum(theirs, logits(moment, role).double().softmax(dim=1)).sum(dim=1).mean())
        for role in ("student", "baseline")
    }
    for loss in ("cross_entropy", "kl"):
        line = LossLine(loss=loss, points=5, inputs=5000).ask(moment)
        assert line.nearness == pytest.approx(expected)
        assert LossPlane(loss=loss, grid=3, inputs=5000).ask(moment).nearness == pytest.approx(expected)


def test_the_teachers_own_loss_stands_beside_the_line(revived: Given) -> None:
    moment = revived("points")
    line = LossLine(points=5, inputs=5000).ask(moment)
    loss, right = line.teacher["validation"]
    assert loss == pytest.approx(own_loss(moment, "teacher"))
    said = logits(moment, "teacher").argmax(dim=1) == moment.data.validation.truth
    assert right == pytest.approx(float(said.double().mean()))
    assert LossLine(loss="kl", points=5).ask(moment).teacher["validation"][0] == 0.0


def test_the_middle_of_each_plane_is_the_network_and_asking_changes_no_weight(revived: Given) -> None:
    moment = revived("pictures", "kd")
    before = {name: value.clone() for name, value in moment.networks["student"].state_dict().items()}
    answer = LossPlane(grid=3, inputs=5000).ask(moment)
    assert answer.loss["student"].shape == (3, 3)
    for role in ("student", "baseline"):
        assert answer.loss[role][1, 1] == answer.own[role] == own_loss(moment, role)
        assert answer.sharpness[role] == pytest.approx(answer.rise[role][1].mean())
    after = moment.networks["student"].state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    again = LossPlane(batch_norm="re-estimated", **SMALL).ask(moment)
    assert again.loss["student"][1, 1] != again.own["student"]


def test_a_second_moment_finds_what_stays_and_says_the_same(revived: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    before, moment = revived("pictures", "kd", last=-2), revived("pictures", "kd")
    anew = LossPlane(**SMALL).ask(moment)
    recalled.forget()
    LossPlane(**SMALL).ask(before)
    walked: list[object] = []
    around = loss_plane._around
    monkeypatch.setattr(loss_plane, "_around", lambda *given, **more: (walked.append(1), around(*given, **more))[1])
    assert LossPlane(**SMALL).ask(moment).to_bytes() == anew.to_bytes()
    assert len(walked) == 1, "only the student has moved"


def test_two_networks_are_told_apart_only_where_the_walks_tell_them_apart() -> None:
    noisy = numpy.array([0.1, 0.9, 0.2, 0.8])
    assert "too near to say" in loss_plane._sentence({"student": noisy, "baseline": noisy[::-1]}, 0.4, "loss")
    flatter = loss_plane._sentence({"student": noisy, "baseline": noisy + 0.5}, 0.4, "loss")
    assert flatter.endswith("the student stands in the flatter place.")
    assert "0.50 ± 0.20 nats around the student" in flatter


def test_without_a_student_alone_there_is_a_plane_and_no_line(revived: Given) -> None:
    moment = revived("pictures", "kd")
    alone = replace(moment, parts={role: part for role, part in moment.parts.items() if part != "baseline"})
    with pytest.raises(ProbeError, match="trained no student alone"):
        LossLine().ask(alone)
    assert set(LossPlane(**SMALL).ask(alone).loss) == {"student"}


def test_networks_of_another_build_share_no_line(revived: Given) -> None:
    moment = revived("pictures", "kd")
    mixed = replace(moment, networks={**moment.networks, "baseline": moment.networks["teacher"]})
    with pytest.raises(
        ProbeError, match=r"share no weight space.*: .* has the shape \(.*\) in one and \(.*\) in the other$"
    ):
        LossLine().ask(mixed)


def test_before_training_both_are_one_point(revived: Given) -> None:
    answer = LossLine(points=5).ask(revived("pictures", "kd", last=0))
    assert answer.distance == 0.0
    assert "same weights" in answer.says
    assert numpy.ptp(answer.loss["validation"]) < 1e-6


def test_concepts_are_those_of_the_cells_below_the_background(revived: Given) -> None:
    moment = revived("shapes", "kd")
    answer = Concepts(pictures=3, cells=8, steps=20).ask(moment)
    assert answer.pictures.shape == (3, 32, 32, 3)
    for place in range(3):
        inside = answer.inside[place].astype(bool)
        background = answer.entropy[place][~inside].mean()
        assert answer.background[place] == pytest.approx(background, abs=1e-5)
        below = background - answer.entropy[place] > answer.threshold
        numpy.testing.assert_array_equal(answer.concept[place].astype(bool), below)
        assert answer.counts[place].tolist() == [(below & inside).sum(), (below & ~inside).sum()]
    expected = torch.cat([value.flatten() for value in moment.networks["student"].parameters()])
    numpy.testing.assert_array_equal(answer.weights, expected.detach())


def test_the_mask_lies_on_what_the_picture_shows(revived: Given) -> None:
    """Shapes are brighter than their backgrounds on average: a mask of other scenes would not be."""
    answer = Concepts(pictures=8, cells=4, steps=8).ask(revived("shapes", "kd"))
    grey = answer.pictures.mean(axis=3)
    mask = answer.mask.astype(bool)
    assert all(grey[place][mask[place]].mean() > grey[place][~mask[place]].mean() for place in range(8))


@pytest.mark.parametrize(
    ("probe", "key", "words"),
    [
        (Concepts(), ("pictures", "kd"), "on the data set shapes.* this run has digits"),
        (Concepts(), ("points",), "this run has toy2d"),
        (Concepts(layer=7), ("shapes", "kd"), "layer=7: the student has layers 0 to 1"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(
    probe: Probe, key: tuple[str, ...], words: str, revived: Given
) -> None:
    with pytest.raises(ProbeError, match=words):
        probe.ask(revived(*key))


def test_a_run_without_student_alone_says_so(revived: Given) -> None:
    moment = revived("shapes", "kd")
    alone = replace(moment, parts={role: part for role, part in moment.parts.items() if part != "baseline"})
    with pytest.raises(ProbeError, match="trained no student alone"):
        Concepts(of="baseline").ask(alone)
