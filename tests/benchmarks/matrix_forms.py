"""Losses in matrix form against their written-out forms: `python tests/benchmarks/matrix_forms.py`.

CPU time of value and gradient on one thread (the least of five) and the peak of newly allocated memory, both forms in
one run. Quote the ratios.
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

from kdcore.methods.nst import discrepancy, patterns
from kdcore.methods.rkd import angles, differences


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


def measured(form: Callable[[Tensor], Tensor], inputs: Tensor) -> tuple[float, float]:
    """(CPU seconds, peak bytes) of value and gradient."""

    def once() -> None:
        leaf = inputs.clone().requires_grad_()
        form(leaf).mean().backward()

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


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    maps, taught = (torch.randn(32, 64, 8, 8, generator=generator) for _ in range(2))
    vectors = torch.randn(64, 64, generator=generator)
    cases: list[tuple[str, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Tensor]] = [
        (
            "NST, 32 × 64 channels on 8×8",
            lambda x: broadcast_nst(x, taught),
            lambda x: discrepancy(patterns(x), patterns(taught), "poly2"),
            maps,
        ),
        ("RKD angles, 64 × 64", broadcast_angles, lambda x: angles(differences(x)), vectors),
    ]
    for name, slow, fast, inputs in cases:
        torch.testing.assert_close(slow(inputs).mean(), fast(inputs).mean(), rtol=1e-4, atol=1e-6)
        (slow_time, slow_memory), (fast_time, fast_memory) = measured(slow, inputs), measured(fast, inputs)
        print(
            f"{name}: {1e3 * slow_time:.1f} ms and {slow_memory / 1e6:.0f} MB laid out, {1e3 * fast_time:.2f} ms and "
            f"{fast_memory / 1e6:.1f} MB as matrices: {slow_time / fast_time:.0f} times faster, "
            f"{slow_memory / max(fast_memory, 1):.0f} times less memory"
        )


if __name__ == "__main__":
    main()
