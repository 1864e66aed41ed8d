"""What stands on a worker elsewhere: trains one recipe in a thread and hands out what it says. Knows nothing of Ray."""

from __future__ import annotations

import importlib
import json
import os
import queue
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING

from kdcore.recipe import Recipe

if TYPE_CHECKING:
    from kdcore.foundation import Laid
    from kdcore.sources.parcels import Parcel

ROOM = 32_000_000
"""Bytes that may lie ready before training waits for whoever fetches them."""
SILENCE = 1.0
"""Seconds after which an empty answer is given: whoever asks learns that the worker lives."""
GATHER = 0.01
"""Seconds in which what is said together is gathered into one answer."""
OVER: Parcel = (b'{"over":true}', b"")
"""Nothing more will come."""


def hide_gpus() -> None:
    """From torch, which this process must not have imported yet: a worker that was given no GPU takes none."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


class Trainer:
    """One run at a time. `begin` it, ask for `more` again and again, and `answer` what is asked in between."""

    def __init__(self, *, gpu: bool) -> None:
        """`gpu`: whether this worker was given one; else it sees none, whatever the machine has."""
        if not gpu:
            hide_gpus()
        self._change = threading.Condition()
        self._ready: deque[Parcel] = deque()
        self._bytes = 0
        self._answers: queue.SimpleQueue[tuple[str, list[Parcel], bytes] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def warm(self) -> None:
        """Import what training needs."""
        importlib.import_module("kdcore.engine")

    def begin(self, recipe: str, start: Parcel | None) -> None:
        """Train the recipe, given as text; another run of this worker has ended before."""
        if self._thread is not None:
            self._thread.join()
        self._ready.clear()
        self._bytes = 0
        self._thread = threading.Thread(target=self._train, args=(recipe, start), daemon=True)
        self._thread.start()

    def more(self) -> list[Parcel]:
        """What was said since, waited for; empty where nothing was for a while. {"asks": key} wants an `answer`."""
        with self._change:
            if not self._ready:
                self._change.wait(SILENCE)
        time.sleep(GATHER)
        with self._change:
            found = list(self._ready)
            self._ready.clear()
            self._bytes = 0
            self._change.notify_all()
        return found

    def answer(self, run: str, events: list[Parcel], weights: bytes) -> None:
        """A phase that another run has trained: its events, snapshots without tensors, and its network's weights."""
        self._answers.put((run, events, weights))

    def answer_nothing(self) -> None:
        """No run has trained that phase."""
        self._answers.put(None)

    def _train(self, recipe: str, start: Parcel | None) -> None:
        from kdcore.failure import failed_by, is_full, is_no_memory, is_told
        from kdcore.sources.parcels import line_of, packed

        try:
            import torch

            from kdcore import engine
            from kdcore.sources.parcels import unpacked_start

            torch.set_num_threads(1)  # each thread has its own number
            begun = None if start is None else unpacked_start(start)
            for event in engine.run(Recipe.from_text(recipe), start=begun, laid=self._laid):
                self._put(packed(event))
        except BaseException as error:
            known = is_told(error) or is_full(error) or is_no_memory(error)
            self._put((line_of(failed_by(error)), b"" if known else traceback.format_exc().encode()))
        self._put(OVER)

    def _laid(self, key: str) -> Laid | None:
        """Asks the other side, which has the shelf."""
        from kdcore.foundation import Laid
        from kdcore.sources.parcels import tensors_of, unpacked

        self._put((json.dumps({"asks": key}).encode(), b""))
        found = self._answers.get()
        if found is None:
            return None
        run, events, weights = found
        return Laid(run, lambda: (unpacked(one) for one in events), tensors_of(weights))

    def _put(self, parcel: Parcel) -> None:
        size = len(parcel[0]) + len(parcel[1])
        with self._change:
            while self._ready and self._bytes + size > ROOM:
                self._change.wait()
            self._ready.append(parcel)
            self._bytes += size
            self._change.notify_all()
