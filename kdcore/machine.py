"""What this machine can do at most, measured: matrix products and copies; and what it is, for whoever reads numbers."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Any

import torch

SIDE = 1024
"""Of the matrices multiplied."""
COPIED = 2**26
"""Bytes copied: more than caches hold."""


class Watch:
    """Seconds that work takes: CPU time on a CPU, which neighbours disturb least; wall time to the end on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def seconds(self, work: Callable[[], object]) -> float:
        """What doing it once takes."""
        began = self._now()
        work()
        return self._now() - began

    def least(self, work: Callable[[], object], times: int = 5) -> float:
        """The least of several."""
        return min(self.seconds(work) for _ in range(times))

    def _now(self) -> float:
        if self.device.type != "cuda":
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()


def peak(device: torch.device) -> dict[str, float]:
    """Float32 matrix products in GFLOP/s and copies in GB/s (read and written bytes both count), best of several."""
    watch = Watch(device)
    one, other = (torch.randn(SIDE, SIDE, device=device) for _ in range(2))
    product = torch.empty_like(one)
    source = torch.ones(COPIED // 4, device=device)
    target = torch.empty_like(source)

    def multiply() -> None:
        for _ in range(4):
            torch.mm(one, other, out=product)

    multiply()
    target.copy_(source)
    return {
        "gflops": 4 * 2 * SIDE**3 / watch.least(multiply, 7) / 1e9,
        "copy_gb_s": 2 * COPIED / watch.least(lambda: target.copy_(source), 7) / 1e9,
    }


def described(device: torch.device) -> dict[str, Any]:
    """Machine and versions as plain JSON."""
    from kdcore.processes import cores
    from kdcore.recipe import code_version
    from kdcore.tournament import processor

    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "code": code_version(),
    }
