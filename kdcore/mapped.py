"""Rows for which memory is too small, in a file without a name: as fast as memory while the system keeps it there."""

from __future__ import annotations

import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Sequence

import psutil
import torch
from torch import Tensor

SHARE = 4
"""A phase may map one part in so many of the memory and of the disk that are free as it begins: the system then keeps
the file in memory, beside another run's, and gives that memory to whoever needs it more."""


def free() -> int:
    """Bytes that a phase may map now; 0 where no system call takes room on the disk beforehand."""
    if not hasattr(os, "posix_fallocate"):
        return 0
    try:
        disk = shutil.disk_usage(tempfile.gettempdir()).free
    except OSError:
        return 0
    return min(disk, int(psutil.virtual_memory().available)) // SHARE


def empty(like: Tensor, shape: Sequence[int]) -> Tensor:
    """`Tensor.new_empty` in a temporary file that nobody else can open. Raises OSError where the disk is full.

    The room is taken before anything is written: a write to a mapped page for which the disk has none ends the process.
    The file has no name, or loses it at once, so that it goes with the tensor, however the process ends.
    """
    size = math.prod(shape) * like.element_size()
    with tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, size)
        mapped = mmap.mmap(file.fileno(), size)
    return torch.frombuffer(mapped, dtype=like.dtype).view(*shape)
