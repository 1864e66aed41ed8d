"""Questions about a recipe that the worker answers in the background, so that no knob waits for one."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import Lock
from typing import Generic, TypeVar

from kdcore.recipe import Recipe

KEPT = 64
"""Answers that the server remembers."""
AGAIN = 15.0
"""Seconds after which what came to nothing is asked again."""
PATIENCE = 0.25
"""Seconds that a page waits for an answer before it says that one is coming."""

Told = TypeVar("Told")


class Asked(Generic[Told]):
    """One kind of question and the answers that there are. One per server."""

    def __init__(
        self, question: Callable[[Recipe], Told], hands: Executor, *, empty: Callable[[Told], bool],
        outdated: Callable[[Told], bool] = lambda told: False,
    ) -> None:  # fmt: skip
        """`empty`: the worker had no answer. `outdated`: there would be another one by now."""
        self._question, self._hands, self._empty, self._outdated = question, hands, empty, outdated
        self._asked: OrderedDict[str, tuple[float, Future[Told]]] = OrderedDict()
        self._lock = Lock()

    def ask(self, recipe: Recipe) -> Future[Told]:
        """The answer about this recipe, now or later. What nobody waits for any more is dropped from the line."""
        text = recipe.to_text()
        with self._lock:
            when, found = self._asked.get(text, (0.0, None))
            if found is None or self._to_be_asked_again(found, time.monotonic() - when):
                for _, other in list(self._asked.values())[:-4]:
                    other.cancel()
                found = self._hands.submit(self._question, recipe)
                self._asked[text] = (time.monotonic(), found)
            self._asked.move_to_end(text)
            while len(self._asked) > KEPT:
                self._asked.popitem(last=False)
            return found

    def ready(self, recipe: Recipe) -> Told | None:
        """The answer about this recipe if it is there already."""
        with self._lock:
            _, found = self._asked.get(recipe.to_text(), (0.0, None))
        if found is None or not found.done() or found.cancelled() or found.exception() is not None:
            return None
        return found.result()

    def _to_be_asked_again(self, asked: Future[Told], seconds: float) -> bool:
        if not asked.done() or asked.cancelled():
            return asked.cancelled()
        if asked.exception() is not None or self._empty(asked.result()):
            return seconds > AGAIN
        return self._outdated(asked.result())


def waited_for(asked: Future[Told], *, seconds: float = PATIENCE) -> bool:
    """Whether the answer is there, after a moment for one that is quick."""
    began = time.monotonic()
    while not asked.done() and time.monotonic() - began < seconds:
        time.sleep(0.02)
    return asked.done()
