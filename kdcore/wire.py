"""JSON lines between the app and its workers, both ends. A child watches its stdin and goes when the app has gone. No torch."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Message = dict[str, Any]


class Ended(Exception):
    """The other side is gone."""


class Child:
    """A process of ours, started from the app: it hears lines of JSON and says lines of JSON."""

    def __init__(
        self,
        command: list[str],
        *,
        log: Path,
        hear: Callable[[Child, Message], None],
        ended: Callable[[Child], None],
    ) -> None:
        """`hear` and `ended` are called from a thread of the child's own. Raises OSError if it cannot be started."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self._hear, self._ended = hear, ended
        self._saying = threading.Lock()
        package = str(Path(__file__).absolute().parent.parent)
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
        alone: dict[str, Any] = {"start_new_session": True}  # a Ctrl-C in the app's terminal is not for them
        if sys.platform == "win32":
            alone = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, **alone
            )
        threading.Thread(target=self._listen, daemon=True, name=f"hears {self.process.pid}").start()

    def say(self, message: Message) -> None:
        """Raises Ended when nobody hears it."""
        with self._saying:
            try:
                assert self.process.stdin is not None
                self.process.stdin.write(json.dumps(message).encode() + b"\n")
                self.process.stdin.flush()
            except (OSError, ValueError) as error:
                raise Ended(self.last_words()) from error

    def let_go(self) -> None:
        """Close its stdin: an idle one ends, a busy one finishes what it does and ends."""
        with self._saying, contextlib.suppress(OSError, ValueError):
            assert self.process.stdin is not None
            self.process.stdin.close()

    def end(self, patience: float = 3.0) -> None:
        """Let go and wait so many seconds, then kill it."""
        self.let_go()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
            return
        self.process.kill()
        self.process.wait()

    def alive(self) -> bool:
        return self.process.poll() is None

    def last_words(self) -> str:
        """The last line that it wrote to its log, for a sentence."""
        with contextlib.suppress(OSError):
            lines = [line.strip() for line in self.log.read_bytes()[-4000:].decode(errors="replace").splitlines()]
            return next((line for line in reversed(lines) if line), "")[:300]
        return ""

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict):
                self._hear(self, message)
        self.process.wait()
        with contextlib.suppress(OSError):
            self.process.stdout.close()
        self.let_go()
        self._ended(self)


class Caller:
    """The child's end. Made first thing: whatever else prints to stdout goes to stderr from then on."""

    def __init__(self, *, gone: Callable[[], None]) -> None:
        """`gone` is called, from a thread, when stdin has ended."""
        self.asked = False
        self._out = os.dup(1)
        os.dup2(2, 1)
        self._requests: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._gone = gone
        threading.Thread(target=self._listen, daemon=True, name="hears the app").start()

    def say(self, message: Message) -> None:
        """Says nothing when the app is gone."""
        with contextlib.suppress(OSError):
            left = memoryview(json.dumps(message).encode() + b"\n")
            while left:
                left = left[os.write(self._out, left) :]

    def hear(self) -> Message | None:
        """The next request, waited for; None at the end of stdin."""
        return self._requests.get()

    def _listen(self) -> None:
        rest = b""
        while True:
            try:
                found = os.read(0, 65536)  # not sys.stdin: its lock, held by this thread, would break the interpreter's end
            except OSError:
                found = b""
            if not found:
                break
            *lines, rest = (rest + found).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError):
                    message = json.loads(line)
                    if isinstance(message, dict):
                        self.asked = True
                        self._requests.put(message)
        self._requests.put(None)
        self._gone()


class Clerk:
    """A child that answers one request at a time, started when needed and again when it broke."""

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
                    if not self._ready:
                        self._hear(self._warm_up)
                        self._ready = True
                    self._child.say(request)
                    return self._hear(self._patience)
                except Ended:
                    words = self._child.last_words()
                    self._drop()
                except TimeoutError:
                    self._drop()
                    raise
            raise Ended(words)

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
        deadline = time.monotonic() + seconds
        try:
            message = self._heard.get(timeout=max(0.0, deadline - time.monotonic()))
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
