"""Reads torchvision's data sets: from KDLAB_DATA if they are there, else from a cache that fills itself on demand."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from kdcore.data import DataError, Raw

FOLDERS = {
    "MNIST": "MNIST/raw",
    "FashionMNIST": "FashionMNIST/raw",
    "CIFAR10": "cifar-10-batches-py",
    "CIFAR100": "cifar-100-python",
}
"""Where torchvision keeps each of them, below its root."""
SILENCE = 30.0
"""Seconds without a byte after which a download counts as failed."""
PATIENCE = 900.0
"""Seconds to wait for another process that downloads the same data set."""


def data_folder() -> Path | None:
    """The folder that KDLAB_DATA names, or None where it is not set. Raises DataError if it names no folder."""
    named = os.environ.get("KDLAB_DATA", "")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise DataError(f"KDLAB_DATA is {named!r}, which is no folder; set it to one that holds data, or unset it")
    return folder


def cache_folder() -> Path:
    """Where downloads are kept: KDLAB_CACHE, or .cache/kdlab in the home folder."""
    named = os.environ.get("KDLAB_CACHE", "")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "kdlab"


def read_torchvision(name: str, class_names: tuple[str, ...] | None = None) -> Raw:
    """The training and test set of `torchvision.datasets.<name>`, one of FOLDERS; uint8 pictures (N, c, h, w).

    Files found are used as they are; what is missing is downloaded once into the cache, by one process at a time.
    Raises DataError if the files there cannot be read, or there are none and they cannot be had.
    """
    given = data_folder()
    if given is not None and (given / FOLDERS[name]).is_dir():
        try:
            return _read(name, given, class_names, download=False)
        except Exception as error:  # corrupt files fail in a dozen ways, in torchvision, numpy and pickle
            raise DataError(
                f"{name} in KDLAB_DATA cannot be read: {_said(error)}; "
                f"replace {given / FOLDERS[name]}, or remove it to have {name} downloaded"
            ) from error
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{name}.lock", timeout=PATIENCE), _impatient(SILENCE):
            return _read(name, cache, class_names, download=True)
    except Timeout as error:
        raise DataError(f"another process has been downloading {name} for {PATIENCE:.0f} s; try again later") from error
    except Exception as error:  # as above, and whatever a network can do
        raise DataError(
            f"{name} is not on this machine and downloading it failed: {_said(error)}; "
            f"be online, or set KDLAB_DATA to a folder that holds {FOLDERS[name]}"
            + (f"; if {cache / FOLDERS[name]} is damaged, delete it" if (cache / FOLDERS[name]).exists() else "")
        ) from error


def _read(name: str, root: Path, class_names: tuple[str, ...] | None, *, download: bool) -> Raw:
    from torchvision import datasets  # costs a second, so not on import

    source = getattr(datasets, name)
    train, test = source(root, train=True, download=download), source(root, train=False, download=False)
    return Raw(
        _pictures(train.data),
        torch.as_tensor(train.targets).long(),
        _pictures(test.data),
        torch.as_tensor(test.targets).long(),
        class_names or tuple(train.classes),
    )


def _pictures(data: Any) -> Tensor:
    """What torchvision keeps, (N, h, w) or (N, h, w, 3) uint8, as (N, c, h, w) uint8."""
    images = torch.as_tensor(data)
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()


def _said(error: Exception) -> str:
    """One line of an error, at most 200 characters; torchvision's own run over several lines."""
    return " ".join(str(error).split())[:200].rstrip(".:; ") or type(error).__name__


@contextmanager
def _impatient(seconds: float) -> Iterator[None]:
    """New connections fail after so many seconds of silence: torchvision opens its own, without a limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
