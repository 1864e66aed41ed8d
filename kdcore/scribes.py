"""The warm scribes of an app: one idle, the rest writing, further runs in line. No torch."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque

from kdcore.events import Failed, Stopped
from kdcore.failure import sentence
from kdcore.processes import cores
from kdcore.runs import RunError, Shelf
from kdcore.wire import Child, Ended, Message

TRIES = 2
"""How often a run is handed over, and a scribe that dies before it is ready started again, before that is a failure."""


class Scribes:
    """One writes for each slot, one more is warm for the next click. Who is done takes the next in line, or waits where
    nobody else does. Methods may be called from any thread.
    """

    def __init__(self, shelf: Shelf, *, command: list[str], slots: int) -> None:
        """`slots` is how many runs train at once, 0: one per core."""
        self._shelf, self._command = shelf, command
        self._slots = slots or cores()
        self._lock = threading.RLock()
        self._idle: Child | None = None
        self._busy: dict[Child, str] = {}
        self._line: deque[str] = deque()
        self._handed: dict[str, int] = {}
        self._broken = 0
        """How many scribes in a row died before they were of any use."""
        self._words = ""
        """The last that such a one said."""
        self._started = 0
        self._closed = False
        self._seat()

    def write(self, id: str) -> None:
        """Have the run of that id written as soon as there is a scribe for it."""
        with self._lock:
            self._broken = 0
            self._line.append(id)
        self._seat()

    def pids(self) -> list[int]:
        """Process numbers of those that live."""
        with self._lock:
            children = [*self._busy, *([self._idle] if self._idle else [])]
        return [child.process.pid for child in children if child.alive()]

    def close(self) -> None:
        """End the idle one. Those in the middle of a run finish it; runs still in line are stopped."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            idle, self._idle = self._idle, None
            for child in self._busy:
                child.let_go()
            waiting = list(self._line)
            self._line.clear()
        for id in waiting:
            self._say_end(id, Stopped(time.time(), by="the app's end"))
        if idle is not None:
            idle.end()

    def _seat(self) -> None:
        """Hand runs in line to the idle scribe and start the next one, as far as there is room.

        An idle one may still be warming: what it is told waits in its pipe.
        """
        with self._lock:
            while not self._closed:
                if len(self._busy) >= self._slots:
                    return  # whoever is done first takes the next; to warm one more would only slow them down
                if self._idle is None and self._broken < TRIES:
                    self._idle = self._start()
                    if self._idle is None:
                        continue
                if self._broken >= TRIES and self._idle is None:
                    self._give_up()
                if self._idle is None or not self._line:
                    return
                child, self._idle = self._idle, None
                self._hand(child)

    def _hand(self, child: Child) -> None:
        """The next in line to this one."""
        id = self._line.popleft()
        self._busy[child] = id
        with contextlib.suppress(Ended):  # then _ended brings the run back into line
            child.say({"run": id})

    def _start(self) -> Child | None:
        self._started += 1
        log = self._shelf.root / "logs" / f"scribe-{self._started % 20}.txt"
        try:
            return Child(self._command, log=log, hear=self._heard, ended=self._ended)
        except OSError as error:
            self._broken += 1
            self._words = sentence(error)
            return None

    def _heard(self, child: Child, message: Message) -> None:
        if "ready" in message:
            with self._lock:
                self._broken = 0
                self._slots = int(message.get("slots", self._slots))
            self._seat()
        if "done" in message:
            with self._lock:
                self._busy.pop(child, None)
                if message.get("spent", True) or self._closed:
                    child.let_go()
                elif self._line:
                    self._hand(child)
                elif self._idle is None:
                    self._idle = child
                else:
                    child.let_go()
            self._seat()

    def _ended(self, child: Child) -> None:
        with self._lock:
            id = self._busy.pop(child, None)
            if child is self._idle:
                self._idle = None
                self._broken += 1
                self._words = child.last_words()
            if id is not None and self._never_begun(id):
                self._handed[id] = self._handed.get(id, 0) + 1
                self._broken += 1
                self._words = child.last_words()
                if self._handed[id] < TRIES and not self._closed:
                    self._line.appendleft(id)
                else:
                    self._say_end(id, self._not_started())
        self._seat()

    def _never_begun(self, id: str) -> bool:
        with contextlib.suppress(RunError):
            return self._shelf.run(id).waits_in_line()
        return False

    def _give_up(self) -> None:
        """No scribe comes up: say so in every run in line, and try again at the next launch."""
        while self._line:
            self._say_end(self._line.popleft(), self._not_started())

    def _not_started(self) -> Failed:
        return Failed(
            time.time(),
            "The training process ended before it could begin" + (f": {self._words}" if self._words else "."),
            "See the newest file in logs beside the runs.",
        )

    def _say_end(self, id: str, event: Failed | Stopped) -> None:
        with contextlib.suppress(OSError, RunError):
            self._shelf.run(id).append(event)
