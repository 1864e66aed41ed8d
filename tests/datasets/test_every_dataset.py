"""What holds for every data set in the folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import torch
from stand_ins import write_cifar, write_mnist, write_pictures
from torchvision import datasets as official

import kdcore.datasets
from kdcore.dataset import Data, DataError, Dataset
from kdcore.registry import discover
from kdcore.spec import KnobError

FOUND = discover(kdcore.datasets, Dataset)
SMALL = {"toy2d": {"size": 300}, "shapes": {"size": 200}, "folder": {"name": "pets", "side": 16}}


@pytest.fixture
def small(data_root: Path, monkeypatch: pytest.MonkeyPatch):
    """Prepares a data set by its key, at a small size, from files in the real formats."""
    write_mnist(data_root / "MNIST/raw")
    write_mnist(data_root / "FashionMNIST/raw")
    for source, labels, classes in ((official.CIFAR10, "labels", 10), (official.CIFAR100, "fine_labels", 100)):
        write_cifar(data_root / source.base_folder, source, labels=labels, classes=classes, monkeypatch=monkeypatch)
    for name in ("cat", "dog", "newt"):
        write_pictures(data_root / "pets" / name, 20)

    def prepared(key: str, seed: int = 0, **settings) -> Data:
        return FOUND[key](**SMALL.get(key, {}), **settings).prepare(seed)

    return prepared


every = pytest.mark.parametrize("key", FOUND)


def test_the_folder_holds_what_was_promised():
    assert set(FOUND) >= {"toy2d", "digits", "shapes", "fashion_mnist", "mnist", "cifar10", "cifar100", "folder"}


@every
def test_it_has_a_card(key):
    kind = FOUND[key]
    first = (kind.__doc__ or "").strip().splitlines()[0]
    assert first.endswith(".")
    assert kind.title
    assert kind.where
    assert all(knob.help.endswith(".") for knob in kind.knobs.values())


@every
def test_inputs_have_the_shape_and_range_that_training_expects(key, small):
    data = small(key)
    assert data.images_of_plane == (FOUND[key].gives == "images")
    if data.images_of_plane:
        assert data.shape[0] in (1, 3)
        assert 8 <= data.shape[1] == data.shape[2] <= 64
    else:
        assert data.shape == (2,)
    for part in (data.train, data.teacher_train, data.validation, data.test):
        assert part.images.shape == (len(part), *data.shape)
        assert part.images.dtype == torch.float32
        assert part.images.isfinite().all()
        assert part.truth.dtype == torch.int64
        assert part.truth.min() >= 0
        assert part.truth.max() < data.classes
    assert data.classes == len(data.class_names) == len(set(data.class_names))
    inputs = data.train.images
    dims = (0, 2, 3) if data.images_of_plane else (0,)
    torch.testing.assert_close(inputs.mean(dims), torch.zeros(data.shape[0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(inputs.std(dims), torch.ones(data.shape[0]), atol=1e-2, rtol=0)


@every
def test_the_same_seed_gives_the_same_data(key, small):
    first, again = small(key, seed=5, label_noise=0.3), small(key, seed=5, label_noise=0.3)
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(first, part).images, getattr(again, part).images)
        assert torch.equal(getattr(first, part).labels, getattr(again, part).labels)


@every
def test_another_seed_splits_otherwise(key, small):
    assert not torch.equal(small(key, seed=0).validation.index, small(key, seed=1).validation.index)


@every
def test_training_and_validation_share_no_picture(key, small):
    data = small(key)
    train, validation = set(data.train.index.tolist()), set(data.validation.index.tolist())
    assert not train & validation
    assert len(train) == len(data.train)
    assert len(validation) == len(data.validation)


@every
def test_no_setting_raises_anything_but_a_sentence(key, small):
    hostile = [
        0,
        -1,
        1,
        2,
        7,
        999,
        10**12,
        0.0,
        0.5,
        1.0,
        float("nan"),
        float("inf"),
        "",
        "..",
        "/",
        "a\0b",
        None,
        [],
        {},
        True,
    ]
    for name, knob in FOUND[key].knobs.items():
        for value in [*hostile, *knob.choices]:
            settings = {**SMALL.get(key, {}), name: value}
            with suppress(KnobError, DataError):
                assert len(FOUND[key](**settings).prepare(0).train) > 0
