"""What numbers are, in a few letters: equal where all of them are, to the last bit."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

SIZE = 16
"""Bytes of a digest."""


def weights_key(network: nn.Module) -> str:
    """Some letters that change with any weight or buffer, and with the kind of module."""
    digest = hashlib.blake2b(repr(network).encode(), digest_size=SIZE)
    for name, value in (*network.named_parameters(), *network.named_buffers()):
        digest.update(name.encode())
        digest.update(bytes_of(value))
    return digest.hexdigest()


def tensor_key(tensor: Tensor) -> str:
    """Some letters that change with any number in the tensor, its shape, kind or device."""
    digest = hashlib.blake2b(f"{tuple(tensor.shape)} {tensor.dtype} {tensor.device}".encode(), digest_size=SIZE)
    digest.update(bytes_of(tensor))
    return digest.hexdigest()


def bytes_of(tensor: Tensor) -> memoryview:
    """What it holds, row by row."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
