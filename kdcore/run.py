"""One run's folder: one writer, many readers, no lock. No torch until tensors are read or written.

<root>/<id>/recipe.json                      what was asked for
            process.json                     who holds the run
            events.jsonl                     what happened; a line counts once its newline is there
            stop                             there when someone asked it to stop
            fault.txt                        the traceback of an unexpected error
            snapshots/<name>.safetensors     whole before their line is written
            shown/<name>.safetensors         pictures of the scheme's own
            checkpoint.safetensors           where an interrupted run can go on
            answers/<key>.safetensors        what probes answered
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kdcore.events import ENDS, Checkpoint, Event, Failed, Finished, Note, Shown, Snapshot, Stopped
from kdcore.files import (
    append_line,
    cut_to,
    read_between,
    read_up_to,
    settle,
    share_file,
    size_of,
    size_of_folder,
    write_whole,
)
from kdcore.history import History, fold
from kdcore.processes import alive
from kdcore.recipe import LONGEST, Recipe, RecipeError
from kdcore.wellformed import event_from_line

if TYPE_CHECKING:
    from torch import Tensor

State = Literal["waiting", "running", "finished", "failed", "stopped", "lost"]
KEY = re.compile(r"[a-z0-9_-]{1,80}\Z")
SNAPSHOT = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}\Z")
SILENCE = 600.0
"""Seconds without a sign of life after which a run is lost, where its process cannot be looked up."""
_TAIL = 256 * 1024
"""Bytes at the end of a log in which its end is looked for."""
_ENDS: dict[type[Event], State] = {Finished: "finished", Failed: "failed", Stopped: "stopped"}


class RunError(ValueError):
    """Something that cannot be done with a run; the message is a sentence for whoever asked."""


class UnknownRun(RunError):
    """An id that no run has."""


class Run:
    """One run folder. Cheap to make; everything is read when asked for, so that it is never stale."""

    def __init__(self, folder: Path, *, recorded: bool = False, answers: Path | None = None) -> None:
        self.folder = folder
        self.id = folder.name
        self.recorded = recorded
        self._answers = answers or folder / "answers"

    @cached_property
    def recipe(self) -> Recipe:
        """What was asked for. Raises RecipeError if the file was damaged or edited into nonsense."""
        try:
            return Recipe.from_text(read_up_to(self.folder / "recipe.json", 4 * LONGEST).decode())
        except RecipeError:
            raise
        except OSError as error:
            raise RecipeError("", f"the recipe of run {self.id} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise RecipeError("", f"the recipe of run {self.id} is damaged: {error}") from error

    @property
    def created(self) -> float:
        """When it was asked for (recorded runs: when it began), in seconds since the epoch; 0 if unknown."""
        if self.recorded:
            first = read_between(self.folder / "events.jsonl", 0, _TAIL).partition(b"\n")[0]
            with contextlib.suppress(ValueError):
                return float(getattr(event_from_line(first), "time", 0.0))
        return modified(self.folder / "recipe.json")

    def append(self, event: Event) -> None:
        """Write an event: its tensors first, then its line. Raises OSError; what was there before stays readable."""
        self._writable()
        if isinstance(event, Checkpoint):
            said = {"phase": event.phase, "step": event.step, "bytes": size_of(self.folder / "events.jsonl")}
            write_whole(self.folder / "checkpoint.safetensors", safetensors_of(event.tensors, said), durable=False)
            return
        if isinstance(event, Snapshot) and event.tensors:
            path = self._snapshot(event.name)
            path.parent.mkdir(exist_ok=True)
            if not (isinstance(event.tensors, Kept) and share_file(event.tensors.path, path)):
                write_whole(path, safetensors_of(event.tensors))
        if isinstance(event, Shown):
            path = self._shown(event.name)
            path.parent.mkdir(exist_ok=True)
            write_whole(path, event.content)
        if isinstance(event, Finished):
            for path in self._newest():
                settle(path)
        line = json.dumps(event.to_json(), separators=(",", ":"), allow_nan=False).encode()
        append_line(self.folder / "events.jsonl", line, durable=isinstance(event, ENDS))
        if isinstance(event, Finished):
            (self.folder / "checkpoint.safetensors").unlink(missing_ok=True)

    def events(self, since: int = 0) -> tuple[list[Event], int]:
        """The events from a byte offset on, and the offset to ask from next. A damaged line becomes a Note."""
        start = max(0, since)
        found = read_between(self.folder / "events.jsonl", start)
        end = found.rfind(b"\n") + 1
        events: list[Event] = []
        place = start
        for line in found[:end].split(b"\n")[:-1]:
            if line.strip():
                try:
                    events.append(event_from_line(line))
                except ValueError:
                    events.append(Note(0.0, f"A damaged line of the log was skipped (at byte {place:,})."))
            place += len(line) + 1
        return events, start + end

    def history(self) -> History:
        """Everything so far, folded. Nobody changes it: until something is added, whoever asks gets the same."""
        try:
            log = (self.folder / "events.jsonl").stat()
        except OSError:
            return History()
        return _folded(self.folder, log.st_size, log.st_mtime_ns)

    def state(self) -> State:
        """What has become of it. lost: its process is gone and said nothing."""
        if end := self.said_end():
            return end
        if self.recorded:
            return "lost"
        held = self._held()
        living = alive(held)
        if living is None:
            signs = (modified(self.folder / name) for name in ("events.jsonl", "process.json", "recipe.json"))
            living = time.time() - max(signs) < SILENCE
        if not living:
            return self.said_end() or "lost"  # it may have ended between the two looks
        if held.get("stage") == "line" and self.stop_requested():
            return "stopped"
        return "running" if held.get("stage") == "work" else "waiting"

    def begin(self, process: dict[str, Any]) -> None:
        """Write down which process holds it from now on, as `processes.this_process` says it."""
        self._writable()
        write_whole(self.folder / "process.json", json.dumps(process).encode())

    def waits_in_line(self) -> bool:
        """Whether no scribe has taken it yet."""
        return self.said_end() is None and self._held().get("stage") == "line"

    def holder(self) -> int | None:
        """Number of the process that holds it, if it lives."""
        held = self._held()
        return held["pid"] if alive(held) else None

    def request_stop(self) -> None:
        """Ask it to stop; its process looks several times a second."""
        self._writable()
        (self.folder / "stop").touch()

    def stop_requested(self) -> bool:
        return (self.folder / "stop").exists()

    def stay_in_line(self) -> bool:
        """Take back that it was asked to stop, where no scribe has come to it yet; whether it is still in line so."""
        if self.state() != "stopped" or not self.waits_in_line():
            return False
        self.rewind(size_of(self.folder / "events.jsonl"))
        return True

    def keep_fault(self, text: str) -> None:
        """Keep the traceback of an unexpected error for whoever repairs it."""
        write_whole(self.folder / "fault.txt", text.encode())

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of a snapshot, on the CPU. Raises RunError if it is not there or damaged."""
        return dict(Kept(self._snapshot(name), f"run {self.id}"))

    def kept(self, name: str) -> Kept:
        """The same, read when they are looked at. Raises RunError then."""
        return Kept(self._snapshot(name), f"run {self.id}")

    def shown(self, name: str) -> bytes:
        """A picture of the scheme's own, as an answer's bytes. Raises RunError if it is not there."""
        try:
            return self._shown(name).read_bytes()
        except OSError as error:
            raise RunError(f"run {self.id} shows nothing called {name}") from error

    def interrupted_at(self) -> dict[str, int] | None:
        """Where an interrupted run can go on: {"phase", "step", "bytes" of its log}; None without, and where checkpoint
        or log are shorter than they were. No torch.
        """
        path = self.folder / "checkpoint.safetensors"
        try:
            length = int.from_bytes(read_between(path, 0, 8), "little")
            if not 0 < length < 100_000_000:
                return None
            header = json.loads(read_between(path, 8, 8 + length))
            said = json.loads(header.pop("__metadata__")["checkpoint"])
            fits = isinstance(said, dict) and all(isinstance(said.get(key), int) for key in ("phase", "step", "bytes"))
            whole = 8 + length + max((one["data_offsets"][1] for one in header.values()), default=0)
            there = fits and size_of(path) == whole and size_of(self.folder / "events.jsonl") >= said["bytes"]
            return said if there else None
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return None

    def checkpoint(self) -> tuple[dict[str, int], dict[str, Tensor]] | None:
        """The same with all tensors."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        said = self.interrupted_at()
        try:
            content = (self.folder / "checkpoint.safetensors").read_bytes()
            return None if said is None else (said, load(content))
        except (OSError, SafetensorError, ValueError):
            return None

    def rewind(self, size: int) -> None:
        """Take back what was said after so many bytes of the log: an interrupted run goes on from a checkpoint."""
        self._writable()
        cut_to(self.folder / "events.jsonl", size)
        (
            self.folder / "recipe.json"
        ).touch()  # whoever read further takes it for a new run, and reads it from the start
        for name in ("stop", "fault.txt"):
            (self.folder / name).unlink(missing_ok=True)

    def answer(self, key: str) -> bytes | None:
        """What was kept under this key, or None."""
        try:
            return self._answer(key).read_bytes()
        except OSError:
            return None

    def keep_answer(self, key: str, content: bytes) -> None:
        """Keep an answer, for recorded runs beside the shelf. Raises OSError when the disk is full."""
        path = self._answer(key)
        path.parent.mkdir(parents=self.recorded, exist_ok=True)
        write_whole(path, content)

    def size(self) -> int:
        """Bytes on disk."""
        return size_of_folder(self.folder)

    def delete(self) -> None:
        """Take it off the shelf for good. Raises RunError while it runs, and for a recorded run."""
        self._writable()
        if self.folder.is_symlink():
            raise RunError(f"run {self.id} is a link to another place; it is not deleted")
        if self.state() in ("running", "waiting"):
            raise RunError(f"run {self.id} is still going; stop it first")
        aside = self.folder.parent / f".deleting-{secrets.token_hex(6)}"
        self.folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)

    def said_end(self) -> State | None:
        """How its events say that it ended, if they do."""
        for line in reversed(read_between(self.folder / "events.jsonl", -_TAIL).split(b"\n")[:-1]):
            if any(kind.__name__.encode() in line for kind in ENDS):
                with contextlib.suppress(ValueError):
                    if state := _ENDS.get(type(event_from_line(line))):
                        return state
        return None

    def _held(self) -> dict[str, Any]:
        try:
            found = json.loads(read_up_to(self.folder / "process.json", 10_000))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _newest(self) -> list[Path]:
        """The last snapshot of each phase. To wait for that of every epoch would take half a second of a digits run."""
        found: dict[int, tuple[int, Path]] = {}
        for path in (self.folder / "snapshots").glob("*.safetensors"):
            if named := re.fullmatch(r"(\d+)-(\d+)", path.stem):
                phase, step = map(int, named.groups())
                found[phase] = max(found.get(phase, (-1, path)), (step, path))
        return [path for _, path in found.values()]

    def _snapshot(self, name: str) -> Path:
        if not SNAPSHOT.match(name):
            raise RunError(f"{name[:80]!r} is no name of a snapshot")
        return self.folder / "snapshots" / f"{name}.safetensors"

    def _shown(self, name: str) -> Path:
        if not SNAPSHOT.match(name):
            raise RunError(f"{name[:80]!r} is no name of a picture")
        return self.folder / "shown" / f"{name}.safetensors"

    def _answer(self, key: str) -> Path:
        if not KEY.match(key):
            raise RunError(f"{key[:100]!r} is no key of an answer: small letters, digits, - and _, 80 at most")
        return self._answers / f"{key}.safetensors"

    def _writable(self) -> None:
        if self.recorded:
            raise RunError(f"run {self.id} was recorded and is shipped with the lab; it cannot be changed")


class Kept(Mapping[str, "Tensor"]):
    """A snapshot's tensors on the CPU, read when they are looked at: a run that takes them over shares the file."""

    def __init__(self, path: Path, whose: str) -> None:
        self.path, self._whose = path, whose

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            return load(self.path.read_bytes())
        except FileNotFoundError as error:
            raise RunError(f"{self._whose} has no snapshot {self.path.stem}") from error
        except (OSError, SafetensorError, ValueError) as error:
            raise RunError(f"snapshot {self.path.stem} of {self._whose} is damaged: {error}") from error

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __bool__(self) -> bool:
        return True  # without reading it


def safetensors_of(tensors: Mapping[str, Tensor], said: dict[str, int] | None = None) -> bytes:
    """Tensors, also such as share their memory, as safetensors.

    Made in memory and not by the library's own file writer, so that a full disk is an OSError that says so.
    """
    from safetensors.torch import save

    seen: set[int] = set()
    ready: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        ready[name] = tensor.clone() if storage in seen else tensor
        seen.add(storage)
    return save(ready, metadata=None if said is None else {"checkpoint": json.dumps(said)})


@lru_cache(maxsize=4)
def _folded(folder: Path, size: int, changed: int) -> History:
    """What the run's log comes to, as long as it has that size (bytes) and was changed last at that time (ns)."""
    return fold(Run(folder).events()[0])


def modified(path: Path) -> float:
    """When the file was last written, in seconds since the epoch; 0 where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
