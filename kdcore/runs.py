"""The shelf: all runs under one folder, and the recorded ones that come with the lab. No torch."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

from kdcore.files import read_up_to, write_whole
from kdcore.processes import this_process
from kdcore.recipe import Recipe
from kdcore.run import Run, RunError, State, UnknownRun, modified

RECORDED = Path(__file__).absolute().parent.parent / "assets" / "recorded"
"""Where the runs that come with the lab stand."""
ID = re.compile(r"[0-9a-f]{16}(-[0-9]{1,3})?\Z")


class Shelf:
    """All runs under one folder, and the recorded ones that come with the lab."""

    def __init__(self, root: Path | str, recorded: Path | None = None) -> None:
        self.root = Path(root).absolute()
        self.recorded = recorded or RECORDED

    def runs(self) -> list[Run]:
        """Newest first, recorded ones last."""
        own = sorted(_folders(self.root), key=lambda folder: Run(folder).created, reverse=True)
        ids = {folder.name for folder in own}
        shipped = [self._recorded(folder) for folder in _folders(self.recorded) if folder.name not in ids]
        return [*(Run(folder) for folder in own), *sorted(shipped, key=lambda run: run.created, reverse=True)]

    def run(self, id: str) -> Run:
        """The run of that id. Raises UnknownRun."""
        if not isinstance(id, str) or not ID.match(id):
            raise UnknownRun(
                f"There is no run {str(id)[:40]!r}: an id is sixteen of 0-9 a-f, and -2 and so on for repeats."
            )
        if _is_folder(self.root / id):
            return Run(self.root / id)
        if _is_folder(self.recorded / id):
            return self._recorded(self.recorded / id)
        raise UnknownRun(f"There is no run {id} here; it may have been deleted, or made on another machine.")

    def create(self, recipe: Recipe) -> tuple[Run, bool]:
        """A run of this recipe, and whether it is new.

        One that waits, runs or is finished is given back; after failed, stopped or lost ones a further attempt is made.
        Callers at the same moment, in any process, get the same run. The caller holds a new one until `begin`. Raises
        OSError.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self._sweep()
        attempt = 1
        while attempt < 1000:
            folder = self.root / (recipe.id if attempt == 1 else f"{recipe.id}-{attempt}")
            if not os.path.lexists(folder):
                if self._make(folder, recipe):
                    return Run(folder), True
                continue  # someone else was faster: look at what they made
            if _is_folder(folder) and Run(folder).state() in ("waiting", "running", "finished"):
                return Run(folder), False
            attempt += 1
        raise RunError(f"there are 999 runs of recipe {recipe.id}; delete some")

    def go_on(self, id: str) -> Run:
        """The interrupted run of that id, cut back to its last checkpoint and in line once more, under its own id.

        From there it is bit for bit what it would have become. The caller holds it until `begin`. Raises RunError
        where it cannot go on, RecipeError, OSError.
        """
        run = self.run(id)
        if run.state() not in ("stopped", "failed", "lost"):
            raise RunError(f"Run {id} is {run.state()}; only one that was interrupted can go on.")
        if run.recorded or run.recipe.id != run.id[:16]:
            raise RunError(f"Run {id} was made by another version of the code; begin it anew.")
        kept = run.interrupted_at()
        if kept is None:
            raise RunError(f"Run {id} ended before its first checkpoint, or what it kept is damaged; begin it anew.")
        run.begin(this_process("line"))
        run.rewind(kept["bytes"])
        return run

    def lay(self, key: str, run_id: str, phase: int, learner: str) -> None:
        """Remember that a run trained a phase that others have in common. Raises OSError."""
        folder = self.root / "foundations"
        folder.mkdir(exist_ok=True)
        write_whole(folder / f"{key}.json", json.dumps({"run": run_id, "phase": phase, "learner": learner}).encode())

    def laid(self, key: str) -> tuple[Run, int, str] | None:
        """(run, phase, learner) of such a phase, if that run is still there."""
        if not re.fullmatch(r"[0-9a-f]{32}", key):
            return None
        try:
            said = json.loads(read_up_to(self.root / "foundations" / f"{key}.json", 1000))
            run, phase, learner = self.run(str(said["run"])), said["phase"], str(said["learner"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return (run, phase, learner) if isinstance(phase, int) and phase >= 0 else None

    def kept_catalog(self, version: str) -> str | None:
        """The cards of that version of the code as JSON, if they were kept."""
        try:
            return read_up_to(self.root / f"catalog-{version}.json", 20_000_000).decode()
        except (OSError, ValueError):
            return None

    def keep_catalog(self, version: str, text: str) -> None:
        """Keep them, and forget those of other versions. Raises OSError."""
        write_whole(self.root / f"catalog-{version}.json", text.encode())
        for path in self.root.glob("catalog-*.json"):
            if path.name != f"catalog-{version}.json":
                path.unlink(missing_ok=True)

    def _recorded(self, folder: Path) -> Run:
        return Run(folder, recorded=True, answers=self.root / "answers-of-recorded" / folder.name)

    def _make(self, folder: Path, recipe: Recipe) -> bool:
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=self.root))
        try:
            making.chmod(0o755)
            write_whole(making / "recipe.json", recipe.to_text().encode())
            write_whole(making / "process.json", json.dumps(this_process("line")).encode())
            making.rename(folder)  # fails where a folder with files stands already
            return True
        except OSError:
            if os.path.lexists(folder):
                return False
            raise
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def _sweep(self) -> None:
        """Take away what a killed process left half made an hour ago or longer."""
        for pattern in (".making-*", ".deleting-*"):
            for folder in self.root.glob(pattern):
                if time.time() - modified(folder) > 3600 and _is_folder(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def default_root() -> Path:
    """Where runs are kept: KDLAB_RUNS, or runs under the working folder."""
    return Path(os.environ.get("KDLAB_RUNS") or "runs")


def _folders(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as entries:
            return [Path(one.path) for one in entries if ID.match(one.name) and one.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


__all__ = ["Run", "RunError", "Shelf", "State", "UnknownRun", "default_root"]
