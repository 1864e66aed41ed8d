"""JSON lines between the app and its workers, both ends; a child goes when the app has gone. No torch."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
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
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": os.pathsep.join(paths)}
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
        self.unwanted: set[int] = set()
        """Numbers of requests whose answers nobody wants any more."""
        self._out = os.dup(1)
        os.dup2(2, 1)
        self._requests: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._came = threading.Event()
        self._gone = gone
        threading.Thread(target=self._listen, daemon=True, name="hears the app").start()

    def say(self, message: Message) -> None:
        """Says nothing when the app is gone."""
        with contextlib.suppress(OSError):
            left = memoryview(json.dumps(message).encode() + b"\n")
            while left:
                left = left[os.write(self._out, left) :]

    def idle(self, seconds: float) -> bool:
        """Whether no request comes for so long."""
        return not self._came.wait(seconds)

    def hear(self) -> Message | None:
        """The next request, waited for; None at the end of stdin."""
        request = self._requests.get()
        self._came.clear()
        if not self._requests.empty():
            self._came.set()
        return request

    def _listen(self) -> None:
        rest = b""
        while True:
            try:
                found = os.read(0, 65536)  # not sys.stdin: its lock, held here, would break the interpreter's end
            except OSError:
                found = b""
            if not found:
                break
            *lines, rest = (rest + found).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError):
                    message = json.loads(line)
                    if not isinstance(message, dict):
                        continue
                    if message.get("do") == "stop":
                        self.unwanted.add(int(message["number"]))
                    else:
                        self.asked = True
                        self._requests.put(message)
                        self._came.set()
        self._requests.put(None)
        self._came.set()
        self._gone()
