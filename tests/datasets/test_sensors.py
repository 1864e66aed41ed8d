"""The student may see worse than the teacher; the teacher's pictures stay as they are."""

from __future__ import annotations

import pytest
import torch

from kdcore.datasets.digits import Digits
from kdcore.datasets.shapes import Shapes
from kdcore.datasets.toy2d import Toy2D
from kdcore.sensors import NOISE
from kdcore.spec import KnobError


def pixels(sensor: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    plain, changed = Digits().prepare(3), Digits(sensor=sensor).prepare(3)
    assert changed.train.partner is not None
    assert torch.equal(changed.train.labels, plain.train.labels)
    clear = plain.pixels(plain.train.images)
    return clear, changed.partner_pixels(changed.train.partner), changed.pixels(changed.train.images)


@pytest.mark.parametrize("sensor", ["noisy", "low resolution"])
def test_the_teacher_sees_what_it_saw(sensor: str) -> None:
    clear, theirs, _ = pixels(sensor)
    assert torch.allclose(clear, theirs, atol=1e-6)


def test_noise_is_as_strong_as_it_says_and_the_same_in_every_epoch() -> None:
    clear, _, noisy = pixels("noisy")
    middle = (clear > 0.45) & (clear < 0.55)  # where little is cut off
    assert float((noisy - clear)[middle].std()) == pytest.approx(0.9 * NOISE, rel=0.1)
    assert torch.equal(noisy, pixels("noisy")[2])


def test_coarse_pictures_are_means_over_blocks() -> None:
    clear, _, coarse = pixels("low resolution")
    blocks = clear.unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean(dim=(3, 5))
    assert torch.allclose(coarse[:, :, ::2, ::2], blocks, atol=1e-5)
    assert torch.equal(coarse[:, :, ::2, ::2], coarse[:, :, 1::2, 1::2])


def test_a_sensor_of_the_data_s_own_stays_the_teacher_s() -> None:
    data = Shapes(size=100, student_sees="grey", teacher_sees="depth", sensor="low resolution").prepare(0)
    plain = Shapes(size=100, student_sees="grey", teacher_sees="depth").prepare(0)
    assert data.train.partner is not None
    assert plain.train.partner is not None
    assert torch.equal(data.train.partner, plain.train.partner)
    assert not torch.equal(data.train.images, plain.train.images)


def test_points_have_no_sensor_and_nothing_to_cut() -> None:
    with pytest.raises(KnobError, match="points take 'same'"):
        Toy2D(sensor="noisy").prepare(0)
    with pytest.raises(KnobError, match="points take 'none' or 'mixup'"):
        Toy2D(mix="cutmix").prepare(0)
