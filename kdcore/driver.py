"""A process of its own that goes on when the app is closed: started, found again, stopped. One for a folder. No torch.

<folder>/process.json   who goes on, and with what
         going.lock     keeps a second one out
         log.txt        what that process said
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psutil
from filelock import FileLock, Timeout

from kdcore.files import read_up_to, write_whole
from kdcore.processes import alive, this_process

COMMAND = [sys.executable, "-P", "-m", "kdcore"]
PATIENCE = 5.0
"""Seconds that a process which is asked to stop has to end by itself."""


class Busy(ValueError):
    """Another one goes on already."""


class Kept(Protocol):
    """What a process that goes on fills and keeps in a file."""

    now: str
    """What it is doing, or what ended it."""

    def write(self, path: Path) -> None: ...


Some = TypeVar("Some", bound=Kept)


class Driver:
    """What goes on in a folder, looked at and started from any process. Nothing lasts in this object."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def going(self) -> str:
        """The name of what goes on, or ""."""
        held = self._held()
        return str(held.get("name", "")) if held and alive(held) else ""

    def start(self, name: str, command: list[str]) -> None:
        """Start the command for what is called `name`, which is to `hold` it. It outlives the app. Raises OSError."""
        package = str(Path(__file__).absolute().parent.parent)
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        alone: dict[str, Any] = {"start_new_session": True}  # a Ctrl-C in the app's terminal is not for it
        if sys.platform == "win32":
            alone = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log.txt").open("wb") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, **alone
            )
        try:
            self._hold(name, child.pid)
        except psutil.NoSuchProcess as error:
            raise ProcessLookupError("it ended at once") from error

    def stop(self) -> None:
        """End the one that goes on. Nothing happens where none does."""
        held = self._held()
        if not held or not alive(held):
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(held["pid"])
            process.terminate()
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(PATIENCE)
                return
            process.kill()

    def trouble(self) -> str:
        """The last line that the last process said, for one that ended before it could write anything."""
        with contextlib.suppress(OSError, ValueError):
            lines = read_up_to(self.folder / "log.txt", 1_000_000).decode(errors="replace").splitlines()
            return next((line.strip() for line in reversed(lines) if line.strip()), "")[:300]
        return ""

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """This process is the one that goes on. Raises Busy while another is, OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "going.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise Busy("another goes on already; one at a time") from error
        try:
            self._hold(name, os.getpid())
            yield
        finally:
            (self.folder / "process.json").unlink(missing_ok=True)
            lock.release()

    @contextlib.contextmanager
    def keeping(self, name: str, path: Path, begin: Callable[[], Some]) -> Iterator[Some]:
        """`hold` while the block fills what `begin` gives, which is kept in that file.

        Whatever ends the block early is written down and raised on.
        """
        with self.hold(name):
            kept = begin()
            kept.write(path)
            try:
                yield kept
            except BaseException as error:
                kept.now = "" if isinstance(error, KeyboardInterrupt) else f"It ended early: {error}"[:300]
                with contextlib.suppress(OSError):  # a full disk may be what ended it
                    kept.write(path)
                raise

    def _hold(self, name: str, pid: int) -> None:
        told = {**this_process("work"), "pid": pid, "create_time": psutil.Process(pid).create_time(), "name": name}
        write_whole(self.folder / "process.json", json.dumps({**told, "time": time.time()}).encode())

    def _held(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(read_up_to(self.folder / "process.json", 10_000))
            return found if isinstance(found, dict) else {}
        return {}
