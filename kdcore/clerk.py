"""A worker that answers one request at a time, started when needed and again when it broke. No torch."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

from kdcore.wire import Child, Ended, Message


class Clerk:
    """The app's side of the worker; callers in several threads wait for one another."""

    def __init__(self, command: list[str], *, log: Path, patience: float = 60.0, warm_up: float = 120.0) -> None:
        """`patience` is the seconds that an answer may take, `warm_up` those until the child is ready."""
        self._command, self._log, self._patience, self._warm_up = command, log, patience, warm_up
        self._child: Child | None = None
        self._turn = threading.Lock()
        self._heard: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._ready = False

    def warm(self) -> None:
        """Start it, without waiting. Raises OSError."""
        with self._turn:
            self._start()

    def ask(self, request: Message) -> Message:
        """Its answer. Raises TimeoutError after `patience` (it is killed then), Ended if it broke twice, OSError."""
        with self._turn:
            words = ""
            for _ in range(2):
                self._start()
                assert self._child is not None
                try:
                    self._child.say(request)  # waits in the pipe while the child comes up
                    if not self._ready:
                        self._hear(self._warm_up)
                        self._ready = True
                    return self._hear(self._patience)
                except Ended:
                    words = self._child.last_words()
                    self._drop()
                except TimeoutError:
                    self._drop()
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

    def _hear(self, seconds: float) -> Message:
        try:
            message = self._heard.get(timeout=seconds)
        except queue.Empty as error:
            raise TimeoutError from error
        if message is None:
            raise Ended
        return message

    def _drop(self) -> None:
        if self._child is not None:
            self._child.process.kill()
            self._child.process.wait()
        self._child = None
