"""The tournaments beside the runs, and those that come with the lab: read, started, stopped. No torch.

<root>/tournaments/<pair>.json    the standings, written anew after every training
                   …              who holds the tournament that goes on: see `driver`
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from kdcore.driver import COMMAND, Busy, Driver
from kdcore.standings import PAIRS, Standings, StandingsError

SHIPPED = Path(__file__).absolute().parent.parent / "assets" / "tournaments"
"""Where the standings that were measured for the lab stand."""
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
        self._driver = Driver(self.folder)

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
        return self._driver.going()

    def start(self, name: str, *, seeds: int, limit: float) -> None:
        """Start it in a process of its own, or go on where it stopped. It outlives the app. Raises TournamentError."""
        self.path(name)
        if self.going():
            raise TournamentError(f"the tournament on {self.going()} still goes on; one at a time")
        arguments = ["tournament", name, "--root", str(self.root), "--seeds", str(seeds), "--limit", str(limit)]
        try:
            self._driver.start(name, [*self._command, *arguments])
        except OSError as error:
            raise TournamentError(f"the tournament cannot be started: {error}") from error

    def stop(self) -> None:
        """End the one that goes on; what it has measured stays. Nothing happens where none goes on."""
        self._driver.stop()

    def forget(self, name: str) -> None:
        """Delete the standings measured here. Raises TournamentError while it goes on."""
        if self.going() == name:
            raise TournamentError("it still goes on; stop it first")
        self.path(name).unlink(missing_ok=True)

    def trouble(self) -> str:
        """The last line that the last process said, for one that ended before it could write anything."""
        return self._driver.trouble()

    def hold(self, standings: Standings, held: Callable[[Standings, Callable[[Standings], None]], None]) -> Standings:
        """Keep the standings while `held(standings, keep)` fills them; where an equal tournament stopped, it goes on.

        Raises TournamentError while another goes on, OSError; whatever else ends it is written down and raised on.
        """
        path = self.path(standings.name)

        def begin() -> Standings:
            with contextlib.suppress(StandingsError):
                before = _read(path)
                return before if before is not None and before.same_as(standings) else standings
            return standings

        try:
            with self._driver.keeping(standings.name, path, begin) as kept:
                held(kept, lambda now: now.write(path))
                return kept
        except Busy as error:
            raise TournamentError("a tournament goes on already; one at a time") from error


def _read(path: Path) -> Standings | None:
    try:
        return Standings.read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StandingsError(f"{path.name} cannot be read: {error.strerror}") from error
