"""The probes of the gap against the networks' own outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch

from kdcore.engine import run as train
from kdcore.outputs import outputs, some
from kdcore.probe import Probe, ProbeError
from kdcore.probes.calibration import Calibration
from kdcore.probes.confusion import Confusion
from kdcore.probes.dark_knowledge import DarkKnowledge
from kdcore.probes.embeddings import Embeddings
from kdcore.probes.fidelity import Fidelity
from kdcore.recipe import Recipe
from kdcore.revive import Revived, revive
from kdcore.runs import Shelf

Given = Callable[..., Revived]


def said(moment: Revived, role: str, split: str = "test") -> torch.Tensor:
    with torch.no_grad():
        return moment.networks[role](getattr(moment.data, split).images)


def test_fidelity_counts_by_hand(revived: Given) -> None:
    moment = revived("pictures", "kd")
    answer = Fidelity().ask(moment)
    truth = moment.data.test.truth
    teacher, student = (said(moment, role).argmax(1) for role in ("teacher", "student"))
    wrong = teacher != truth
    expected = [
        (teacher == student).float().mean(),
        (said(moment, "teacher", "train").argmax(1) == said(moment, "student", "train").argmax(1)).float().mean(),
        (teacher == student)[~wrong].float().mean(),
        (teacher == student)[wrong].float().mean(),
    ]
    numpy.testing.assert_allclose(answer.agreement["student"], expected, rtol=1e-5)
    assert answer.counts == [500, len(moment.data.train), int((~wrong).sum()), int(wrong.sum())]
    assert {part: int(counts.sum()) for part, counts in answer.wins.items()} == {"student": 500, "baseline": 500}
    assert answer.wins["student"][0] + answer.wins["student"][1] == int((student == truth).sum())
    p, q = (said(moment, role).double().softmax(1) for role in ("teacher", "student"))
    expected_kl = float((p * (p / q).log()).sum(1).mean())
    assert answer.divergence["student"][0] == pytest.approx(expected_kl, rel=1e-4)
    back = float((q * (q / p).log()).sum(1).mean())
    assert answer.reverse["student"][0] == pytest.approx(back, rel=1e-4)
    assert abs(back - expected_kl) > 1e-6


def test_temperatures_are_fitted_on_validation_and_tried_on_test(revived: Given) -> None:
    moment = revived("pictures", "kd")
    answer = Calibration(bins=10).ask(moment)
    logits, truth = said(moment, "student", "validation").double(), moment.data.validation.truth
    losses = {
        float(t): float(torch.nn.functional.cross_entropy(logits / t, truth)) for t in torch.logspace(-1.3, 1.3, 400)
    }
    best = min(losses, key=lambda t: losses[t])
    assert answer.temperature["student"] == pytest.approx(best, rel=0.02)
    confidence, named = (said(moment, "student").double() / answer.temperature["student"]).softmax(1).max(1)
    right = named == moment.data.test.truth
    error = 0.0
    for low in range(10):
        inside = (confidence > low / 10) & (confidence <= (low + 1) / 10)
        if inside.any():
            share = float(inside.double().mean())
            error += share * abs(float(right[inside].double().mean()) - float(confidence[inside].mean()))
    assert answer.ece["student"][1] == pytest.approx(error, abs=1e-6)
    assert int(answer.bins["teacher"][:, 2].sum()) == 500
    assert answer.accuracy["student"] == pytest.approx(float(right.double().mean()))
    bins = answer.bins
    both = sum(
        min(bins["teacher"][n, 2] * part, bins["student"][n, 2] * other)
        for n in range(10)
        for part, other in (
            (bins["teacher"][n, 0], bins["student"][n, 0]),
            (1 - bins["teacher"][n, 0], 1 - bins["student"][n, 0]),
        )
    )
    assert answer.nearness["student"] == pytest.approx(both / 500, abs=1e-5)
    assert set(answer.nearness) == {"student", "baseline"}


def test_rows_of_the_confusion_add_up_and_hold_the_accuracies(revived: Given) -> None:
    moment = revived("pictures", "kd")
    answer = Confusion().ask(moment)
    for part, matrix in answer.confusion.items():
        numpy.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-5)
        numpy.testing.assert_array_equal(matrix.diagonal(), answer.accuracy[part])
    threes = moment.data.test.truth == 3
    taken = said(moment, "teacher")[threes].argmax(1) == 8
    assert answer.confusion["teacher"][3, 8] == pytest.approx(float(taken.float().mean()), abs=1e-6)
    assert sum(answer.counts) == 500
    pairs = [
        Counter(zip(moment.data.test.truth.tolist(), said(moment, role).argmax(1).tolist(), strict=True))
        for role in ("teacher", "student")
    ]
    assert answer.nearness["student"] == pytest.approx((pairs[0] & pairs[1]).total() / 500, abs=1e-6)


def test_soft_labels_are_those_of_the_picture_at_each_temperature(revived: Given) -> None:
    moment = revived("pictures", "kd")
    answer = DarkKnowledge(picture=7).ask(moment)
    for place, warm in enumerate(answer.temperatures):
        expected = (said(moment, "teacher")[7] / warm).softmax(0)
        numpy.testing.assert_allclose(answer.soft["teacher"][place], expected, atol=1e-5)
    numpy.testing.assert_allclose(answer.similarity["student"].sum(axis=2), 1.0, atol=1e-5)
    numpy.testing.assert_allclose(answer.picture[..., 0], moment.data.pixels(moment.data.test.images[7:8])[0, 0])
    assert set(answer.likeness) == {"student", "baseline"}


def test_embeddings_keep_the_networks_own_neighbours(revived: Given) -> None:
    moment = revived("pictures", "kd")
    answer = Embeddings(inputs=40).ask(moment)
    rows = torch.as_tensor(answer.numbers)
    images = moment.data.test.images[rows]
    near = []
    for role in ("teacher", "student"):
        features = moment.networks[role].look(images).embedding.detach()
        order = torch.cdist(features, features).argsort(dim=1)[:, 1:11]
        near.append([set(row) for row in order.tolist()])
    expected = sum(len(a & b) for a, b in zip(*near, strict=True)) / 400
    assert answer.shared["student"] == pytest.approx(expected, abs=0.005)
    assert answer.pictures.shape == (40, 8, 8, 1)
    numpy.testing.assert_array_equal(answer.labels, moment.data.test.truth[rows])
    tsne = Embeddings(inputs=40, way="tsne").ask(moment)
    assert tsne.shared == answer.shared
    again = Embeddings(inputs=40, way="tsne").ask(moment)
    numpy.testing.assert_array_equal(tsne.places["student"], again.places["student"])


def test_kept_outputs_change_with_the_weights(revived: Given) -> None:
    from kdcore.beside import sides

    moment = revived("points")
    split = some(moment.data.test, 20)
    assert len(split) == 20
    first = outputs(sides(moment), split)["student"]
    assert outputs(sides(moment), split)["student"] is first
    parameter = next(moment.networks["student"].parameters())
    parameter.add_(1.0)
    try:
        other = outputs(sides(moment), split)["student"]
        torch.testing.assert_close(other.logits, moment.networks["student"](split.images))
        assert not torch.equal(other.logits, first.logits)
    finally:
        parameter.sub_(1.0)


def test_points_have_answers_too(revived: Given) -> None:
    moment = revived("points")
    assert DarkKnowledge().ask(moment).picture.size == 0
    assert Embeddings(inputs=30).ask(moment).pictures.shape[1:] == (0, 0, 1)
    assert "points" in Fidelity().ask(moment).says


@pytest.mark.parametrize(
    ("probe", "words"),
    [(DarkKnowledge(picture=99_999), "picture=99999: there are 500 test pictures")],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(probe: Probe, words: str, revived: Given) -> None:
    with pytest.raises(ProbeError, match=words):
        probe.ask(revived("pictures", "kd"))


def test_of_two_classes_the_likeness_is_what_both_give_to_the_same_class(tmp_path: Path) -> None:
    recipe = Recipe.from_json(
        {
            "data": {"is": "toy2d", "figure": "spirals", "size": 150}, "teacher": {"is": "mlp", "width": 8},
            "student": {"is": "mlp", "width": 4}, "training": {"epochs": 1, "teacher_epochs": 2, "batch": 32},
        }
    )  # fmt: skip
    run, _ = Shelf(tmp_path).create(recipe)
    for event in train(recipe):
        run.append(event)
    moment = revive(run, run.history().snapshots[-1].name)
    answer = DarkKnowledge().ask(moment)
    assert answer.similarity["student"].shape == (len(answer.temperatures), 2, 2)
    place = answer.temperatures.index(4.0)
    theirs, ours = answer.similarity["teacher"][place], answer.similarity["student"][place]
    assert answer.likeness["student"][place] == pytest.approx(1 - numpy.abs(theirs - ours)[:, 0].mean(), abs=1e-5)
    assert answer.nearness["student"] == answer.likeness["student"][place]
    assert "to the same class" in answer.says


def test_one_class_has_no_dark_knowledge(revived: Given) -> None:
    moment = revived("points")
    with pytest.raises(ProbeError, match="one class"):
        DarkKnowledge().ask(replace(moment, data=replace(moment.data, classes=1)))
