"""What methods lay side by side is what they compare, and each tensor is what its method says it is."""

from __future__ import annotations

import pytest
import torch

from kdcore.shown import Shown, guessed
from kdcore.views import Laid, has_view, named

from .fixture import CLASSES, METHODS, both, loss, made

KNOWLEDGE = pytest.mark.parametrize(
    "key", [key for key, method in METHODS.items() if method.family in ("feature", "relation", "response")]
)
SHOWN = pytest.mark.parametrize("key", [key for key in METHODS if METHODS[key].shows])


@KNOWLEDGE
def test_every_method_between_two_networks_shows_what_it_compares_or_says_why_not(key):
    method = made(key, *both(key, 5)[:2])
    if has_view(method):
        assert method.view(*both(key, 5)[:2])
    else:
        why = method.no_view
        assert why.endswith(".")
        assert why[0].isupper()


@pytest.mark.parametrize("key", ["ce", "label_smoothing", "tfkd_reg"])
def test_methods_without_a_teacher_say_that_there_is_nothing_to_lay_beside(key):
    method = made(key, *both(key, 5)[:2])
    assert not has_view(method)
    assert method.no_view.endswith(".")


@SHOWN
def test_each_tensor_has_the_shape_of_what_it_is_said_to_be(key):
    student, teacher, _ = both(key, 7)
    method = made(key, student, teacher)
    ours, theirs = method.view(student, teacher)
    told = named(method, Laid("student", ours, theirs), images=7, classes=CLASSES)
    for shown, tensor in zip(told, ours, strict=True):
        shape = tuple(tensor.shape)
        assert shown.name
        assert shown.value
        expected = {
            "channels": (7, *shape[1:2], *shape[2:]), "plane": (7, *shape[1:]), "matrix": (7, *shape[1:]),
            "images": (7, 7), "angles": (7, 7, 7), "classes": (7, CLASSES), "numbers": (7, *shape[1:]),
            "pixels": (7, 1, 8, 8), "weights": shape,
        }[shown.kind]  # fmt: skip
        dimensions = {"channels": 4, "plane": 3, "matrix": 3, "images": 2, "angles": 3, "classes": 2, "numbers": 2}
        assert shape == expected
        assert len(shape) == dimensions.get(shown.kind, len(shape))
        assert shown.kind != "matrix" or (shown.rows and shown.columns)
        assert shown.kind != "numbers" or shown.rows or len(shown.names) == shape[1]


def divergence(ours, theirs):
    return (theirs * (theirs / ours).log()).nan_to_num().sum(dim=1).mean()


REBUILT = {
    "at": lambda ours, theirs: sum((a - b).square().mean() for a, b in zip(ours, theirs, strict=True)),
    "sp": lambda ours, theirs: (ours[0] - theirs[0]).square().mean(),
    "fsp": lambda ours, theirs: sum((a - b).square().mean() for a, b in zip(ours, theirs, strict=True)),
    "kd": lambda ours, theirs: 16.0 * divergence(ours[0], theirs[0]),
    "hard_label_kd": lambda ours, theirs: -(theirs[0] * ours[0].log()).sum(dim=1).mean(),
    "weight_distance": lambda ours, theirs: sum(
        0.5 * (a - b).square().sum() for a, b in zip(ours, theirs, strict=True)
    ),
    "fitnet": lambda ours, theirs: (ours[0] - theirs[0]).square().mean(),
    "pkt": lambda ours, theirs: (theirs[0] * (theirs[0] / ours[0]).log()).mean(),
}


@pytest.mark.parametrize("key", REBUILT)
def test_the_loss_can_be_rebuilt_from_the_view(key):
    student, teacher, batch = both(key, 5, dtype=torch.float64)
    method = made(key, student, teacher)
    ours, theirs = method.view(student, teacher)
    found = loss(method(student, teacher, batch))
    torch.testing.assert_close(REBUILT[key](ours, theirs), found, rtol=1e-5, atol=1e-9)


def test_the_two_parts_of_dkd_are_rebuilt_when_the_label_is_the_teachers_first_choice():
    student, teacher, batch = both("dkd", 5, dtype=torch.float64)
    method = made("dkd", student, teacher, beta=3.0)
    chosen = teacher.logits.argmax(dim=1)
    terms = method(student, teacher, type(batch)(batch.images, chosen, batch.index, batch.progress))
    ours, theirs = method.view(student, teacher)
    torch.testing.assert_close(terms["label"].mean(), 16.0 * divergence(ours[0], theirs[0]))
    torch.testing.assert_close(terms["ranking"].mean(), 16.0 * 3.0 * divergence(ours[1], theirs[1]))
    assert (ours[1].gather(1, chosen[:, None]) == 0).all()
    torch.testing.assert_close(ours[1].sum(dim=1), torch.ones(5, dtype=torch.float64))


def test_nst_shows_moments_but_with_a_gaussian_kernel_nothing():
    student, teacher, _ = both("nst", 3)
    assert made("nst", student, teacher).shows[0].kind == "matrix"
    assert made("nst", student, teacher, kernel="linear").shows[0].kind == "numbers"
    assert "infinitely many" in made("nst", student, teacher, kernel="gaussian").no_view


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((5, 3, 2, 2), "channels"), ((5, 5, 5), "angles"), ((5, 3, 4), "matrix"), ((5, 4), "classes"), ((5, 5), "images"),
     ((5, 9), "numbers"), ((6,), "numbers")],
)  # fmt: skip
def test_a_tensor_that_no_method_has_named_is_told_by_its_shape(shape, kind):
    assert isinstance(guessed(shape, 5, 4), Shown)
    assert guessed(shape, 5, 4).kind == kind
