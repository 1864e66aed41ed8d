"""Defensive distillation masks the gradient: it fools an attacker until the attacker divides by the temperature."""

from __future__ import annotations

import pytest
import torch

from kdcore.attacks import Attacker, accuracy
from kdcore.engine import run
from kdcore.events import Finished, Shown
from kdcore.networks.plain import Plain
from kdcore.recipe import Recipe
from kdcore.schemes.defensive_distillation import enlarge_answers
from kdcore.stage import set_stage


def recipe(data: str = "digits", student: str = "plain") -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": data},
            "student": {"is": student, "width": 8},
            "scheme": {"is": "defensive_distillation", "pictures": 32, "steps": 3},
            "methods": [],
            "training": {"epochs": 2, "batch": 64},
        }
    )


def trained() -> tuple[Plain, object]:
    stage = set_stage(recipe())
    network = stage.cast["student"]
    optimizer = torch.optim.AdamW(network.parameters(), 0.01)
    split = stage.data.train
    torch.manual_seed(0)
    for _ in range(60):
        rows = torch.randint(len(split), (128,))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(split.images[rows]), split.labels[rows]).backward()
        optimizer.step()
    return network.eval(), stage.data  # type: ignore[return-value]


@pytest.fixture(scope="module")
def network_and_data() -> tuple[Plain, object]:
    return trained()


@pytest.mark.parametrize("kind", ["fgsm", "pgd"])
def test_an_attack_stays_within_its_reach_and_among_pixels_and_hurts(network_and_data, kind: str) -> None:  # type: ignore[no-untyped-def]
    network, data = network_and_data
    images, truth = data.validation.images, data.validation.truth
    changed = getattr(Attacker(data), kind)(network, images, truth, 0.15)
    moved = (changed - images) * data.std
    pixels = changed * data.std + data.mean
    assert float(moved.abs().max()) <= 0.15 + 1e-5
    assert float(pixels.min()) >= -1e-5
    assert float(pixels.max()) <= 1 + 1e-5
    assert accuracy(network, changed, truth) < accuracy(network, images, truth) - 0.2
    assert torch.equal(getattr(Attacker(data), kind)(network, images, truth, 0.0), images)
    assert all(parameter.grad is None or parameter.requires_grad for parameter in network.parameters())


def test_saturated_answers_hide_the_slope_and_dividing_by_the_temperature_brings_it_back(network_and_data) -> None:  # type: ignore[no-untyped-def]
    network, data = network_and_data
    images, truth = data.validation.images, data.validation.truth
    attacker = Attacker(data)
    plain = accuracy(network, attacker.fgsm(network, images, truth, 0.15), truth)
    enlarge_answers(network, 1000.0)
    masked = accuracy(network, attacker.fgsm(network, images, truth, 0.15), truth)
    broken = accuracy(network, attacker.fgsm(network, images, truth, 0.15, 1000.0), truth)
    enlarge_answers(network, 1 / 1000.0)
    assert masked > plain + 0.2
    assert broken == pytest.approx(plain, abs=0.02)


def test_trained_at_a_temperature_the_answers_are_that_much_farther_apart() -> None:
    def gap(temperature: float) -> float:
        asked = recipe().with_setting("scheme.temperature", temperature).with_setting("training.epochs", 6)
        from tests.schemes.test_every_scheme import Kept, revive

        events = list(run(asked))
        assert isinstance(events[-1], Finished)
        kept = Kept(asked, events)
        revived = revive(kept, kept.history().snapshots[-1].name)
        first, second = revived.networks["student"](revived.data.test.images).topk(2, dim=1).values.unbind(dim=1)
        return float((first - second).median())

    assert gap(20.0) > 5 * gap(1.0)


def test_points_can_be_attacked_too() -> None:
    *events, last = run(recipe("toy2d", "mlp"))
    assert isinstance(last, Finished), last
    assert sum(isinstance(event, Shown) for event in events) == 9
