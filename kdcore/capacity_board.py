"""The capacity gap as it is measured on this machine: read, started in a process of its own, stopped. No torch.

<root>/capacity_gap.json    the grid, written anew after every run
       capacity/            who measures it, while somebody does: see `driver`
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

from kdcore import capacity
from kdcore.capacity import Capacity, CapacityError, kept_in
from kdcore.driver import Busy, Driver
from kdcore.recipe import code_version

COMMAND = [sys.executable, "-P", "-m", "kdcore.capacity_gap"]
NAME = "capacity gap"


class CapacityBoard:
    """One measurement beside the runs. Nothing lasts in this object: what goes on is found again."""

    def __init__(self, root: Path, *, path: Path | None = None, command: list[str] | None = None) -> None:
        """`root` is where runs are kept; `path`, where the measurement stands elsewhere."""
        self.root = root if path is None else path.absolute().parent
        self.path = path or kept_in(root)
        self._command = command or COMMAND
        self._driver = Driver(self.root / "capacity")

    def own(self) -> Capacity | None:
        """What was measured here, or None. Raises CapacityError for a file that cannot be read."""
        try:
            return Capacity.read(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CapacityError(f"{self.path.name} cannot be read: {error.strerror}") from error

    def shipped(self) -> Capacity | None:
        """What came with the lab, or None."""
        with contextlib.suppress(OSError, CapacityError):
            return Capacity.read(capacity.SHIPPED)
        return None

    def going(self) -> str:
        """The name of what is being measured, or ""."""
        return self._driver.going()

    def start(self, grid: Capacity) -> None:
        """Measure this grid in a process of its own, or go on with it where it stopped. It outlives the app.

        Another grid takes the place of what was measured here before. Raises CapacityError.
        """
        if self.going():
            raise CapacityError("it is being measured already; one at a time")
        grid.made.setdefault("code", code_version())
        grid = self._met(grid)
        grid.now, grid.finished = "", False
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            grid.write(self.path)
            self._driver.start(NAME, [*self._command, "--go-on", "--json", str(self.path)])
        except OSError as error:
            raise CapacityError(f"it cannot be started: {error}") from error

    def stop(self) -> None:
        """End it; what has been measured stays. Nothing happens where none goes on."""
        self._driver.stop()

    def forget(self) -> None:
        """Delete what was measured here. Raises CapacityError while it goes on, OSError."""
        if self.going():
            raise CapacityError("it still goes on; stop it first")
        self.path.unlink(missing_ok=True)

    def trouble(self) -> str:
        """The last line that the last process said, for one that ended before it could write anything."""
        return self._driver.trouble()

    def hold(self, grid: Capacity, held: Callable[[Capacity, Callable[[Capacity], None]], None]) -> Capacity:
        """Keep the grid while `held(grid, keep)` fills it; where an equal one stopped, it goes on, also to more seeds.

        Raises CapacityError while another goes on, OSError; whatever else ends it is written down and raised on.
        """
        try:
            with self._driver.keeping(NAME, self.path, lambda: self._met(grid)) as kept:
                held(kept, lambda now: now.write(self.path))
                return kept
        except Busy as error:
            raise CapacityError("it is being measured already; one at a time") from error

    def _met(self, grid: Capacity) -> Capacity:
        """What was measured of the same grid before, with at least as many seeds; else the grid."""
        with contextlib.suppress(CapacityError):
            before = self.own()
            if before is not None and before.same_as(grid):
                before.seeds = max(before.seeds, grid.seeds)
                before.made = {**grid.made, **before.made}
                return before
        return grid
