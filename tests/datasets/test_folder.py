"""Folders of pictures: two layouts, honest errors, nothing outside KDLAB_DATA, no bombs."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from stand_ins import write_pictures

from kdcore.data import DataError
from kdcore.datasets.folder import Folder
from kdcore.pictures import read_picture
from kdcore.spec import KnobError


def pets(root: Path, count: int = 20) -> Path:
    for name in ("cat", "dog"):
        write_pictures(root / "pets" / name, count)
    return root / "pets"


def test_a_fifth_of_each_class_becomes_the_test_set(data_root):
    pets(data_root)
    raw = Folder(name="pets").load(0)
    assert raw.class_names == ("cat", "dog")
    assert raw.images.shape == (32, 3, 32, 32)
    assert torch.bincount(raw.labels).tolist() == [16, 16]
    assert torch.bincount(raw.test_labels).tolist() == [4, 4]
    every = torch.cat([raw.images, raw.test_images]).flatten(1)
    assert len(every.unique(dim=0)) == 40


def test_the_seed_draws_the_test_set(data_root):
    pets(data_root)
    assert torch.equal(Folder(name="pets").load(1).test_images, Folder(name="pets").load(1).test_images)
    assert not torch.equal(Folder(name="pets").load(1).test_images, Folder(name="pets").load(2).test_images)


def test_train_and_test_folders_are_kept_apart(data_root):
    for part, count in (("train", 12), ("test", 5)):
        for name in ("ant", "bee", "cow"):
            write_pictures(data_root / "zoo" / part / name, count)
    raw = Folder(name="zoo").load(0)
    assert torch.bincount(raw.labels).tolist() == [12] * 3
    assert torch.bincount(raw.test_labels).tolist() == [5] * 3


def test_side_grey_and_per_class_are_kept(data_root):
    pets(data_root)
    raw = Folder(name="pets", side=16, grey=True, per_class=3).load(0)
    assert raw.images.shape == (6, 1, 16, 16)
    assert len(raw.test_images) <= 6


def test_a_nested_name_and_a_link_within_are_found(data_root):
    pets(data_root / "deeper")
    assert len(Folder(name="deeper/pets").load(0).labels) == 32
    (data_root / "alias").symlink_to(data_root / "deeper/pets")
    assert len(Folder(name="alias").load(0).labels) == 32


def test_the_middle_square_is_kept(data_root):
    wide = np.zeros((10, 40, 3), dtype=np.uint8)
    wide[:, :12] = 255
    wide[:, 28:] = 255
    Image.fromarray(wide).save(data_root / "wide.png")
    assert read_picture(data_root / "wide.png", side=8, grey=False).max() == 0


@pytest.mark.parametrize("ending", ["jpg", "jpeg", "png", "bmp", "gif", "webp", "ppm", "tiff", "PNG"])
def test_every_promised_format_is_read(data_root, ending):
    Image.new("RGB", (30, 20), (200, 100, 50)).save(data_root / f"picture.{ending}")
    picture = read_picture(data_root / f"picture.{ending}", side=8, grey=False)
    assert (picture.float().mean((1, 2)) - torch.tensor([200.0, 100.0, 50.0])).abs().max() < 6


@pytest.mark.parametrize(
    ("image", "value"),
    [
        (Image.new("L", (9, 9), 77), 77),
        (Image.new("1", (9, 9), 1), 255),
        (Image.new("RGBA", (9, 9), (0, 0, 0, 0)), 255),
        (Image.new("LA", (9, 9), (10, 255)), 10),
        (Image.fromarray(np.full((9, 9), 0x4D01, dtype=np.uint16)), 0x4D),
        (Image.new("P", (9, 9), 0), 0),
    ],
)
def test_every_kind_of_pixel_is_understood(data_root, image, value):
    image.save(data_root / "picture.png")
    for grey in (False, True):
        picture = read_picture(data_root / "picture.png", side=8, grey=grey)
        assert picture.shape == (1 if grey else 3, 8, 8)
        assert (picture == value).all()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("..", KnobError),
        ("../data", KnobError),
        ("pets/../..", KnobError),
        ("pets/../pets", KnobError),
        (".", KnobError),
        ("./", KnobError),
        ("/", KnobError),
        ("/etc", KnobError),
        ("out", KnobError),
        ("out/inner", KnobError),
        ("a\0b", KnobError),
        ("\ud800", KnobError),
        ("pets\n", KnobError),
        ("..\\data", KnobError),
        ("C:\\", KnobError),
        ("loop", DataError),
        ("file", DataError),
        ("file/pets", DataError),
        ("nothing", DataError),
        ("", DataError),
        ("  ", DataError),
        ("x" * 200, DataError),
        ("x/" * 100, DataError),
        ("~", DataError),
    ],
)
def test_no_name_leads_out_and_every_refusal_lists_what_there_is(name, error, data_root, tmp_path):
    pets(data_root)
    pets(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/inner").mkdir()
    (data_root / "out").symlink_to(tmp_path / "elsewhere")
    (data_root / "loop").symlink_to(data_root / "loop")
    (data_root / "file").write_text("")
    with pytest.raises(error, match=r"there are .*pets"):
        Folder(name=name).load(0)


def test_class_folders_and_pictures_that_lead_out_are_refused(data_root, tmp_path):
    folder = pets(data_root)
    write_pictures(tmp_path / "secret", 3)
    (folder / "rat").symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match="rat is a link that leads out"):
        Folder(name="pets").load(0)
    (folder / "rat").unlink()
    (folder / "cat/leak.png").symlink_to(tmp_path / "secret/000.png")
    with pytest.raises(DataError, match=r"cat/leak.png is a link that leads out"):
        Folder(name="pets").load(0)


def test_without_kdlab_data_the_error_names_it(monkeypatch):
    monkeypatch.delenv("KDLAB_DATA", raising=False)
    with pytest.raises(DataError, match="KDLAB_DATA is not set"):
        Folder(name="pets").load(0)


def test_an_empty_kdlab_data_says_so(data_root):
    with pytest.raises(DataError, match="KDLAB_DATA holds no folders"):
        Folder(name="pets").load(0)


def test_an_empty_folder_a_single_class_and_an_empty_class_are_named(data_root):
    (data_root / "pets").mkdir()
    with pytest.raises(DataError, match="pets holds no folders"):
        Folder(name="pets").load(0)
    write_pictures(data_root / "pets/cat", 4)
    with pytest.raises(DataError, match="single class, 'cat'"):
        Folder(name="pets").load(0)
    (data_root / "pets/dog").mkdir()
    (data_root / "pets/dog/notes.txt").write_text("no picture")
    with pytest.raises(DataError, match="without a picture: dog"):
        Folder(name="pets").load(0)
    write_pictures(data_root / "pets/eel", 1)
    (data_root / "pets/dog/notes.txt").unlink()
    (data_root / "pets/dog").rmdir()
    with pytest.raises(DataError, match="pets/eel holds 1 picture"):
        Folder(name="pets").load(0)


def test_a_train_folder_alone_is_told_from_a_class(data_root):
    for name in ("cat", "dog"):
        write_pictures(data_root / "pets/train" / name, 3)
    with pytest.raises(DataError, match="train and test belong together"):
        Folder(name="pets").load(0)


def test_test_classes_that_differ_are_named(data_root):
    for part, names in (("train", ("cat", "dog", "eel")), ("test", ("cat", "dog", "fox"))):
        for name in names:
            write_pictures(data_root / "pets" / part / name, 2)
    with pytest.raises(DataError, match="eel, fox stand in one of them only"):
        Folder(name="pets").load(0)


def _png_of(width: int, height: int) -> bytes:
    """A PNG whose header promises a size that its few bytes of content do not hold."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cat/broken.png is no picture"),
        (b"#!/bin/sh\necho hello\n", "cat/broken.png is no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cat/broken.png is no picture"),
        (b"\x89PNG\r\n\x1a\n", "cat/broken.png is no picture"),
        (_png_of(64, 64), "cat/broken.png is no picture"),
        (_png_of(8000, 8000), "cat/broken.png has 8000 x 8000 pixels"),
        (_png_of(12000, 12000), "cat/broken.png has 12000 x 12000 pixels"),
        (_png_of(50000, 50000), "cat/broken.png has too many pixels"),
    ],
)
def test_what_is_no_picture_or_a_bomb_is_refused_by_name(content, message, data_root):
    folder = pets(data_root)
    (folder / "cat/broken.png").write_bytes(content)
    with pytest.raises(DataError, match=message):
        Folder(name="pets").load(0)


def test_a_cut_off_jpeg_is_refused_by_name(data_root):
    folder = pets(data_root)
    write_pictures(folder / "eel", 2, size=(200, 200), ending="jpg")
    whole = (folder / "eel/000.jpg").read_bytes()
    (folder / "eel/000.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"eel/000.jpg is no picture"):
        Folder(name="pets").load(0)


def test_what_is_neither_file_nor_folder_is_passed_over(data_root):
    folder = pets(data_root)
    os.mkfifo(folder / "cat/pipe.png")
    (folder / "cat/.hidden.png").write_text("")
    (folder / "README.md").write_text("")
    (folder / ".git").mkdir()
    assert len(Folder(name="pets").load(0).labels) == 32


def test_more_pictures_than_fit_into_memory_are_refused_before_reading(data_root, monkeypatch):
    pets(data_root)
    monkeypatch.setattr("kdcore.datasets.folder.MOST_VALUES", 10_000)
    with pytest.raises(DataError, match=r"40 pictures would take .* lower per_class=500 or side=32"):
        Folder(name="pets").load(0)


def test_real_pictures_are_read():
    folder = os.environ.get("KDLAB_DATA")
    if not folder or not (Path(folder) / "cifar10-images/train").is_dir():
        pytest.skip("KDLAB_DATA holds no cifar10-images")
    data = Folder(name="cifar10-images", per_class=10, side=16).prepare(0)
    assert data.classes == 10
    assert data.class_names[0] == "airplane"
    assert len(data.train) + len(data.validation) == 100
    assert len(data.test) == 100
