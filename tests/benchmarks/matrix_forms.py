"""Losses in matrix form against their written-out forms: `python tests/benchmarks/matrix_forms.py`.

CPU time of value and gradient on one thread (the least of five) and the peak of newly allocated memory, both forms in
one run. Quote the ratios. Written out means that every pair is laid out before it is summed, as the formula reads.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from kdcore.geometry import gram, unit
from kdcore.methods.cc import resemblance
from kdcore.methods.fsp import flow
from kdcore.methods.ickd import channel_correlation
from kdcore.methods.irg import edges
from kdcore.methods.nst import discrepancy, patterns
from kdcore.methods.rkd import angles, differences

Form = Callable[[Tensor], Tensor]
Case = tuple[str, Form, Form, Tensor]
"""Name, written-out form, matrix form, inputs."""


def broadcast_nst(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared polynomial MMD over (N, c, h, w) maps, every pair of channels laid out: (N, c, c, h*w)."""

    def mean_kernel(one: Tensor, other: Tensor) -> Tensor:
        return (one[:, :, None] * other[:, None, :]).sum(dim=-1).pow(2).mean(dim=(1, 2))

    rows = [F.normalize(features.flatten(2), dim=2) for features in (student, teacher)]
    return mean_kernel(rows[1], rows[1]) + mean_kernel(rows[0], rows[0]) - 2 * mean_kernel(rows[0], rows[1])


def broadcast_angles(embedding: Tensor) -> Tensor:
    """(N, N, N) cosines, every pair of unit differences laid out: (N, N, N, D)."""
    units = F.normalize(embedding[None, :] - embedding[:, None], dim=2)
    return (units[:, :, None] * units[:, None, :]).sum(dim=-1)


def broadcast_products(rows: Tensor) -> Tensor:
    """(N, N) inner products, every pair of rows (N, D) laid out: (N, N, D)."""
    return (rows[:, None] * rows[None, :]).sum(dim=-1)


def broadcast_likeness(features: Tensor) -> Tensor:
    """(N, N) inner products of whole maps with rows of length one."""
    return F.normalize(broadcast_products(features.flatten(1)), dim=1)


def broadcast_neighbours(embedding: Tensor) -> Tensor:
    """(N, N) shares of cosine similarity, row by row."""
    alike = (broadcast_products(F.normalize(embedding, dim=1)) + 1.0) / 2.0
    return alike / alike.sum(dim=1, keepdim=True)


def broadcast_resemblance(embedding: Tensor) -> Tensor:
    """(N, N) Gaussian kernel by its series at order 2 and gamma 0.4."""
    cosines = broadcast_products(F.normalize(embedding, dim=1))
    return torch.exp(torch.tensor(-0.8)) * (1.0 + 0.8 * cosines + 0.32 * cosines.square())


def broadcast_edges(features: Tensor) -> Tensor:
    """(N, N) squared distances in units of the largest, every difference laid out: (N, N, D)."""
    rows = features.flatten(1)
    apart = (rows[:, None] - rows[None, :]).square().sum(dim=-1)
    return apart / apart.max()


def broadcast_correlation(features: Tensor) -> Tensor:
    """(N, c, c) inner products of channels with rows of length one, laid out: (N, c, c, h*w)."""
    rows = features.flatten(2)
    return F.normalize((rows[:, :, None] * rows[:, None, :]).sum(dim=-1), dim=2)


def broadcast_flow(shallow: Tensor, deep: Tensor) -> Tensor:
    """(N, c, c') mean products of two layers, every pair of channels laid out: (N, c, c', h*w)."""
    ours, theirs = (layer.flatten(2) for layer in (F.avg_pool2d(shallow, 2), deep))
    return (ours[:, :, None] * theirs[:, None, :]).mean(dim=-1)


def neighbours(embedding: Tensor) -> Tensor:
    """The same shares as matrices, as `pkt` has them but for its rounding guard."""
    alike = (gram(unit(embedding)) + 1.0) / 2.0
    return alike / alike.sum(dim=1, keepdim=True)


def measured(form: Form, inputs: Tensor) -> tuple[float, float]:
    """(CPU seconds, peak bytes) of value and gradient."""

    def once() -> None:
        leaf = inputs.clone().requires_grad_()
        form(leaf).square().mean().backward()

    once()
    times = []
    for _ in range(5):
        began = time.process_time()
        once()
        times.append(time.process_time() - began)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        once()
    held = peak = 0
    for event in watched.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return min(times), float(peak)


def cases() -> list[Case]:
    """Sizes of a small training step: 32 maps of 64 channels on 8x8, 64 embeddings of 64 features."""
    generator = torch.Generator().manual_seed(0)
    maps, taught, deep = (
        torch.randn(32, 64, plane, plane, generator=generator) for plane in (8, 8, 4)
    )  # fmt: skip
    vectors = torch.randn(64, 64, generator=generator)
    return [
        (
            "NST, 32 × 64 channels on 8×8",
            lambda x: broadcast_nst(x, taught),
            lambda x: discrepancy(patterns(x), patterns(taught), "poly2"),
            maps,
        ),
        ("RKD angles, 64 × 64", broadcast_angles, lambda x: angles(differences(x)), vectors),
        ("SP, 32 maps of 4096 numbers", broadcast_likeness, lambda x: unit(gram(x)), maps),
        ("PKT, 64 × 64", broadcast_neighbours, neighbours, vectors),
        ("CC, 64 × 64", broadcast_resemblance, lambda x: resemblance(x, gamma=0.4, order=2), vectors),
        ("IRG edges, 32 maps of 4096 numbers", broadcast_edges, edges, maps),
        ("ICKD, 32 × 64 channels on 8×8", broadcast_correlation, channel_correlation, maps),
        (
            "FSP, 32 × 64 to 64 channels, 8×8 to 4×4",
            lambda x: broadcast_flow(x, deep),
            lambda x: flow(x, deep, "average"),
            maps,
        ),
    ]


def main() -> None:
    torch.set_num_threads(1)
    for name, slow, fast, inputs in cases():
        torch.testing.assert_close(slow(inputs).mean(), fast(inputs).mean(), rtol=1e-4, atol=1e-6)
        (slow_time, slow_memory), (fast_time, fast_memory) = measured(slow, inputs), measured(fast, inputs)
        print(
            f"{name}: {1e3 * slow_time:.1f} ms and {slow_memory / 1e6:.1f} MB laid out, {1e3 * fast_time:.2f} ms and "
            f"{fast_memory / 1e6:.2f} MB as matrices: {slow_time / fast_time:.1f} times faster, "
            f"{slow_memory / max(fast_memory, 1):.1f} times less memory"
        )


if __name__ == "__main__":
    main()
