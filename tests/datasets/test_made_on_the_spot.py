"""toy2d and shapes: what is drawn is what the knobs say."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch

from kdcore.datasets.shapes import SENSORS, Shapes, sense
from kdcore.datasets.toy2d import Toy2D
from kdcore.signed_distance import FIGURES
from kdcore.spec import KnobError


@pytest.mark.parametrize("figure", ["moons", "circles"])
def test_moons_and_circles_are_two_classes(figure):
    raw = Toy2D(figure=figure, size=100).load(0)
    assert torch.bincount(raw.labels).tolist() == [50, 50]
    with pytest.raises(KnobError, match="classes=3"):
        Toy2D(figure=figure, classes=3).load(0)


@pytest.mark.parametrize("classes", [2, 5, 8])
@pytest.mark.parametrize("figure", ["spirals", "gaussians"])
def test_spirals_and_gaussians_take_more_classes_in_equal_parts(figure, classes):
    raw = Toy2D(figure=figure, classes=classes, size=800).load(0)
    counts = torch.bincount(raw.labels)
    assert len(counts) == classes == len(raw.class_names)
    assert counts.max() - counts.min() <= 1


def test_noise_is_the_standard_deviation_of_the_places():
    raw = Toy2D(figure="gaussians", classes=4, noise=0.3, size=8000).load(0)
    for label in range(4):
        cloud = raw.images[raw.labels == label]
        angle = 2 * math.pi * label / 4
        torch.testing.assert_close(cloud.mean(0), torch.tensor([math.cos(angle), math.sin(angle)]), atol=0.03, rtol=0)
        torch.testing.assert_close(cloud.std(0), torch.full((2,), 0.3), atol=0.02, rtol=0)


def test_without_noise_the_circles_have_their_radii():
    raw = Toy2D(figure="circles", noise=0.0, size=200).load(0)
    radii = raw.images.norm(dim=1)
    torch.testing.assert_close(radii, torch.where(raw.labels == 0, 1.0, 0.5))


def test_spiral_arms_are_the_same_arm_turned():
    raw = Toy2D(figure="spirals", classes=2, noise=0.0, size=2000).load(0)
    first, second = raw.images[raw.labels == 0], -raw.images[raw.labels == 1]
    nearest = torch.cdist(second, first).min(dim=1).values
    assert nearest.max() < 0.1
    assert torch.cdist(-second, first).min(dim=1).values.median() > 0.1


def test_toy_test_points_are_their_own_and_stay_as_size_moves():
    few, many = Toy2D(size=100).load(1), Toy2D(size=900).load(1)
    assert torch.equal(few.test_images, many.test_images)
    assert torch.cdist(many.images, many.test_images).min() > 0


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_distance_that_fits_the_unit_circle(name):
    line = torch.linspace(-1.6, 1.6, 321, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    distance = FIGURES[name](x, y)
    radius = torch.hypot(x, y)
    assert (distance < 0).any()
    assert radius[distance < 0].max() <= 1.03
    for dimension in (0, 1):
        assert distance.diff(dim=dimension).abs().max() < 0.01 * 1.0001  # it grows no faster than one moves


def test_classes_look_different_where_nothing_else_varies():
    line = torch.linspace(-1, 1, 101)
    y, x = torch.meshgrid(line, line, indexing="ij")
    inside = torch.stack([figure(x, y) < 0 for figure in FIGURES.values()]).flatten(1).double()
    overlap = inside @ inside.T / (inside.sum(1)[:, None] + inside.sum(1) - inside @ inside.T)
    assert (overlap - torch.eye(len(FIGURES))).max() < 0.9


def test_shapes_are_balanced_and_as_many_as_asked_for():
    raw = Shapes(classes=4, size=202).load(0)
    counts = torch.bincount(raw.labels)
    assert len(counts) == 4
    assert counts.max() - counts.min() <= 1
    assert raw.images.shape == (202, 3, 32, 32)
    assert raw.images.dtype == torch.uint8
    assert len(raw.test_images) == 500


def test_test_pictures_are_scenes_of_their_own():
    raw = Shapes(size=500).load(0)
    assert len(torch.cat([raw.images, raw.test_images]).flatten(1).unique(dim=0)) == 1000


def test_scenes_do_not_depend_on_the_piece_they_are_drawn_in(monkeypatch):
    whole = Shapes(size=150).load(0)
    monkeypatch.setattr("kdcore.datasets.shapes.PIECE", 37)
    assert torch.equal(Shapes(size=150).load(0).images, whole.images)


@pytest.mark.parametrize("knob", ["colours", "texture", "clutter", "occlusion"])
def test_each_difficulty_changes_the_picture_but_not_the_scene(knob):
    calm = {"colours": 0.0, "texture": 0.0, "clutter": 0, "occlusion": 0.0}
    loud = {**calm, knob: 4 if knob == "clutter" else 0.6}
    plain, busy = Shapes(size=100, **calm).load(0), Shapes(size=100, **loud).load(0)
    assert torch.equal(plain.labels, busy.labels)
    assert (plain.images != busy.images).flatten(1).any(1).double().mean() > 0.95


def test_without_difficulties_every_picture_has_two_greys_and_the_shape_in_between():
    images = Shapes(size=100, colours=0.0, texture=0.0, clutter=0, occlusion=0.0).load(0).images
    assert (images == images[:, :1]).all()
    assert (images.flatten(1).min(1).values == round(0.28 * 255)).all()
    assert (images.flatten(1).max(1).values == round(0.72 * 255)).all()


def test_more_occlusion_covers_more_of_the_shape():
    calm = {"size": 200, "colours": 0.0, "texture": 0.0, "clutter": 0}
    shown = [
        (Shapes(occlusion=share, **calm).load(0).images == round(0.72 * 255)).double().mean().item()
        for share in (0.0, 0.3, 0.7)
    ]
    assert shown[0] > shown[1] * 1.2 > shown[2] * 1.5


def test_colour_says_nothing_about_the_class():
    raw = Shapes(size=3000, classes=4).load(0)
    means = raw.images.float().mean((2, 3))
    spread = torch.stack([means[raw.labels == label].mean(0) for label in range(4)]).std(0)
    assert (spread < 0.25 * means.std(0)).all()


@pytest.mark.parametrize("teacher", SENSORS)
@pytest.mark.parametrize("student", SENSORS)
def test_both_see_the_same_scenes_through_their_own_sensors(student, teacher):
    raw = Shapes(size=100, student_sees=student, teacher_sees=teacher).load(0)
    assert torch.equal(raw.images, Shapes(size=100, student_sees=student, teacher_sees=student).load(0).images)
    if student == teacher:
        assert raw.partner is None
        assert raw.test_partner is None
    else:
        alone = Shapes(size=100, student_sees=teacher, teacher_sees=teacher).load(0)
        assert torch.equal(raw.partner, alone.images)
        assert torch.equal(raw.test_partner, alone.test_images)


def test_edges_are_where_the_grey_picture_changes():
    rgb = torch.zeros(1, 3, 8, 8)
    rgb[..., 4:] = 1.0
    edges = sense("edges", rgb, torch.zeros(1, 8, 8))
    assert edges[0, 0, 3].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]


def test_depth_is_nearest_at_the_bar_and_farther_behind_the_shape():
    shapes = Shapes(size=100, clutter=0, occlusion=0.3, student_sees="depth", teacher_sees="depth")
    depth = shapes.load(0).images[:, 0].float() / 255
    assert (depth.flatten(1).max(1).values > 0.94).all()
    assert (depth.flatten(1).min(1).values < 0.2).all()
    assert np.isclose(((depth > 0.6) & (depth < 0.9)).double().mean().item(), 0.12, atol=0.06)


def test_five_thousand_shapes_take_less_than_two_seconds():
    before = time.process_time()
    Shapes(size=5000).load(0)
    assert time.process_time() - before < 2.0
