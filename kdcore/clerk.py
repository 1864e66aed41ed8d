"""A worker that answers one request at a time, started when needed and again when it broke. No torch."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from pathlib import Path

from kdcore.patience import Waits
from kdcore.wire import Child, Ended, Message

WAKES = 0.2
"""Seconds after which whoever waits is told again how far it is."""


def patiently(share: float) -> None:
    """Waits as long as it takes."""


class Clerk:
    """The app's side of the worker; callers in several threads wait for one another."""

    def __init__(self, command: list[str], *, log: Path, patience: float = 60.0, warm_up: float = 120.0) -> None:
        """`patience` is the seconds that an answer may take, `warm_up` those until the child is ready."""
        self._command, self._log, self._patience, self._warm_up = command, log, patience, warm_up
        self._child: Child | None = None
        self._turn = threading.Lock()
        self._heard: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._ready = False
        self._number = 0

    def warm(self) -> None:
        """Start it, without waiting. Raises OSError."""
        with self._turn:
            self._start()

    def ask(self, request: Message, *, waits: Waits = patiently) -> Message:
        """Its answer. Raises TimeoutError after `patience` without a word (it is killed then), Ended if it broke twice,
        OSError.

        `waits` is told the share that is done, in [0, 1], every moment from the thread that asks; what it raises is
        raised here at once, and the worker is told that nobody wants the answer any more.
        """
        while not self._turn.acquire(timeout=WAKES):
            waits(0.0)
        try:
            return self._answer(request, waits)
        finally:
            self._turn.release()

    def _answer(self, request: Message, waits: Waits) -> Message:
        words = ""
        for _ in range(2):
            self._start()
            assert self._child is not None
            self._number += 1
            try:
                self._child.say({**request, "number": self._number})  # waits in the pipe while the child comes up
                if not self._ready:
                    self._hear(self._warm_up, waits)
                    self._ready = True
                return self._hear(self._patience, waits)
            except Ended:
                words = self._child.last_words()
                self._drop()
            except TimeoutError:
                self._drop()
                raise
            except BaseException:
                with contextlib.suppress(Ended):
                    self._child.say({"do": "stop", "number": self._number})
                raise
        raise Ended(words)

    def pids(self) -> list[int]:
        child = self._child
        return [child.process.pid] if child is not None and child.alive() else []

    def close(self) -> None:
        """End it, also in the middle of a request: it keeps nothing that is not whole."""
        child = self._child
        if child is not None:
            child.end(patience=1.0)

    def _start(self) -> None:
        if self._child is not None and self._child.alive():
            return
        heard: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._heard, self._ready = heard, False
        self._child = Child(
            self._command,
            log=self._log,
            hear=lambda child, message: heard.put(message),
            ended=lambda child: heard.put(None),
        )

    def _hear(self, seconds: float, waits: Waits) -> Message:
        """What it says next of the present question. Raises TimeoutError, Ended."""
        share, until = 0.0, time.monotonic() + seconds
        while True:
            try:
                message = self._heard.get(timeout=min(WAKES, max(0.0, until - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= until:
                    raise TimeoutError from None
                waits(share)
                continue
            if message is None:
                raise Ended
            if message.get("number", self._number) != self._number:
                continue  # of a question that nobody waits for any more
            if "share" not in message:
                return message
            share, until = float(message["share"]), time.monotonic() + seconds

    def _drop(self) -> None:
        if self._child is not None:
            self._child.process.kill()
            self._child.process.wait()
        self._child = None
