"""Small stand-ins for the files that torchvision and the folder reader want, in their real formats."""

from __future__ import annotations

import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write_idx(path: Path, values: np.ndarray) -> None:
    """The idx format of MNIST for uint8 values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    )


def write_mnist(folder: Path, *, train: int = 120, test: int = 30) -> None:
    random = np.random.default_rng(0)
    for part, count in (("train", train), ("t10k", test)):
        write_idx(folder / f"{part}-images-idx3-ubyte", random.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))


def write_cifar(folder: Path, source: type, *, labels: str, classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """CIFAR's pickles with 200 pictures each, and torchvision told their checksums."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)

    def write(name: str, content: dict) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    for part in ("train_list", "test_list"):
        sums = []
        for name, _ in getattr(source, part):
            pixels = random.integers(0, 256, (200, 3072), dtype=np.uint8)
            sums.append([name, write(name, {"data": pixels, labels: [place % classes for place in range(200)]})])
        monkeypatch.setattr(source, part, sums)
    names = {source.meta["key"]: [f"thing {place}" for place in range(classes)]}
    monkeypatch.setattr(source, "meta", {**source.meta, "md5": write(source.meta["filename"], names)})


def write_pictures(folder: Path, count: int, *, size: tuple[int, int] = (20, 16), ending: str = "png") -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(list(folder.name.encode()))
    for place in range(count):
        pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{place:03}.{ending}")
