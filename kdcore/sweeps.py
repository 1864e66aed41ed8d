"""The sweeps beside the runs: read, started in a process of their own, stopped, gone on with. No torch, no Optuna.

<root>/sweeps/<id>.json       what pages look at, written anew after every change
              <id>.journal    Optuna's own storage, lines of JSON
              …               who holds the sweep that goes on: see `driver`
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path

from kdcore.driver import COMMAND, Busy, Driver
from kdcore.recipe import code_version
from kdcore.run import modified
from kdcore.sweep import MISSING, Sweep, SweepError, checked_runs, installed

ID = re.compile(r"[0-9a-f]{16}\Z")


class Sweeps:
    """All sweeps of a shelf; one at a time goes on. Nothing lasts in this object: what goes on is found again."""

    def __init__(self, root: Path, *, command: list[str] | None = None) -> None:
        """`root` is where runs are kept."""
        self.root = root
        self.folder = root / "sweeps"
        self._command = command or COMMAND
        self._driver = Driver(self.folder)

    def path(self, id: str) -> Path:
        """Where the sweep of that id is kept. Raises SweepError for what is no id."""
        if not isinstance(id, str) or not ID.match(id):
            raise SweepError(f"{str(id)[:40]!r} is no id of a sweep: sixteen of 0-9 a-f")
        return self.folder / f"{id}.json"

    def journal(self, id: str) -> Path:
        """Where Optuna keeps it."""
        return self.path(id).with_suffix(".journal")

    def ids(self) -> list[str]:
        """Newest first."""
        found = [path for path in self.folder.glob("*.json") if ID.match(path.stem)]
        return [path.stem for path in sorted(found, key=modified, reverse=True)]

    def read(self, id: str) -> Sweep:
        """The sweep of that id. Raises SweepError where there is none, or a damaged one."""
        try:
            return Sweep.read(self.path(id))
        except FileNotFoundError as error:
            raise SweepError(f"there is no sweep {id} here; it may have been forgotten") from error

    def going(self) -> str:
        """The id of the sweep that goes on, or ""."""
        return self._driver.going()

    def start(self, sweep: Sweep) -> None:
        """Start it in a process of its own, or go on where it stopped. It outlives the app. Raises SweepError."""
        id = sweep.plan.id
        if not installed():
            raise SweepError(MISSING)
        if self.going():
            raise SweepError(f"sweep {self.going()[:6]} still goes on; one at a time")
        self._same_code(sweep)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self.path(id).exists():
                sweep.began = time.time()
                sweep.write(self.path(id))
            arguments = ["sweep", "--go-on", id, "--runs", str(checked_runs(sweep.runs)), "--root", str(self.root)]
            self._driver.start(id, [*self._command, *arguments])
        except OSError as error:
            raise SweepError(f"the sweep cannot be started: {error}") from error

    def stop(self) -> None:
        """End the one that goes on; what it has found stays. Nothing happens where none goes on."""
        self._driver.stop()

    def forget(self, id: str) -> None:
        """Delete the sweep; its runs stay. Raises SweepError while it goes on, OSError."""
        if self.going() == id:
            raise SweepError("it still goes on; stop it first")
        self.path(id).unlink(missing_ok=True)
        self.journal(id).unlink(missing_ok=True)

    def trouble(self) -> str:
        """The last line that the last process said, for one that ended before it could write anything."""
        return self._driver.trouble()

    def hold(self, sweep: Sweep, held: Callable[[Sweep, Callable[[Sweep], None]], None]) -> Sweep:
        """Keep the sweep while `held(sweep, keep)` fills it.

        Raises SweepError while another goes on, OSError; whatever else ends it is written down and raised on.
        """
        self._same_code(sweep)
        path = self.path(sweep.plan.id)
        try:
            with self._driver.hold(sweep.plan.id):
                sweep.began = sweep.began or time.time()
                sweep.now = "beginning"
                sweep.write(path)
                try:
                    held(sweep, lambda now: now.write(path))
                except BaseException as error:
                    sweep.now = "" if isinstance(error, KeyboardInterrupt) else f"It ended early: {error}"[:400]
                    with contextlib.suppress(OSError):
                        sweep.write(path)
                    raise
                return sweep
        except Busy as error:
            raise SweepError("a sweep goes on already; one at a time") from error

    def _same_code(self, sweep: Sweep) -> None:
        if sweep.plan.code != code_version():
            raise SweepError("this sweep was begun with another version of the code; start it anew to mix none")
