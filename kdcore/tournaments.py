"""The tournaments beside the runs, and those that come with the lab: read, started, stopped. No torch.

<root>/tournaments/<pair>.json    the standings, written anew after every training
                   process.json   who holds the tournament that goes on
                   log.txt        what that process said
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import psutil
from filelock import FileLock, Timeout

from kdcore.files import read_up_to, write_whole
from kdcore.processes import alive, this_process
from kdcore.standings import PAIRS, Standings, StandingsError

SHIPPED = Path(__file__).absolute().parent.parent / "assets" / "tournaments"
"""Where the standings that were measured for the lab stand."""
COMMAND = [sys.executable, "-P", "-m", "kdcore"]
PATIENCE = 5.0
"""Seconds that a stopped tournament has to end by itself."""

State = Literal["recorded", "running", "stopped", "finished"]


class TournamentError(ValueError):
    """A tournament that cannot be started or kept; the message says why."""


class Tournaments:
    """One for each pair of PAIRS; one at a time goes on. Nothing lasts in this object: what goes on is found again."""

    def __init__(self, root: Path, *, shipped: Path | None = None, command: list[str] | None = None) -> None:
        """`root` is where runs are kept."""
        self.root = root
        self.folder = root / "tournaments"
        self._shipped = shipped or SHIPPED
        self._command = command or COMMAND

    def path(self, name: str) -> Path:
        """Where standings of one's own are kept. Raises TournamentError for a pair that is not there."""
        if name not in PAIRS:
            raise TournamentError(f"{name[:40]!r} is no pair for a tournament; there are {', '.join(PAIRS)}")
        return self.folder / f"{name}.json"

    def own(self, name: str) -> Standings | None:
        """The standings measured here, or None. Raises StandingsError for a damaged file."""
        return _read(self.path(name))

    def shipped(self, name: str) -> Standings | None:
        """The standings that came with the lab, or None."""
        with contextlib.suppress(StandingsError):
            return _read(self._shipped / self.path(name).name)
        return None

    def state(self, name: str) -> State:
        """What has become of the one measured here; recorded: there is none, only what came with the lab."""
        if self.going() == name:
            return "running"
        with contextlib.suppress(StandingsError):
            found = self.own(name)
            return "recorded" if found is None else "finished" if found.finished else "stopped"
        return "stopped"

    def going(self) -> str:
        """The pair of the tournament that goes on, or ""."""
        held = self._held()
        return str(held.get("pair", "")) if held and alive(held) else ""

    def start(self, name: str, *, seeds: int, limit: float) -> None:
        """Start it in a process of its own, or go on where it stopped. It outlives the app. Raises TournamentError."""
        self.path(name)
        if self.going():
            raise TournamentError(f"the tournament on {self.going()} still goes on; one at a time")
        package = str(Path(__file__).absolute().parent.parent)
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        alone: dict[str, Any] = {"start_new_session": True}  # a Ctrl-C in the app's terminal is not for it
        if sys.platform == "win32":
            alone = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
        arguments = ["tournament", name, "--root", str(self.root), "--seeds", str(seeds), "--limit", str(limit)]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "log.txt").open("wb") as log:
                child = subprocess.Popen(
                    [*self._command, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                    **alone,
                )  # fmt: skip
            self._hold(name, child.pid)
        except (OSError, psutil.NoSuchProcess) as error:
            raise TournamentError(f"the tournament cannot be started: {error}") from error

    def stop(self) -> None:
        """End the one that goes on; what it has measured stays. Nothing happens where none goes on."""
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

    def forget(self, name: str) -> None:
        """Delete the standings measured here. Raises TournamentError while it goes on."""
        if self.going() == name:
            raise TournamentError("it still goes on; stop it first")
        self.path(name).unlink(missing_ok=True)

    def trouble(self) -> str:
        """The last line that the last process said, for one that ended before it could write anything."""
        with contextlib.suppress(OSError, ValueError):
            lines = read_up_to(self.folder / "log.txt", 1_000_000).decode(errors="replace").splitlines()
            return next((line.strip() for line in reversed(lines) if line.strip()), "")[:300]
        return ""

    def hold(self, standings: Standings, held: Callable[[Standings, Callable[[Standings], None]], None]) -> Standings:
        """Keep the standings while `held(standings, keep)` fills them; where an equal tournament stopped, it goes on.

        Raises TournamentError while another goes on, OSError; whatever else ends it is written down and raised on.
        """
        path = self.path(standings.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "going.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise TournamentError("a tournament goes on already; one at a time") from error
        try:
            self._hold(standings.name, os.getpid())
            with contextlib.suppress(StandingsError):
                before = _read(path)
                standings = before if before is not None and before.same_as(standings) else standings
            standings.write(path)
            try:
                held(standings, lambda now: now.write(path))
            except BaseException as error:
                standings.now = "" if isinstance(error, KeyboardInterrupt) else f"It ended early: {error}"[:300]
                standings.write(path)
                raise
            return standings
        finally:
            (self.folder / "process.json").unlink(missing_ok=True)
            lock.release()

    def _hold(self, name: str, pid: int) -> None:
        told = {**this_process("work"), "pid": pid, "create_time": psutil.Process(pid).create_time(), "pair": name}
        write_whole(self.folder / "process.json", json.dumps({**told, "time": time.time()}).encode())

    def _held(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(read_up_to(self.folder / "process.json", 10_000))
            return found if isinstance(found, dict) else {}
        return {}


def _read(path: Path) -> Standings | None:
    try:
        return Standings.read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StandingsError(f"{path.name} cannot be read: {error.strerror}") from error
