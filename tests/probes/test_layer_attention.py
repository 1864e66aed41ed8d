"""Attention over layers on small trained runs: the method's own, with entropy and ranks by their definitions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy
import pytest
import torch
from scipy.stats import spearmanr

from kdcore.beside import see, sides
from kdcore.probe import ProbeError
from kdcore.probes.cka import Cka
from kdcore.probes.layer_assignment import LayerAssignment, by_depth, entropy, rank_correlation
from kdcore.revive import Revived


@pytest.fixture(params=["semckd", "afd_attn"])
def moment(request: pytest.FixtureRequest, revived: Callable[..., Revived]) -> Revived:
    return revived("pictures", request.param, training={"epochs": 1, "teacher_epochs": 1, "batch": 12})


def own_attention(moment: Revived, start: int, size: int) -> torch.Tensor:
    """What the method itself says of a batch, with the student's layers in rows."""
    who = sides(moment)
    images = moment.data.validation.images[start : start + size]
    (method,) = [one for one in who.objective.methods.values() if hasattr(one, "attends")]
    with torch.no_grad():
        found = method.attention(see(moment, who.student, images), see(moment, who.teacher, images))
    return found.transpose(1, 2) if method.attends == "teacher" else found


@pytest.mark.parametrize("picture", [3, 20])
def test_the_attention_for_one_picture_is_the_methods_own_in_its_batch(moment: Revived, picture: int) -> None:
    answer = LayerAssignment(picture=picture, inputs=24).ask(moment)
    size = moment.recipe.budget().batch
    start = min(picture // size * size, len(moment.data.validation) - size)
    numpy.testing.assert_allclose(answer.one, own_attention(moment, start, size)[picture - start], rtol=1e-5)
    assert answer.number == picture
    assert answer.picture.shape == (8, 8, 1)
    assert answer.picture_says == f"a {int(moment.data.validation.truth[picture])}"


def test_a_picture_beyond_the_inputs_of_the_mean_is_looked_at_in_a_batch_of_its_own(moment: Revived) -> None:
    last = len(moment.data.validation) - 1
    answer = LayerAssignment(picture=last, inputs=8).ask(moment)
    size = moment.recipe.budget().batch
    numpy.testing.assert_allclose(answer.one, own_attention(moment, last + 1 - size, size)[-1], rtol=1e-5)


def test_mean_and_spread_are_over_the_pictures_of_whole_batches(moment: Revived) -> None:
    answer = LayerAssignment(inputs=30).ask(moment)
    attention = torch.cat([own_attention(moment, start, 12) for start in (0, 12)]).double()
    assert answer.count == 24, "the last 6 make no whole batch"
    numpy.testing.assert_allclose(answer.mean, attention.mean(dim=0), rtol=1e-4)
    numpy.testing.assert_allclose(answer.spread, attention.numpy().std(axis=0), atol=1e-5)
    axis = 1 if answer.attends == "student" else 0
    for values in (answer.mean, answer.one):
        numpy.testing.assert_allclose(values.sum(axis=axis), 1.0, rtol=1e-5)
    each = -(attention * attention.clamp(min=1e-300).log()).sum(dim=axis + 1)
    numpy.testing.assert_allclose(answer.entropy, each.mean(dim=0), rtol=1e-4, atol=1e-6)
    numpy.testing.assert_allclose(answer.entropy_spread, each.numpy().std(axis=0), atol=1e-5)


def test_the_similarity_beside_it_is_that_of_the_cka_probe(moment: Revived) -> None:
    for kernel in ("linear", "rbf"):
        answer = LayerAssignment(inputs=24, kernel=kernel).ask(moment)
        cka = Cka(inputs=24, kernel=kernel).ask(moment).panels["Student × teacher"]
        numpy.testing.assert_allclose(answer.similarity, cka, atol=1e-5)
    assert answer.measure == "RBF CKA"


def test_nearness_is_the_similarity_of_what_teaches_each_other_of_both_students(moment: Revived) -> None:
    answer = LayerAssignment(inputs=24).ask(moment)
    alone = Cka(inputs=24).ask(moment).panels["Student alone × teacher"]
    numpy.testing.assert_allclose(answer.similarity_alone, alone, atol=1e-5)
    share = answer.mean.astype(float) / answer.mean.sum()
    for part, alike in (("student", answer.similarity), ("baseline", answer.similarity_alone)):
        expected = sum(float(a * b) for a, b in zip(share.flatten(), alike.flatten(), strict=True))
        assert answer.nearness[part] == pytest.approx(min(1.0, max(0.0, expected)), abs=1e-5)
        assert f"{expected:.2f}".replace("-", "−") in answer.says
    assert answer.nearness_of.startswith("linear CKA of the layers that teach each other")


def test_a_student_alone_with_other_layers_is_left_out(moment: Revived) -> None:
    other = dataclasses.replace(moment, networks={**moment.networks, "baseline": moment.networks["teacher"]})
    answer = LayerAssignment(inputs=24).ask(other)
    assert answer.similarity_alone.size == 0
    assert set(answer.nearness) == {"student"}
    assert "student alone" not in answer.says


def test_the_strongest_pairs_are_one_for_each_layer_that_attends(moment: Revived) -> None:
    answer = LayerAssignment().ask(moment)
    if answer.attends == "student":
        assert answer.strongest == [[row, int(line.argmax())] for row, line in enumerate(answer.mean)]
    else:
        assert answer.strongest == [[int(line.argmax()), column] for column, line in enumerate(answer.mean.T)]
    assert answer.pairs == [tuple(pair) for pair in answer.strongest], "all layers take part here"
    assert f"{sum(pair in answer.by_depth for pair in answer.strongest)} of {len(answer.strongest)}" in answer.says


def test_entropy_of_an_even_share_of_one_choice_and_of_a_half() -> None:
    shares = torch.tensor([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]])
    found = entropy(shares, dim=1).tolist()
    assert found == pytest.approx([math.log(4), 0.0, math.log(2)], abs=1e-6)


def test_ranks_are_taken_within_each_layer_that_attends() -> None:
    alike = numpy.array([[0.9, 0.5, 0.1], [0.30, 0.35, 0.40]])
    assert rank_correlation(alike**3, alike, attends="student") == pytest.approx(1.0)
    assert rank_correlation(-alike, alike, attends="student") == pytest.approx(-1.0)
    mixed = numpy.array([[0.2, 0.5, 0.3], [0.1, 0.3, 0.6]])
    each = [spearmanr(a, b).statistic for a, b in zip(mixed, alike, strict=True)]
    assert rank_correlation(mixed, alike, attends="student") == pytest.approx(numpy.mean(each))
    assert rank_correlation(mixed.T, alike.T, attends="teacher") == pytest.approx(numpy.mean(each))
    assert rank_correlation(numpy.full((2, 3), 1 / 3), alike, attends="student") is None


def test_layers_of_like_depth() -> None:
    assert by_depth(2, 4, attends="student") == [[0, 1], [1, 3]]
    assert by_depth(2, 4, attends="teacher") == [[0, 0], [0, 1], [1, 2], [1, 3]]
    assert by_depth(3, 1, attends="student") == [[0, 0], [1, 0], [2, 0]]


def test_points_have_attention_without_a_picture(revived: Callable[..., Revived]) -> None:
    answer = LayerAssignment(inputs=32).ask(revived("points", "semckd"))
    assert answer.picture.size == 0
    assert answer.mean.shape == (len(answer.rows), len(answer.columns))


def test_what_is_not_there_is_named(moment: Revived) -> None:
    with pytest.raises(ProbeError, match="picture=9999: there are 30 validation"):
        LayerAssignment(picture=9999).ask(moment)
    with pytest.raises(ProbeError, match="number=1: this run has 1 with attention"):
        LayerAssignment(number=1).ask(moment)
    few = moment.data.validation.of(torch.arange(3))
    with pytest.raises(ProbeError, match="3 validation inputs are too few"):
        LayerAssignment().ask(dataclasses.replace(moment, data=dataclasses.replace(moment.data, validation=few)))


def test_with_several_methods_each_can_be_asked_for(revived: Callable[..., Revived]) -> None:
    moment = revived("pictures", "semckd", "afd_attn")
    assert [LayerAssignment(number=number).ask(moment).method for number in (0, 1)] == ["semckd", "afd_attn"]
