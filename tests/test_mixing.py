"""Mixup and CutMix: both networks see the same picture, and labels count by what is left of theirs."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F

from kdcore.engine import run
from kdcore.events import Finished
from kdcore.methods.ce import CrossEntropy
from kdcore.mixing import cutmix, mixed, mixup, of_both, shares
from kdcore.recipe import Recipe
from kdcore.stage import Losses, set_stage
from kdcore.training import PhaseRun
from kdcore.vocabulary import Batch, Seen

INDEX = torch.arange(40)


def seen(logits: torch.Tensor) -> Seen:
    return Seen(logits, (), (), logits)


def flat(height: int = 8, width: int = 6) -> torch.Tensor:
    """Picture i has the value i everywhere."""
    return INDEX.double().view(-1, 1, 1, 1).expand(-1, 2, height, width).clone()


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_a_picture_is_its_own_by_exactly_its_share(kind: str) -> None:
    own = shares(INDEX, kind=kind, seed=1, epoch=2, shape=(2, 8, 6)).double()
    means = mixed(flat(), INDEX, kind=kind, seed=1, epoch=2).mean(dim=(1, 2, 3))
    assert torch.allclose(means, own * INDEX + (1 - own) * INDEX.roll(1), atol=1e-5)
    assert bool((own >= 0.5).all())
    assert float(own.std()) > 0.05


@pytest.mark.parametrize("how", [mixup, cutmix])
def test_with_a_generator_too(how) -> None:  # type: ignore[no-untyped-def]
    images, own = how(flat(), torch.Generator().manual_seed(0))
    expected = own.double() * INDEX + (1 - own.double()) * INDEX.roll(1)
    assert torch.allclose(images.mean(dim=(1, 2, 3)), expected, atol=1e-5)


def test_a_pasted_box_is_whole_and_the_rest_untouched() -> None:
    images = mixed(flat(), INDEX, kind="cutmix", seed=0, epoch=0)
    for place, picture in enumerate(images[:, 0]):
        other = picture != place
        assert bool((picture[other] == (place - 1) % 40).all())
        if other.any():
            assert int(other.any(1).sum()) * int(other.any(0).sum()) == int(other.sum())


def test_each_epoch_mixes_anew_and_any_can_be_replayed() -> None:
    first, again, later = (mixed(flat(), INDEX, kind="mixup", seed=0, epoch=epoch) for epoch in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


def test_label_terms_are_those_of_the_mixed_label() -> None:
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    share = torch.linspace(0.5, 1.0, 6)
    batch = Batch(torch.zeros(6, 2), labels, INDEX[:6], other=labels.roll(1), share=share)
    found = of_both(CrossEntropy(), seen(logits), seen(logits), batch)["ce"]
    target = share[:, None] * F.one_hot(labels, 4) + (1 - share)[:, None] * F.one_hot(labels.roll(1), 4)
    assert torch.allclose(found, F.cross_entropy(logits, target, reduction="none"), atol=1e-6)


def recipe(kind: str, **changes: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 160, "mix": kind},
            "teacher": {"is": "plain", "width": 8, "stage_count": 2},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": "ce"}, {"is": "kd"}],
            "training": {"epochs": 2, "teacher_epochs": 2, "batch": 32},
            **changes,
        }
    )


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_the_teacher_is_asked_about_the_very_picture_that_the_student_sees(kind: str) -> None:
    stage = set_stage(recipe(kind))
    phase = list(stage.scheme.phases(stage.cast, Losses(stage)))[-1]
    running = PhaseRun(stage, phase)
    looked: Mapping[str, list[torch.Tensor]] = {"teacher": [], "student": []}
    for role, kept in looked.items():
        network = stage.cast[role]
        plain = network.look
        network.look = lambda images, plain=plain, kept=kept: (kept.append(images), plain(images))[1]  # type: ignore[method-assign]
    running.step()
    assert torch.equal(looked["teacher"][0], looked["student"][0])
    pictures = stage.data.train.images
    assert not any(bool((pictures == one).flatten(1).all(1).any()) for one in looked["student"][0][:8])


@pytest.mark.parametrize(
    "data", [{"is": "digits", "train_size": 160, "mix": "cutmix"}, {"is": "toy2d", "mix": "mixup"}]
)
def test_a_run_that_mixes_says_the_same_twice(data: dict[str, object]) -> None:
    networks = {"teacher": {"is": "mlp"}, "student": {"is": "mlp", "width": 8}}
    ends = [list(run(recipe("none", data=data, **networks)))[-1] for _ in range(2)]
    assert all(isinstance(end, Finished) for end in ends), ends
    assert ends[0].results == ends[1].results  # type: ignore[attr-defined]
