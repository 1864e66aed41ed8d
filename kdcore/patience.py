"""How far a long answer is, told step by step to whoever waits, who may have it stop. Without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Waits = Callable[[float], None]
"""Told from time to time what share of an answer is done, in [0, 1]. What it raises where nobody wants the rest, in the
worker `Stopped`, ends the answer or the waiting for it."""


class Stopped(Exception):
    """Nobody waits for the answer any more."""


_waits: ContextVar[Waits | None] = ContextVar("waits", default=None)


@contextmanager
def told(waits: Waits) -> Iterator[None]:
    """While it lasts, `waits` hears of every step in this thread."""
    before = _waits.set(waits)
    try:
        yield
    finally:
        _waits.reset(before)


class Way:
    """The steps of one answer. Steps are short: until the next one nobody can stop it."""

    def __init__(self, steps: int) -> None:
        self._steps, self._done = max(1, steps), 0

    def step(self, count: int = 1) -> None:
        """So many more are done. Raises Stopped."""
        self._done += count
        if (waits := _waits.get()) is not None:
            waits(min(1.0, self._done / self._steps))
