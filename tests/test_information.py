"""The noise that a feature bears, on features whose relevant pixels are known."""

from __future__ import annotations

import math

import numpy
import pytest
import torch
from torch import Tensor

from kdcore.answers.concepts import Concepts
from kdcore.concept_learning import learning, shared
from kdcore.datasets.shapes import Shapes
from kdcore.information import Feature, concepts, entropies, in_cells, sketch

SETTINGS = {"level": 0.1, "steps": 100, "samples": 4, "seed": 0}
GAUSS = 0.5 * math.log(2 * math.pi * math.e)


def weighted(gains: Tensor) -> Feature:
    return lambda images: (images * gains).flatten(1)


def test_a_linear_feature_holds_the_pixels_that_it_reads_and_discards_the_others() -> None:
    gains = torch.zeros(8, 8)
    gains[:4, :4] = 1.0
    entropy, _ = entropies(weighted(gains), torch.zeros(2, 3, 8, 8), cells=8, **SETTINGS)
    read = gains.bool()
    cap = math.log(0.1 * 10.0) + GAUSS
    numpy.testing.assert_allclose(entropy[:, ~read], cap, atol=1e-4)
    assert float(entropy[:, read].max()) < cap - 1.0
    inside = torch.zeros(2, 8, 8, dtype=torch.bool)
    inside[:, :4, :4] = True
    found, background = concepts(entropy, inside, threshold=0.2)
    assert torch.equal(found, inside), "every concept is on what is read, and all of it is one"
    numpy.testing.assert_allclose(background, cap, atol=1e-4)


def test_a_pixel_read_twice_as_strongly_bears_half_the_noise() -> None:
    """In closed form: sigma_i is inversely proportional to the gain, and the change is shared evenly."""
    gains = torch.ones(8, 8)
    gains[:, 4:] = 2.0
    entropy, change = entropies(weighted(gains), torch.zeros(1, 1, 8, 8), cells=8, **SETTINGS | {"samples": 16})
    left, right = float(entropy[0, :, :4].mean()), float(entropy[0, :, 4:].mean())
    assert left - right == pytest.approx(math.log(2.0), abs=0.05)
    assert float(change) == pytest.approx(1.0, abs=0.05)
    expected = 0.1 * math.sqrt((1.0 + 4.0) / 2.0)  # sigma^2 gain^2 is the same everywhere and adds up to the allowed
    assert left - GAUSS == pytest.approx(math.log(expected), abs=0.05)


def test_the_picture_itself_as_feature_has_no_concepts() -> None:
    torch.manual_seed(0)
    entropy, change = entropies(weighted(torch.ones(8, 8)), torch.rand(3, 3, 8, 8), cells=8, **SETTINGS)
    found, _ = concepts(entropy, torch.zeros(3, 8, 8, dtype=torch.bool), threshold=0.2)
    assert not found.any()
    assert float(entropy.mean()) == pytest.approx(math.log(0.1) + GAUSS, abs=0.03)
    numpy.testing.assert_allclose(change, 1.0, atol=0.05)


def test_a_constant_feature_bears_everything() -> None:
    entropy, change = entropies(
        lambda images: images.new_ones(len(images), 2), torch.rand(2, 1, 8, 8), cells=4, **SETTINGS
    )
    assert entropy.shape == (2, 4, 4)
    assert float(entropy.std()) == pytest.approx(0.0, abs=1e-6)
    assert change.tolist() == [0.0, 0.0]


def test_cells_belong_to_the_object_that_covers_half_of_them() -> None:
    cover = torch.zeros(1, 4, 4)
    cover[0, 0, :3] = 1.0
    assert in_cells(cover, 2).tolist() == [[[True, False], [False, False]]]


def test_masks_are_where_the_shape_was_drawn() -> None:
    """Nearness is the shape's inside its mask, and the background's outside."""
    data = Shapes(size=100, classes=5, clutter=0, student_sees="depth")
    depth = data.load(4).images[:20, 0].float() / 255.0
    cover = data.masks(4, torch.arange(20))
    assert cover.shape == (20, 32, 32)
    assert bool((depth[cover == 1.0] > 0.59).all())
    assert bool((depth[cover == 0.0] < 0.3).all())
    hidden = Shapes(size=100, classes=5, clutter=0, occlusion=0.5)
    assert bool((hidden.masks(4, torch.arange(20)).sum() < 0.95 * cover.sum()).all())


def test_a_sketch_keeps_distances_and_leaves_short_vectors_alone() -> None:
    torch.manual_seed(0)
    short = torch.randn(100)
    assert sketch(short) is short
    one, two = torch.randn(2, 60_000)
    apart = float((sketch(one) - sketch(two)).norm() / (one - two).norm())
    assert sketch(one).shape == (16_384,)
    assert apart == pytest.approx(1.0, abs=0.03)
    torch.testing.assert_close(sketch(one) - sketch(two), sketch(one - two), atol=1e-4, rtol=1e-4)


def answer(epoch: float, weights: list[float], concept: list[list[int]], inside: list[list[int]]) -> Concepts:
    """Two pictures of one row of two cells each."""
    there, on = numpy.array(concept, dtype=numpy.uint8)[:, None], numpy.array(inside, dtype=numpy.uint8)[:, None]
    counts = numpy.stack([(there & on).sum(axis=(1, 2)), (there & (1 - on)).sum(axis=(1, 2))], axis=1).astype(
        numpy.int32
    )
    plain = numpy.zeros((2, 1, 2), dtype=numpy.float32)
    return Concepts(
        "", "", "student", epoch, numpy.zeros((2, 2, 2, 3), numpy.float32), [0, 1], ["a", "b"],
        numpy.zeros((2, 2, 2), numpy.uint8), on, plain, plain[:, 0, 0], there, counts, plain[:, 0, 0], 0.2, "",
        numpy.array(weights, dtype=numpy.float32),
    )  # fmt: skip


def test_shared_concepts_are_those_of_both_among_those_of_either() -> None:
    inside = [[1, 1], [1, 0]]
    first = answer(0, [1.0], [[1, 1], [0, 0]], inside)
    assert shared(first, answer(0, [1.0], [[1, 0], [0, 0]], inside)) == 0.5, "the second picture has none"
    assert shared(first, answer(0, [1.0], [[1, 1], [1, 0]], inside)) == 0.5
    assert shared(first, first) == 1.0
    nothing = answer(0, [1.0], [[0, 0], [0, 0]], inside)
    assert shared(nothing, nothing) == 0.0


def test_when_and_how_stably_concepts_were_learned_by_hand() -> None:
    inside = [[1, 1], [1, 0]]
    found = learning(
        [
            answer(0, [3.0, 4.0], [[0, 0], [0, 1]], inside),
            answer(1, [3.0, 5.0], [[1, 1], [0, 1]], inside),
            answer(2, [3.0, 7.0], [[1, 0], [1, 0]], inside),
        ]
    )
    numpy.testing.assert_allclose(found.path, [0.0, 0.2, 0.6])
    numpy.testing.assert_allclose(found.on, [0.0, 1.0, 1.0])
    numpy.testing.assert_allclose(found.beside, [0.5, 0.5, 0.0])
    numpy.testing.assert_allclose(found.share, [0.0, 0.5, 1.0])
    assert found.early == pytest.approx(0.4), "the first picture was fullest after 0.2, the second after 0.6"
    assert found.spread == pytest.approx(0.2)
    assert found.stability == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="empty"):
        learning([])
