"""What went wrong, in one sentence with advice, from whatever was raised. No torch."""

from __future__ import annotations

import errno
import time

from kdcore.events import Failed

_FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)
_NO_MEMORY = ("DefaultCPUAllocator", "out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


def failed_by(error: BaseException) -> Failed:
    """The event that ends a run on this error."""
    if is_no_memory(error):
        return Failed(
            time.time(),
            "The memory was not enough for this run.",
            "Try a smaller batch, a narrower network, or fewer pictures (train_size).",
        )
    if is_full(error):
        return Failed(
            time.time(),
            "The disk is full; what was recorded before stays readable.",
            "Free some space, delete old runs, or keep fewer snapshots (training.snapshot_every).",
        )
    return Failed(time.time(), sentence(error), "" if is_told(error) else "The traceback is in the run's fault.txt.")


def sentence(error: BaseException) -> str:
    """One line: the message of what kdcore itself refuses; of anything else also which kind of error it was."""
    if is_no_memory(error):
        return "The memory was not enough. Try a smaller batch, a narrower network, or fewer pictures."
    if is_full(error):
        return "The disk is full. Free some space or delete old runs."
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if is_told(error) and first:
        return first
    return f"{type(error).__name__}: {first}"[:500] if first else type(error).__name__


def is_told(error: BaseException) -> bool:
    """Whether kdcore raised it for a person to read (RecipeError, KnobError, DataError, PairingError, UnknownKey …)."""
    return isinstance(error, ValueError) and type(error).__module__.partition(".")[0] == "kdcore"


def is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _FULL


def is_no_memory(error: BaseException) -> bool:
    """Python's, numpy's and torch's ways to say it, on the CPU and on a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
