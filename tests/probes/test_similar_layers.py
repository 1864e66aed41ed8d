"""The similarity of layers and the pairs that follow from it, on small trained runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy
import pytest
import torch

from kdcore.beside import sides
from kdcore.probe import ProbeError
from kdcore.probes.cka import Cka, _svcca
from kdcore.probes.suggest_pairs import SuggestPairs
from kdcore.revive import Revived
from kdcore.similarity import linear_gram, svcca, unbiased_hsic


@pytest.fixture
def pictures(revived: Callable[..., Revived]) -> Revived:
    return revived("pictures", "fitnet")


def test_each_cell_is_the_sum_over_batches_divided_once(pictures: Revived) -> None:
    answer = Cka(inputs=24, batch=12).ask(pictures)
    assert list(answer.panels) == ["Student × teacher", "Student alone × teacher"]
    seen = sides(pictures).look(pictures.data.validation, 24)
    for part, title in (("student", "Student × teacher"), ("baseline", "Student alone × teacher")):
        assert answer.panels[title].shape == (len(answer.rows), len(answer.columns)) == (2, 3)
        ours, theirs = seen[part].maps[1].flatten(1), seen["teacher"].maps[2].flatten(1)
        crossed = own = other = 0.0
        for cut in (slice(0, 12), slice(12, 24)):
            k, ell = linear_gram(ours[cut]), linear_gram(theirs[cut])
            crossed += unbiased_hsic(k, ell)
            own, other = own + unbiased_hsic(k, k), other + unbiased_hsic(ell, ell)
        assert answer.panels[title][1, 2] == pytest.approx(crossed / (own * other) ** 0.5, rel=1e-5)
    assert "24 validation inputs, 2 batches; whole maps" in answer.title


def test_rbf_takes_one_width_from_all_inputs_and_adds_up_over_batches_too(pictures: Revived) -> None:
    answer = Cka(kernel="rbf", inputs=24, batch=12).ask(pictures)
    seen = sides(pictures).look(pictures.data.validation, 24)
    sides_of_it = [seen["student"].maps[0].flatten(1).double(), seen["teacher"].maps[1].flatten(1).double()]
    apart = [torch.cdist(side, side, compute_mode="donot_use_mm_for_euclid_dist").square() for side in sides_of_it]
    widths = [float(found[found > 0].median()) for found in apart]
    crossed = own = other = 0.0
    for cut in (slice(0, 12), slice(12, 24)):
        k, ell = (torch.exp(-found[cut, cut] / (2 * width)) for found, width in zip(apart, widths, strict=True))
        crossed += unbiased_hsic(k, ell)
        own, other = own + unbiased_hsic(k, k), other + unbiased_hsic(ell, ell)
    assert answer.panels["Student × teacher"][0, 1] == pytest.approx(crossed / (own * other) ** 0.5, rel=1e-4)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_cka_beside_svcca_are_the_numbers_of_either_alone(pictures: Revived, kernel: str) -> None:
    both = Cka(measure="both", kernel=kernel, inputs=24).ask(pictures)
    name = "RBF CKA" if kernel == "rbf" else "Linear CKA"
    alone = {name: Cka(kernel=kernel, inputs=24).ask(pictures), "SVCCA": Cka(measure="svcca", inputs=24).ask(pictures)}
    assert list(both.panels) == [
        f"{measure}: {who} × teacher" for who in ("student", "student alone") for measure in (name, "SVCCA")
    ]
    for measure, answer in alone.items():
        for title, values in answer.panels.items():
            numpy.testing.assert_array_equal(both.panels[f"{measure}: {title.lower()}"], values)
            assert f"SVCCA {alone['SVCCA'].panels['Student × teacher'][-1, -1]:.2f}" in both.says


@pytest.mark.parametrize("setting", [{"kernel": "linear"}, {"kernel": "rbf"}, {"measure": "svcca"}])
def test_the_teacher_beside_itself_is_one_on_the_diagonal_and_symmetric(pictures: Revived, setting: dict) -> None:
    (values,) = Cka(of="teacher", inputs=96, **setting).ask(pictures).panels.values()
    numpy.testing.assert_allclose(numpy.diag(values), 1.0, atol=1e-5)
    numpy.testing.assert_allclose(values, values.T, atol=1e-5)
    assert values.min() < 0.999


def test_svcca_takes_the_mean_of_each_channel_unless_told_otherwise(pictures: Revived) -> None:
    answer = Cka(measure="svcca", inputs=96).ask(pictures)
    seen = sides(pictures).look(pictures.data.validation, 96)
    ours, theirs = (seen[part].maps[0].mean(dim=(2, 3)) for part in ("student", "teacher"))
    assert answer.panels["Student × teacher"][0, 0] == pytest.approx(svcca(ours, theirs), rel=1e-5)
    assert "the mean of each channel" in answer.title
    assert "reads high" in Cka(measure="svcca", features="flatten", inputs=96).ask(pictures).title


def test_svcca_says_when_directions_are_too_many_for_the_inputs() -> None:
    rows = {"teacher": [torch.randn(60, 4, generator=torch.Generator().manual_seed(0))]}
    assert _svcca(rows, ["teacher"], 60)[1] == "up to 4 directions"
    assert _svcca({"teacher": [rows["teacher"][0][:19]]}, ["teacher"], 19)[1].endswith("it reads high")


def test_similarity_does_not_hang_on_the_order_of_inputs_in_one_batch(pictures: Revived) -> None:
    data = pictures.data
    order = torch.randperm(len(data.validation), generator=torch.Generator().manual_seed(0))
    turned = dataclasses.replace(pictures, data=dataclasses.replace(data, validation=data.validation.of(order)))
    whole = {"inputs": len(data.validation), "batch": len(data.validation)}
    for title, values in Cka(**whole).ask(pictures).panels.items():
        numpy.testing.assert_allclose(Cka(**whole).ask(turned).panels[title], values, atol=1e-4)


def test_points_have_similarity_too(revived: Callable[..., Revived]) -> None:
    for probe in (Cka(), SuggestPairs()):
        assert probe.ask(revived("points")).says


def test_pairs_are_ranked_by_the_mean_of_three_and_say_why(pictures: Revived) -> None:
    answer = SuggestPairs().ask(pictures)
    assert sorted(map(tuple, answer.pairs)) == [(s, t) for s in range(2) for t in range(3)]
    mean = (answer.resolution + answer.cka.clip(min=0) + answer.explained) / 3
    numpy.testing.assert_allclose(answer.score, mean, rtol=1e-5)
    assert (numpy.diff(answer.score) <= 0).all()
    cells = Cka().ask(pictures).panels["Student alone × teacher"]
    for (s, t), value, reason in zip(answer.pairs, answer.cka, answer.reasons, strict=True):
        assert value == pytest.approx(cells[s, t], abs=1e-5)
        assert f"CKA {value:.2f}" in reason
        assert reason.endswith("variance.")
    assert sum(answer.matched) == 1, "FitNets matched one pair"
    assert "student alone" in answer.title
    assert "student alone" not in SuggestPairs(network="student").ask(pictures).title


def test_too_few_inputs_are_named(pictures: Revived) -> None:
    few = pictures.data.validation.of(torch.arange(3))
    moment = dataclasses.replace(pictures, data=dataclasses.replace(pictures.data, validation=few))
    for probe in (Cka(), SuggestPairs()):
        with pytest.raises(ProbeError, match="3 validation inputs are too few"):
            probe.ask(moment)
