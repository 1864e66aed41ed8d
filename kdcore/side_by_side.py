"""The same work on several lots at once, one core for each: for answers, which should not take long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache
from typing import TypeVar

from kdcore.processes import cores

NAME = "side by side"
"""Of its threads, which do lots of their own one after another: waiting for each other they would never end."""
Given = TypeVar("Given")
Made = TypeVar("Made")
MOST = 4
"""Cores that one answer takes at most: something may be training beside it."""


def side_by_side(do: Callable[[Given], Made], lots: Iterable[Given]) -> Iterator[Made]:
    """What `do` makes of each lot, in their order: each lot in one thread, so that it comes out bit for bit as it would
    one after another. `told` hears of their steps too; `no_grad` and other modes of torch are this thread's own.
    """
    lots = list(lots)
    count = min(MOST, cores())
    if count < 2 or len(lots) < 2 or threading.current_thread().name.startswith(NAME):
        yield from map(do, lots)
        return
    futures = [_threads(count).submit(copy_context().run, do, lot) for lot in lots]
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


@lru_cache(maxsize=1)
def _threads(count: int) -> ThreadPoolExecutor:
    """Kept: what a thread has made ready for a layer's shapes is its own."""
    return ThreadPoolExecutor(count, thread_name_prefix=NAME)
