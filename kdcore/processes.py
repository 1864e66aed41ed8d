"""Which process holds a run, and whether it still lives. No torch."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from typing import Any, Literal

import psutil

Stage = Literal["line", "slot", "work"]
"""line: the app has it and no scribe yet; slot: a scribe waits for a free core; work: it runs."""


SCRIBE, WORKER = 10, 5
"""How far those who train and those who answer step back behind server and browser: `nice`, in 0 to 19."""


def step_back(nice: int) -> None:
    """Let what is pressed and drawn go first where cores are few; where that cannot be said, nothing happens."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(nice, os.getpriority(os.PRIO_PROCESS, 0)))


def this_process(stage: Stage) -> dict[str, Any]:
    """What to write down about this process; the start time tells it from a later one with the same number."""
    return {
        "pid": os.getpid(),
        "create_time": psutil.Process().create_time(),
        "host": platform.node(),
        "stage": stage,
        "time": time.time(),
    }


def alive(found: dict[str, Any]) -> bool | None:
    """Whether that process lives. A zombie is dead. None where this machine cannot know: another host's, or damaged."""
    pid, born = found.get("pid"), found.get("create_time")
    if found.get("host") != platform.node() or not isinstance(pid, int) or not isinstance(born, (int, float)):
        return None
    try:
        process = psutil.Process(pid)
        # Start times are read in clock ticks; two seconds also forgive a small step of the clock.
        return abs(process.create_time() - born) < 2.0 and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False
    except psutil.AccessDenied:
        return None


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
