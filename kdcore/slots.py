"""Slots: how many runs train at once on this machine, shared by all scribes through locked files. No torch."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

LOOK_EVERY = 0.1
"""Seconds between two looks for a free slot."""


@dataclass(frozen=True)
class Slots:
    """One slot for each core, or each GPU. The system frees the slot of a killed process by itself."""

    folder: Path
    kind: str
    """cpu or gpu."""
    count: int

    def take(self, stop: Callable[[], bool]) -> Slot | None:
        """The first free slot, waiting for one; None once `stop` says so."""
        self.folder.mkdir(parents=True, exist_ok=True)
        locks = [FileLock(self.folder / f"{self.kind}-{number}.lock") for number in range(max(1, self.count))]
        while not stop():
            for number, lock in enumerate(locks):
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    continue
                return Slot(number, lock)
            time.sleep(LOOK_EVERY)
        return None

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold a slot within the block, which begins when one is free."""
        slot = self.take(lambda: False)
        assert slot is not None
        try:
            yield
        finally:
            slot.free()


@dataclass(frozen=True)
class Slot:
    """A slot that is taken until `free`."""

    number: int
    lock: FileLock

    def free(self) -> None:
        self.lock.release()
